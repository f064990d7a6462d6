//! What is said in a room, as a message on the bus.

use async_nats::{Message, Subject};
use bytes::{BufMut, Bytes, BytesMut};
use nylon_plugin::MessageKind;
use nylon_wire::{DataKind, Limits, subject};

use super::RoomError;
use crate::{PublishError, gateway::link::Link};

impl Link {
    /// Sends a message to all members of a room, wherever they are, this thread's too.
    pub(in crate::gateway) fn broadcast(
        &self,
        plugin: &str,
        room: &str,
        kind: MessageKind,
        message: &Bytes,
    ) -> Result<(), RoomError> {
        let to = Subject::from(subject_of(self, plugin, room)?);
        let kind = match kind {
            MessageKind::Text => DataKind::Text,
            MessageKind::Binary => DataKind::Binary,
        };
        let payload = self.encode(|out: &mut BytesMut| {
            out.put_u8(kind.number());
            out.put_slice(message);
        });
        // No longer than a piece (SPEC 14.12).
        let most = Limits::chunk(self.max_payload());
        if payload.len() > most {
            return Err(PublishError::TooLong(most).into());
        }
        Ok(self.publish(to, None, payload)?)
    }
}

pub(super) fn subject_of(link: &Link, plugin: &str, room: &str) -> Result<String, RoomError> {
    if room.contains('\0') {
        return Err(RoomError::Nul);
    }
    Ok(subject::room(&link.messaging.options.prefix, plugin, room)?)
}

pub(super) fn read(message: Message) -> Option<(MessageKind, Bytes)> {
    let mut bytes = message.payload;
    if bytes.is_empty() {
        return None;
    }
    let kind = match DataKind::from_number(u64::from(bytes.split_to(1)[0])) {
        Some(DataKind::Text) if std::str::from_utf8(&bytes).is_ok() => MessageKind::Text,
        Some(DataKind::Binary) => MessageKind::Binary,
        _ => return None,
    };
    Some((kind, bytes))
}
