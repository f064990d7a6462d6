//! The answer: what request filters collect for it, and what it is.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use crate::{BodyStream, HeaderChange, Upgrade};

/// What request filters have collected. Status and body count only if an entry ends the request; header
/// changes are also applied to the later answer of the service (sdk-api §1.6).
#[derive(Debug, Default)]
pub struct EarlyResponse {
    /// Status set so far.
    pub status: Option<StatusCode>,
    /// Body set so far.
    pub body: Option<Bytes>,
    /// Header changes in call order.
    pub headers: Vec<HeaderChange>,
    /// Those that the answer has already, for an error answer that may still take its place.
    pub(crate) kept: Vec<HeaderChange>,
}

/// The answer as it stands: first the service's (or the early one), then as response filters change it.
#[derive(Debug, Default)]
pub struct Response {
    /// Status that the client will get.
    pub status: StatusCode,
    /// Headers that the client will get, framing apart.
    pub headers: HeaderMap,
    /// Where the body comes from.
    pub body: ResponseBody,
    /// Body bytes that have gone to the client.
    pub bytes_sent: u64,
}

/// Where the response body comes from.
#[derive(Debug, Default)]
pub enum ResponseBody {
    /// The service's own body, still to be read by the proxy (or none).
    #[default]
    Service,
    /// Set by a plugin, or buffered for a body filter.
    Full(Bytes),
    /// Made while it is sent: by a plugin, or by the filters that it passes.
    Stream(Box<dyn BodyStream>),
    /// None: an entry makes the request a WebSocket.
    Socket(Box<Upgrade>),
}

impl ResponseBody {
    /// The bytes, if they are in memory.
    #[must_use]
    pub fn full(&self) -> Option<&Bytes> {
        match self {
            Self::Full(body) => Some(body),
            Self::Service | Self::Stream(_) | Self::Socket(_) => None,
        }
    }
}
