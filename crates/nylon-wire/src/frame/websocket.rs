//! UPGRADE and the WS frames (SPEC 14).

use super::First;
use crate::fields::Fields;
use crate::msgpack::Writer;
use crate::operation::{read_list, write_list};
use crate::{DecodeError, Ext, FrameType, Header, Operation, Text, method};
use bytes::{Bytes, BytesMut};

/// UPGRADE: make the request a WebSocket. Answered by WS_OPEN or ERROR(not_websocket).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpgradeFrame {
    /// Session and order.
    pub header: Header,
    /// Headers of the 101 answer.
    pub ops: Vec<Operation>,
    /// Largest message the worker takes, bytes; beyond it the gateway closes with 1009.
    pub max_message_bytes: u64,
    /// Subprotocol to choose.
    pub subprotocol: Option<Text>,
    /// In the worker's first frame of the session.
    pub first: Option<First>,
    /// Extensions.
    pub ext: Ext,
}

/// WS_OPEN: the WebSocket is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WsOpenFrame {
    /// Session and order.
    pub header: Header,
    /// Id of the DATA frames in both directions.
    pub connection_id: u32,
    /// Extensions.
    pub ext: Ext,
}

/// WS_CLOSED: the WebSocket is closed; nothing follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WsClosedFrame {
    /// Session and order.
    pub header: Header,
    /// Close code (RFC 6455).
    pub code: u16,
    /// Close reason.
    pub reason: Text,
    /// Extensions.
    pub ext: Ext,
}

/// WS_ERROR: the WebSocket failed; WS_CLOSED follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WsErrorFrame {
    /// Session and order.
    pub header: Header,
    /// What happened.
    pub text: Text,
    /// Extensions.
    pub ext: Ext,
}

/// WS_OP: something a handler wants of its WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WsOpFrame {
    /// Session and order.
    pub header: Header,
    /// Names this call; a join is answered by an empty DATA with it, a failure by ERROR.
    pub call_id: u32,
    /// What is wanted.
    pub operation: WsOperation,
    /// Extensions.
    pub ext: Ext,
}

/// What WS_OP can ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WsOperation {
    /// 303
    Close {
        /// Close code.
        code: u16,
        /// Close reason.
        reason: Text,
    },
    /// 310
    Join {
        /// The room.
        room: Text,
    },
    /// 311
    Leave {
        /// The room.
        room: Text,
    },
    /// 312
    BroadcastText {
        /// The room.
        room: Text,
        /// The message, UTF-8.
        message: Bytes,
    },
    /// 313
    BroadcastBinary {
        /// The room.
        room: Text,
        /// The message.
        message: Bytes,
    },
}

impl WsOperation {
    fn write(&self, w: &mut Writer<'_>) {
        let mut head = |elements, number: u32| {
            w.array(elements);
            w.uint(u64::from(number));
        };
        match self {
            WsOperation::Close { code, reason } => {
                head(3, method::WEBSOCKET_CLOSE);
                w.uint(u64::from(*code));
                w.str(reason);
            }
            WsOperation::Join { room } => {
                head(2, method::WEBSOCKET_JOIN_ROOM);
                w.str(room);
            }
            WsOperation::Leave { room } => {
                head(2, method::WEBSOCKET_LEAVE_ROOM);
                w.str(room);
            }
            WsOperation::BroadcastText { room, message } => {
                head(3, method::WEBSOCKET_BROADCAST_ROOM_TEXT);
                w.str(room);
                w.bin(message);
            }
            WsOperation::BroadcastBinary { room, message } => {
                head(3, method::WEBSOCKET_BROADCAST_ROOM_BINARY);
                w.str(room);
                w.bin(message);
            }
        }
    }

