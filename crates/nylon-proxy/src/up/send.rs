//! One request to an upstream, until the head of its answer is here.

use std::{
    future::poll_fn,
    io::{self, IoSlice},
    net::SocketAddr,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Buf, Bytes};
use http::Method;
use nylon_plugin::BodyError;
use nylon_routing::{Endpoint, HttpService};
use nylon_wire::ErrorCode;

use super::{
    body::UpstreamBody,
    connection::{Connection, Terms},
    pool::Pool,
    request::{Framing, Outbound},
    response::{Head, take_head},
    upload::{Outcome, Upload},
};
use crate::request_body::ClientBody;

/// Room for a response head and a short body, bytes.
const HEAD_ROOM: usize = 8 * 1024;

/// The body that goes to the upstream.
pub(crate) enum Outgoing {
    None,
    /// In memory.
    Full(Bytes),
    /// Still coming from the client.
    Stream {
        body: ClientBody,
        /// Up to this length plugins can read it all the same, bytes.
        keep: usize,
    },
}

/// The upstream's answer.
pub(crate) struct Answer {
    pub(crate) head: Head,
    pub(crate) body: UpstreamBody,
    /// Whether a dead connection made a second attempt necessary.
    pub(crate) retried: bool,
    /// Whether a new connection was made.
    pub(crate) connected: bool,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("connecting: {0}")]
    Connect(io::Error),
    #[error("the upstream did not {0} in time")]
    Timeout(&'static str),
    #[error("{reason}")]
    Broken {
        reason: String,
        /// Whether the upstream had answered anything.
        answered: bool,
    },
    #[error("{0}")]
    Client(BodyError),
}

impl Failure {
    /// What the client is told (rules §7).
    pub(crate) fn code(&self) -> ErrorCode {
        match self {
            Self::Connect(error) if error.kind() == io::ErrorKind::TimedOut => ErrorCode::UpstreamTimeout,
            Self::Connect(_) => ErrorCode::UpstreamUnreachable,
            Self::Timeout(_) => ErrorCode::UpstreamTimeout,
            Self::Broken { .. } => ErrorCode::UpstreamError,
            Self::Client(BodyError::TooLarge(_)) => ErrorCode::RequestBodyTooLarge,
            Self::Client(BodyError::Client(_)) => ErrorCode::BadRequest,
            Self::Client(BodyError::Taken) => ErrorCode::PluginProtocol,
        }
    }
}

/// How many endpoints are tried for one request when they cannot be connected to.
const MAX_ENDPOINTS: usize = 3;

/// Sends the request to the service's next endpoint. A connection from the pool may turn out to be dead: if the
/// request can be repeated and not a byte came back, it is sent once more on a fresh one (rules §11). An endpoint that
/// cannot be connected to has seen nothing of the request, so another one may.
pub(crate) async fn send(
    pool: &Rc<Pool>,
    service: &HttpService,
    outbound: &Outbound<'_>,
    body: Outgoing,
) -> Result<Answer, Failure> {
    let address = service.next_endpoint().address;
    let repeatable = matches!(body, Outgoing::None) && outbound.method.is_idempotent();
    if let Some(connection) = pool.take(address, !repeatable) {
        return match exchange(connection, pool, service, outbound, body).await {
            Err(Failure::Broken { answered: false, .. }) if repeatable => {
                let connection = connect_any(pool, service, address).await?;
                let answer = exchange(connection, pool, service, outbound, Outgoing::None).await?;
                Ok(Answer { retried: true, connected: true, ..answer })
            }
            result => result,
        };
    }
    let connection = connect_any(pool, service, address).await?;
    Ok(Answer { connected: true, ..exchange(connection, pool, service, outbound, body).await? })
}

/// Connects to an endpoint, or if that cannot be had to those that follow it. Turns are of no use for this: by weight or
/// because other requests take them, the next ones may all be those of the endpoint that has just failed.
async fn connect_any(pool: &Pool, service: &HttpService, first: SocketAddr) -> Result<Box<Connection>, Failure> {
    let mut address = first;
    let mut tried = Vec::new();
    loop {
        let error = match connect(pool, service, address).await {
            Err(Failure::Connect(error)) => error,
            result => return result,
        };
        tried.push(address);
        match another(service, &tried) {
            Some(next) if tried.len() < MAX_ENDPOINTS => {
                tracing::debug!(%address, "connecting: {error}; trying another endpoint");
                address = next;
            }
            _ => return Err(Failure::Connect(error)),
        }
    }
}

/// The endpoint behind the one that was tried last, round the list, that was not tried.
fn another(service: &HttpService, tried: &[SocketAddr]) -> Option<SocketAddr> {
    let endpoints = &service.endpoints;
    let last = endpoints.iter().position(|endpoint| tried.last() == Some(&endpoint.address)).unwrap_or_default();
    let (before, behind) = endpoints.split_at(last);
    let fresh = |endpoint: &&Endpoint| endpoint.weight > 0 && !tried.contains(&endpoint.address);
    behind.iter().chain(before).find(fresh).map(|endpoint| endpoint.address)
}

async fn connect(pool: &Pool, service: &HttpService, address: SocketAddr) -> Result<Box<Connection>, Failure> {
    Connection::connect(address, service.connect_timeout, pool.clock()).await.map_err(Failure::Connect)
}

