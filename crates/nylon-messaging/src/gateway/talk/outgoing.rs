//! Bodies that the worker asked for, as its credit allows.

use bytes::Bytes;
use nylon_plugin::PluginError;
use nylon_wire::{DataFrame, DataKind, Ext, Frame, Limits};

use super::Talk;

pub(super) struct Outgoing {
    call: u32,
    rest: Bytes,
}

impl Talk {
    /// Answers a FETCH with bytes, as credit allows.
    pub(in crate::gateway) fn answer_with(&mut self, call: u32, bytes: Bytes) {
        self.outgoing.push_back(Outgoing { call, rest: bytes });
    }

    /// Sends what credit allows of what was asked for.
    pub(in crate::gateway) fn pump(&mut self) -> Result<(), PluginError> {
        let chunk = Limits::chunk(self.lease.link.max_payload());
        while let Some(outgoing) = self.outgoing.front_mut() {
            let length = match outgoing.rest.len() {
                0 => 0,
                rest => match self.credit.allowance(rest.min(chunk)) {
                    0 => return Ok(()),
                    length => length,
                },
            };
            // Without a connection it waits: streams go on after a reconnect, and a phase hears of the loss (rules §2).
            if !self.lease.link.is_connected() || !self.credit.take(length) {
                return Ok(());
            }
            let (id, bytes) = (outgoing.call, outgoing.rest.split_to(length));
            let more = !outgoing.rest.is_empty();
            self.send(|header| {
                Frame::Data(DataFrame { header, id, bytes, more, kind: DataKind::Body, ext: Ext::empty() })
            })?;
            if !more {
                self.outgoing.pop_front();
            }
        }
        Ok(())
    }
}