    fn read(mut f: Fields<'_, '_>) -> Result<Self, DecodeError> {
        let number = f.u32("operation")?;
        let operation = match number {
            method::WEBSOCKET_CLOSE => WsOperation::Close { code: f.u16("code")?, reason: f.text("reason")? },
            method::WEBSOCKET_JOIN_ROOM => WsOperation::Join { room: f.text("room")? },
            method::WEBSOCKET_LEAVE_ROOM => WsOperation::Leave { room: f.text("room")? },
            method::WEBSOCKET_BROADCAST_ROOM_TEXT => {
                WsOperation::BroadcastText { room: f.text("room")?, message: f.bin("message")? }
            }
            method::WEBSOCKET_BROADCAST_ROOM_BINARY => {
                WsOperation::BroadcastBinary { room: f.text("room")?, message: f.bin("message")? }
            }
            other => return Err(DecodeError::UnknownOperation(u64::from(other))),
        };
        f.finish()?;
        Ok(operation)
    }
}

impl UpgradeFrame {
    /// Appends the frame to `out`.
    pub fn encode(&self, out: &mut BytesMut) {
        let w = &mut Writer::new(out);
        self.header.write(w, FrameType::Upgrade, 10);
        write_list(&self.ops, w);
        w.uint(self.max_message_bytes);
        w.opt_str(self.subprotocol.as_deref());
        First::write(self.first.as_ref(), w);
        self.ext.write(w);
    }

    pub(super) fn read(f: &mut Fields<'_, '_>) -> Result<Self, DecodeError> {
        Ok(UpgradeFrame {
            header: Header::read(f)?,
            ops: read_list(f)?,
            max_message_bytes: f.safe("max_message_bytes")?,
            subprotocol: f.opt_text()?,
            first: First::read(f)?,
            ext: f.ext()?,
        })
    }
}

impl WsOpenFrame {
    /// Appends the frame to `out`.
    pub fn encode(&self, out: &mut BytesMut) {
        let w = &mut Writer::new(out);
        self.header.write(w, FrameType::WsOpen, 7);
        w.uint(u64::from(self.connection_id));
        self.ext.write(w);
    }

    pub(super) fn read(f: &mut Fields<'_, '_>) -> Result<Self, DecodeError> {
        Ok(WsOpenFrame { header: Header::read(f)?, connection_id: f.u32("connection_id")?, ext: f.ext()? })
    }
}

impl WsClosedFrame {
    /// Appends the frame to `out`.
    pub fn encode(&self, out: &mut BytesMut) {
        let w = &mut Writer::new(out);
        self.header.write(w, FrameType::WsClosed, 8);
        w.uint(u64::from(self.code));
        w.str(&self.reason);
        self.ext.write(w);
    }

    pub(super) fn read(f: &mut Fields<'_, '_>) -> Result<Self, DecodeError> {
        Ok(WsClosedFrame { header: Header::read(f)?, code: f.u16("code")?, reason: f.text("reason")?, ext: f.ext()? })
    }
}

impl WsErrorFrame {
    /// Appends the frame to `out`.
    pub fn encode(&self, out: &mut BytesMut) {
        let w = &mut Writer::new(out);
        self.header.write(w, FrameType::WsError, 7);
        w.str(&self.text);
        self.ext.write(w);
    }

    pub(super) fn read(f: &mut Fields<'_, '_>) -> Result<Self, DecodeError> {
        Ok(WsErrorFrame { header: Header::read(f)?, text: f.text("text")?, ext: f.ext()? })
    }
}

impl WsOpFrame {
    /// Appends the frame to `out`.
    pub fn encode(&self, out: &mut BytesMut) {
        let w = &mut Writer::new(out);
        self.header.write(w, FrameType::WsOp, 8);
        w.uint(u64::from(self.call_id));
        self.operation.write(w);
        self.ext.write(w);
    }

    pub(super) fn read(f: &mut Fields<'_, '_>) -> Result<Self, DecodeError> {
        Ok(WsOpFrame {
            header: Header::read(f)?,
            call_id: f.u32("call_id")?,
            operation: WsOperation::read(f.nested("operation")?)?,
            ext: f.ext()?,
        })
    }
}
