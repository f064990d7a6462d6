//! What user code says to a WebSocket and hears from it.

use std::sync::Arc;

use bytes::Bytes;
use nylon_wire::AbortReason;

use super::Socket;

/// A whole message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// UTF-8.
    Text(Bytes),
    /// Any bytes.
    Binary(Bytes),
}

/// How a WebSocket has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closure {
    /// RFC 6455, 7.4; 1005 without a code, 1006 without a close frame.
    pub code: u16,
    /// What the close frame said.
    pub reason: String,
    /// What went wrong, if it was no orderly close.
    pub error: Option<String>,
}

/// Why a WebSocket does not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SocketError {
    /// The request is no handshake: in the gateway's words. The response is still the handler's.
    #[error("upgrading to a websocket: {0}")]
    NotWebSocket(String),
    /// It is closed, or about to be.
    #[error("the websocket is closed")]
    Closed,
    /// The session ended meanwhile.
    #[error("the session was aborted ({0:?})")]
    Cancelled(AbortReason),
    /// Not possible here.
    #[error("{0}")]
    NotAvailable(String),
}

/// Called once with the gateway's verdict.
pub type OnVerdict = Box<dyn FnOnce(Result<Arc<Socket>, SocketError>) + Send>;

/// Called once: what was sent is on its way, or a room is joined.
pub type OnDone = Box<dyn FnOnce(Result<(), SocketError>) + Send>;
