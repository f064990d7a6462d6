//! What the I/O thread brings, and what is done meanwhile.

use std::sync::Arc;

use bytes::Bytes;
use nylon_messaging::worker::Socket;

use crate::failure::Failure;
use crate::reading::Reading;

/// Which body is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    Request,
    Response,
}

/// A body as a whole.
pub(crate) type Fetched = Result<Bytes, Failure>;

/// What comes.
pub(crate) enum Arrival {
    /// A piece of a body can be taken, at most so much.
    Piece(Arc<Reading>, usize),
    /// What was asked for is done.
    Done,
    /// There are no more pieces.
    End,
    /// A message of a WebSocket, or its end, can be taken.
    Ready(Arc<Socket>),
    /// The request is a WebSocket, of this sub-protocol.
    Socket(Arc<Socket>, Option<String>),
}

pub(crate) type Arrived = Result<Arrival, Failure>;

/// Called once, from any thread, perhaps at once.
pub(crate) type OnArrival = Box<dyn FnOnce(Arrived) + Send>;

/// What is done meanwhile, for errors, and what its end means.
#[derive(Clone, Copy)]
pub(crate) enum Doing {
    /// Writing; gives nothing.
    Writing,
    /// Reading; gives bytes, none at the end.
    Reading,
    /// The same as a step of `async for`.
    Iterating,
    /// Upgrading to a WebSocket; gives it.
    Upgrading,
    /// Sending a message; gives nothing.
    Sending,
    /// Receiving a message; gives it, nothing at the end.
    Receiving,
    /// The same as a step of `async for`.
    IteratingMessages,
    /// Something about a room; gives nothing.
    InRoom,
}

impl Doing {
    /// Whether what has come is still to be taken, by who gets that far.
    pub(crate) fn takes(self) -> bool {
        matches!(self, Self::Reading | Self::Iterating | Self::Receiving | Self::IteratingMessages)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Writing => "writing to the stream",
            Self::Reading | Self::Iterating => "reading the body",
            Self::Upgrading => "upgrading to a websocket",
            Self::Sending => "sending to the websocket",
            Self::Receiving | Self::IteratingMessages => "reading the websocket",
            Self::InRoom => "speaking to a room",
        }
    }
}
