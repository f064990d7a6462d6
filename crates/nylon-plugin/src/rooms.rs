//! Rooms of plugins in this process that other gateways have members of.

use std::fmt;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::MessageKind;

/// Takes what is said in the rooms of this process to all members, wherever they are, those of this process too. What it is
/// told is done in that order, and never waited for: any thread may call.
pub trait RoomCarrier: fmt::Debug + Send + Sync {
    /// Somebody more of this process is in the room.
    fn open(&self, plugin: &str, room: &str);

    /// Somebody less.
    fn close(&self, plugin: &str, room: &str);

    /// Says something to all members.
    fn say(&self, plugin: &str, room: &str, kind: MessageKind, bytes: Bytes);

    /// Ends when what has been said by now has come to the members of this process, or cannot come any more.
    fn settle(&self) -> BoxFuture<'static, ()>;
}
