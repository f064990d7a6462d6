//! Why a handler does not get what it waits for, whoever says so: the worker, a socket or a session in memory.

use nylon_messaging::worker::{FetchError, SocketError, WriteError};
use nylon_wire::{AbortReason, failure};
use pyo3::prelude::*;

use crate::python;

/// Why nothing comes.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// Longer than the limit, in bytes.
    TooLarge(usize),
    /// Longer than the gateway's limit, in its words.
    Refused(String),
    /// The client left.
    ClientGone,
    /// The phase's deadline has passed.
    Timeout,
    /// The gateway or this worker is shutting down.
    ShuttingDown,
    /// The session is over.
    Closed,
    /// The request is no handshake.
    NotWebSocket(String),
    /// Anything else, in words.
    Other(String),
}

impl Failure {
    /// Of several who read at one time, each gets what nobody has got before.
    pub(crate) fn overtaken() -> Self {
        Self::Other("another read has taken what came".to_owned())
    }

    /// As the exception that the handler sees who was reading a body.
    pub(crate) fn raise(&self, py: Python<'_>) -> PyErr {
        self.raise_while(py, "reading the body")
    }

    /// As the exception that the handler sees.
    pub(crate) fn raise_while(&self, py: Python<'_>, doing: &str) -> PyErr {
        let (class, text) = match self {
            Self::TooLarge(limit) => (&python::BODY_TOO_LARGE, format!("longer than {limit} bytes")),
            Self::Refused(text) => (&python::BODY_TOO_LARGE, text.clone()),
            Self::ClientGone => (&python::CLIENT_GONE, "the client has left".to_owned()),
            Self::Timeout => (&python::PHASE_TIMEOUT, "the phase's deadline has passed".to_owned()),
            Self::ShuttingDown => (&python::SHUTTING_DOWN, "shutting down".to_owned()),
            Self::Closed => (&python::SESSION_CLOSED, "the session is over".to_owned()),
            Self::NotWebSocket(text) => (&python::NOT_WEBSOCKET, text.clone()),
            Self::Other(text) => (&python::PLUGIN_ERROR, text.clone()),
        };
        match class.get(py).and_then(|class| class.call1((format!("{doing}: {text}"),))) {
            Ok(error) => PyErr::from_value(error),
            Err(error) => error,
        }
    }
}

impl From<AbortReason> for Failure {
    fn from(reason: AbortReason) -> Self {
        match reason {
            AbortReason::ClientGone => Self::ClientGone,
            AbortReason::Timeout => Self::Timeout,
            AbortReason::WorkerShutdown | AbortReason::GatewayShutdown => Self::ShuttingDown,
            _ => Self::Closed,
        }
    }
}

impl From<FetchError> for Failure {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::TooLarge(limit) => Self::TooLarge(limit),
            FetchError::Cancelled(reason) => reason.into(),
            FetchError::Failed { code, text } if code == failure::BODY_TOO_LARGE => Self::Refused(text),
            FetchError::Closed | FetchError::NotAvailable => Self::Closed,
            other @ FetchError::Failed { .. } => Self::Other(other.to_string()),
        }
    }
}

impl From<WriteError> for Failure {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Cancelled(reason) => reason.into(),
            WriteError::Closed => Self::Closed,
            WriteError::Ended => Self::Other("it has ended".to_owned()),
            WriteError::NotAvailable(why) => Self::Other(why.to_owned()),
            WriteError::HeadTooLarge(bytes) => Self::Other(format!("its head has {bytes} bytes, too many")),
        }
    }
}

impl From<SocketError> for Failure {
    fn from(error: SocketError) -> Self {
        match error {
            SocketError::NotWebSocket(why) => Self::NotWebSocket(why),
            SocketError::Cancelled(reason) => reason.into(),
            SocketError::Closed => Self::Closed,
            SocketError::NotAvailable(why) => Self::Other(why),
        }
    }
}