async fn exchange(
    mut connection: Box<Connection>,
    pool: &Rc<Pool>,
    service: &HttpService,
    outbound: &Outbound<'_>,
    body: Outgoing,
) -> Result<Answer, Failure> {
    let framing = match &body {
        Outgoing::None => Framing::None,
        Outgoing::Full(bytes) => Framing::Length(bytes.len() as u64),
        Outgoing::Stream { body, .. } => body.length().map_or(Framing::Chunked, Framing::Length),
    };
    let mut output = std::mem::take(&mut connection.output);
    outbound.encode(&mut output, framing, connection.address);
    let mut request = Exchange {
        head_timeout: service.head_timeout,
        write_timeout: service.write_timeout,
        output,
        written: 0,
        full: Bytes::new(),
        upload: None,
        write_error: None,
        waiting: false,
    };
    match body {
        Outgoing::None => {}
        Outgoing::Full(bytes) => request.full = bytes,
        Outgoing::Stream { body, keep } => {
            let Some(writing) = connection.split() else {
                return Err(Failure::Broken { reason: "the connection is in use".to_owned(), answered: false });
            };
            let head = std::mem::take(&mut request.output);
            let clock = pool.clock();
            request.upload =
                Some(Upload::start(writing, head, body.pass_on(keep), framing, service.write_timeout, clock));
        }
    }
    let head = poll_fn(|cx| request.poll(&mut connection, outbound.method, cx)).await?;
    connection.watch.disarm();
    // What was not written never will be: the upstream has decided without it.
    let whole = request.is_written();
    connection.output = request.output;
    connection.terms = Terms {
        read_timeout: service.read_timeout,
        idle_timeout: service.idle_timeout,
        max_idle: service.max_idle_connections,
    };
    let body = UpstreamBody::new(connection, &head, request.upload, Rc::clone(pool), whole);
    Ok(Answer { head, body, retried: false, connected: false })
}

struct Exchange {
    head_timeout: Duration,
    write_timeout: Duration,
    output: Vec<u8>,
    written: usize,
    full: Bytes,
    upload: Option<Upload>,
    write_error: Option<io::Error>,
    /// All is written; the limit for the answer runs.
    waiting: bool,
}

impl Exchange {
    fn is_written(&self) -> bool {
        self.written == self.output.len() && self.full.is_empty()
    }

    fn poll(
        &mut self,
        connection: &mut Connection,
        method: &Method,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Head, Failure>> {
        if !self.waiting {
            self.poll_write(connection, cx)?;
        }
        loop {
            match connection.poll_fill(cx, HEAD_ROOM) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(self.broken(connection, None))),
                Poll::Ready(Ok(_)) => match take_head(&mut connection.input, method) {
                    Ok(Some(head)) => return Poll::Ready(Ok(head)),
                    Ok(None) => {}
                    Err(reason) => {
                        return Poll::Ready(Err(Failure::Broken { reason: reason.to_owned(), answered: true }));
                    }
                },
                Poll::Ready(Err(error)) => return Poll::Ready(Err(self.broken(connection, Some(error)))),
                Poll::Pending if connection.watch.expired() => {
                    let what = if self.waiting { "answer" } else { "take the request" };
                    return Poll::Ready(Err(Failure::Timeout(what)));
                }
                Poll::Pending => {
                    connection.watch.wake(cx);
                    return Poll::Pending;
                }
            }
        }
    }

    /// Writes what is left, and starts the limit that belongs to where the request stands.
    fn poll_write(&mut self, connection: &mut Connection, cx: &mut Context<'_>) -> Result<(), Failure> {
        if let Some(upload) = &self.upload {
            match upload.outcome(cx) {
                Outcome::Running => return Ok(()),
                Outcome::Done => {}
                Outcome::Client(error) => return Err(Failure::Client(error)),
                Outcome::Upstream(io::ErrorKind::TimedOut) => return Err(Failure::Timeout("take the request")),
                Outcome::Upstream(kind) => self.write_error = Some(kind.into()),
            }
        }
        while !self.is_written() && self.write_error.is_none() {
            let head = &self.output[self.written..];
            let slices = [IoSlice::new(head), IoSlice::new(&self.full)];
            let slices = if self.full.is_empty() { &slices[..1] } else { &slices[..] };
            match connection.poll_write(cx, slices) {
                Poll::Ready(Ok(count)) => {
                    let here = count.min(self.output.len() - self.written);
                    self.written += here;
                    self.full.advance(count - here);
                    connection.watch.disarm();
                    if count == 0 {
                        self.write_error = Some(io::ErrorKind::WriteZero.into());
                    }
                }
                // It may have answered before it stopped reading.
                Poll::Ready(Err(error)) => self.write_error = Some(error),
                Poll::Pending => {
                    if !connection.watch.is_armed() && !connection.watch.expired() {
                        connection.watch.arm(self.write_timeout);
                    }
                    return Ok(());
                }
            }
        }
        self.waiting = true;
        connection.watch.arm(self.head_timeout);
        Ok(())
    }

    fn broken(&mut self, connection: &Connection, error: Option<io::Error>) -> Failure {
        let cause = error.or_else(|| self.write_error.take());
        Failure::Broken {
            reason: match cause {
                Some(error) => format!("the upstream broke off: {error}"),
                None => "the upstream closed the connection".to_owned(),
            },
            answered: !connection.input.is_empty(),
        }
    }
}
