//! One request and its response, with everything that plugins did to it.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use http::{HeaderMap, Method, Uri};

use crate::{BodyStream, EarlyResponse, Given, Response, Whole};

/// The one object that all phases of a request work on.
pub struct Exchange {
    /// The request as plugins have left it so far.
    pub request: Request,
    /// The request's body, read only when somebody asks.
    pub request_body: Box<dyn RequestBody>,
    /// What request filters have collected for the answer.
    pub early: EarlyResponse,
    /// The answer, once there is one.
    pub response: Response,
    /// Text of the gateway error or of the client's departure; plugins read it as `Response.Error`.
    pub error: Option<String>,
}

/// A request head with what routing found out about it.
#[derive(Debug)]
pub struct Request {
    /// Identifies the request in logs, error bodies and headers.
    pub id: Box<str>,
    /// As received.
    pub method: Method,
    /// Origin form; the path is the one that was matched, the query is not decoded.
    pub uri: Uri,
    /// Host without port, as received (lower case is not forced).
    pub host: Box<str>,
    /// Port of the authority; 0 when it names none.
    pub port: u16,
    /// As received, changed by request filters. Hop-by-hop headers are still there.
    pub headers: HeaderMap,
    /// What request filters have given of the headers that the gateway writes to the upstream; `x-request-id` in place of `id`.
    pub given: Given,
    /// Route variables in pattern order, raw (not percent-decoded).
    pub params: Vec<(Box<str>, Box<str>)>,
    /// Address of the client (behind trusted proxies: the one they name).
    pub client_ip: IpAddr,
    /// Whether the client's connection is TLS.
    pub tls: bool,
    /// Whether the client asks for a WebSocket.
    pub websocket: bool,
    /// `Content-Length`, when given.
    pub content_length: Option<u64>,
    /// Arrival, wall clock, Unix milliseconds.
    pub timestamp_ms: u64,
    /// Arrival, monotonic.
    pub received: Instant,
    /// Name of the route that matched. An exchange never leaves its thread, so counting needs no atomics.
    pub route: std::rc::Rc<str>,
}

impl Request {
    /// Path without query; `/` at least.
    #[must_use]
    pub fn path(&self) -> &str {
        let path = self.uri.path();
        if path.is_empty() { "/" } else { path }
    }

    /// Raw query without `?`; empty when there is none.
    #[must_use]
    pub fn query(&self) -> &str {
        self.uri.query().unwrap_or_default()
    }

    /// `https` when the client's connection is TLS.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }

    /// Time since arrival.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.received.elapsed()
    }
}

/// Why a request body could not be had.
#[derive(Clone, Debug, thiserror::Error)]
pub enum BodyError {
    /// Longer than the limit that was asked for, in bytes.
    #[error("the request body is longer than {0} bytes")]
    TooLarge(usize),
    /// It is longer than [`KEPT_BODY`], and an entry has read it piece by piece or the upstream has got it as it came.
    #[error("the request body has been taken: an entry has read it piece by piece, or it went upstream as it came")]
    Taken,
    /// The client left, stalled or sent bad framing.
    #[error("reading the request body: {0}")]
    Client(String),
}

/// Access to the request body. What is read is kept: the upstream still receives all of it. The other way round only a body
/// of up to [`KEPT_BODY`] is kept, or one that had come before the upstream was asked.
pub trait RequestBody {
    /// The complete body.
    ///
    /// # Errors
    /// [`BodyError::TooLarge`] beyond `limit` bytes, [`BodyError::Client`] when the client fails, [`BodyError::Taken`].
    fn read_all(&mut self, limit: usize) -> LocalBoxFuture<'_, Result<Bytes, BodyError>>;

    /// The complete body if it is here already and not longer than `limit` bytes. Never waits, never
    /// causes a `100 Continue` (rules §9).
    fn ready(&mut self, limit: usize) -> Option<Bytes>;

    /// Whether there is no body at all.
    fn is_empty(&self) -> bool;

    /// The body as it comes, of any length. One of up to `keep` bytes stays whole for everybody else; a longer one is taken:
    /// nobody else can have it after that, nor an upstream.
    ///
    /// # Errors
    /// [`BodyError::Taken`] if it has been taken.
    fn stream(&mut self, keep: usize) -> Result<Box<dyn BodyStream>, BodyError>;

    /// The same body for somebody who needs it longer than the exchange is in his hands.
    fn share(&self) -> Box<dyn RequestBody>;
}

/// A request body up to this length stays whole although somebody reads it piece by piece or it goes upstream as it comes,
/// bytes (SPEC 14.7).
pub const KEPT_BODY: usize = 32 << 10;

/// The body of a request without one.
pub struct NoBody;

impl RequestBody for NoBody {
    fn read_all(&mut self, _limit: usize) -> LocalBoxFuture<'_, Result<Bytes, BodyError>> {
        Box::pin(std::future::ready(Ok(Bytes::new())))
    }

    fn ready(&mut self, _limit: usize) -> Option<Bytes> {
        Some(Bytes::new())
    }

    fn is_empty(&self) -> bool {
        true
    }

    fn stream(&mut self, _keep: usize) -> Result<Box<dyn BodyStream>, BodyError> {
        Ok(Box::new(Whole(Bytes::new())))
    }

    fn share(&self) -> Box<dyn RequestBody> {
        Box::new(NoBody)
    }
}
