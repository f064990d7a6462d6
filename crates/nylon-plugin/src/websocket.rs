//! A request that an entry takes over as a WebSocket: what the entry and the client's socket say to each other.

use std::{
    fmt,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Method, header};

use crate::{PluginError, Request};

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// UTF-8.
    Text,
    /// Any bytes.
    Binary,
}

/// What the entry wants of its socket.
#[derive(Debug)]
pub enum SocketOrder {
    /// Send a piece of a message. No piece of another one comes before its last.
    Send {
        /// Of all pieces of the message.
        kind: MessageKind,
        /// The piece; may be empty.
        bytes: Bytes,
        /// Whether more pieces follow.
        more: bool,
    },
    /// Close it, and forget what the client still sends.
    Close {
        /// RFC 6455, 7.4.
        code: u16,
        /// At most 123 bytes.
        reason: Box<str>,
    },
    /// The entry is gone, or broke the protocol: close with this code. Nothing that is told to it counts any more.
    Fail {
        /// RFC 6455, 7.4.
        code: u16,
        /// For the log.
        error: PluginError,
    },
}

/// How a socket has ended, as its entry is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketEnd {
    /// RFC 6455, 7.4; 1005 without a code, 1006 without a close frame.
    pub code: u16,
    /// What the close frame said.
    pub reason: String,
    /// What went wrong, if it was no orderly close.
    pub error: Option<String>,
}

/// An entry's side of a WebSocket. Dropped before [`PluginSocket::close`], it tells the entry that the client has gone.
pub trait PluginSocket {
    /// The client has got its 101.
    fn open(&mut self);

    /// What the entry wants next. Also moves what was offered on its way.
    fn poll_order(&mut self, cx: &mut Context<'_>) -> Poll<SocketOrder>;

    /// All orders to send so far are in the client's socket: the entry may send more (rules §8).
    fn moved_on(&mut self);

    /// Whether the entry takes another message: until then the client's socket is not read.
    fn is_ready(&self) -> bool;

    /// A whole message of the client, while [`PluginSocket::is_ready`].
    fn offer(&mut self, kind: MessageKind, bytes: Bytes);

    /// The socket is closed; there is nothing more to order or to offer.
    fn close(&mut self, end: SocketEnd);

    /// Behind [`PluginSocket::close`]: until the entry is done with it. Then the session goes on to its later phases.
    fn poll_done(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}

impl fmt::Debug for dyn PluginSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PluginSocket")
    }
}

/// The answer of a request filter that makes the request a WebSocket.
#[derive(Debug)]
pub struct Upgrade {
    /// The longest message that the entry takes; a longer one closes the socket with 1009.
    pub max_message_bytes: usize,
    /// The sub-protocol that the entry has chosen among the client's.
    pub subprotocol: Option<Box<str>>,
    /// The entry's side.
    pub socket: Box<dyn PluginSocket>,
}

impl Request {
    /// The client's key, if the request is a WebSocket handshake (RFC 6455, 4.2.1). HTTP/1.1 and the `Upgrade` header
    /// were seen to when the request came ([`Request::websocket`]); the rest is what request filters have left.
    ///
    /// # Errors
    /// What is missing.
    pub fn websocket_key(&self) -> Result<&[u8], &'static str> {
        let value = |name: header::HeaderName| self.headers.get(name).map_or(&b""[..], |value| value.as_bytes());
        let upgrades = || {
            let lines = self.headers.get_all(header::CONNECTION).into_iter();
            let mut options = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
            options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
        };
        if !self.websocket {
            return Err("it is not HTTP/1.1 with `Upgrade: websocket`");
        }
        if self.method != Method::GET {
            return Err("its method is not GET");
        }
        if !upgrades() {
            return Err("its `Connection` header does not say upgrade");
        }
        if value(header::SEC_WEBSOCKET_VERSION) != b"13" {
            return Err("its `Sec-WebSocket-Version` is not 13");
        }
        let key = value(header::SEC_WEBSOCKET_KEY).trim_ascii();
        let in_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
        match key {
            [digits @ .., b'=', b'='] if digits.len() == 22 && digits.iter().all(in_base64) => Ok(key),
            _ => Err("its `Sec-WebSocket-Key` is not 16 bytes in base64"),
        }
    }

    /// Whether the client has offered the sub-protocol.
    #[must_use]
    pub fn offers_subprotocol(&self, name: &str) -> bool {
        let lines = self.headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).into_iter();
        let mut offered = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
        offered.any(|offer| offer.trim_ascii() == name.as_bytes())
    }
}
