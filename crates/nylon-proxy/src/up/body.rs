//! An upstream's response body, read as the client takes it.

use std::{
    io,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes, BytesMut};
use http_body::Frame;
use nylon_wire::ErrorCode;

use super::{
    connection::Connection,
    pool::Pool,
    response::{Framing, Head, parse_trailers},
    upload::Upload,
};
use crate::framing::{Chunked, Piece};

/// How much is read at once, bytes.
const READ: usize = 32 * 1024;

/// An upstream's response body. Dropped early, it closes the connection.
pub(crate) struct UpstreamBody {
    connection: Option<Box<Connection>>,
    rest: Rest,
    upload: Option<Upload>,
    home: Rc<Pool>,
    reusable: bool,
}

pub(super) enum Rest {
    None,
    Length(u64),
    Chunked(Box<(Chunked, BytesMut)>),
    Close,
}

/// Why a body is not whole.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyFailure {
    #[error("the upstream stalled in the response body")]
    Timeout,
    #[error("the upstream broke off in the response body: {0}")]
    Broken(String),
}

impl BodyFailure {
    /// What the client is told while the head is held back (rules §7).
    pub(crate) fn code(&self) -> ErrorCode {
        match self {
            Self::Timeout => ErrorCode::UpstreamTimeout,
            Self::Broken(_) => ErrorCode::UpstreamError,
        }
    }
}

/// A body that was to be read whole.
pub(crate) enum Collected {
    /// All of it.
    Whole(Bytes),
    /// The beginning: it is longer than the limit.
    TooLong(Bytes),
}

impl UpstreamBody {
    pub(super) fn new(
        connection: Box<Connection>,
        head: &Head,
        upload: Option<Upload>,
        home: Rc<Pool>,
        reusable: bool,
    ) -> Self {
        let rest = Rest::new(head.framing);
        let reusable = reusable && head.keep_alive;
        let mut body = Self { connection: Some(connection), rest, upload, home, reusable };
        if matches!(body.rest, Rest::None) {
            body.finish();
        }
        body
    }

    /// Whether all of it has been read.
    pub(crate) fn is_end(&self) -> bool {
        matches!(self.rest, Rest::None)
    }

    /// How much is left, if that is known.
    pub(crate) fn left(&self) -> Option<u64> {
        match self.rest {
            Rest::None => Some(0),
            Rest::Length(left) => Some(left),
            _ => None,
        }
    }

    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFailure>>> {
        loop {
            let Some(connection) = &mut self.connection else { return Poll::Ready(None) };
            if !connection.input.is_empty() {
                match self.rest.take(&mut connection.input) {
                    Ok(Taken::Nothing) => {}
                    Ok(Taken::Data(data)) => {
                        if matches!(self.rest, Rest::None) {
                            self.finish();
                        }
                        return Poll::Ready(Some(Ok(Frame::data(data))));
                    }
                    Ok(Taken::End(trailers)) => {
                        self.finish();
                        return Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))));
                    }
                    Err(reason) => return Poll::Ready(Some(Err(self.fail(reason)))),
                }
            }
            let Some(connection) = &mut self.connection else { return Poll::Ready(None) };
            if !connection.input.is_empty() {
                continue;
            }
            let room = self.rest.room();
            match connection.poll_fill(cx, room) {
                Poll::Ready(Ok(0)) if matches!(self.rest, Rest::Close) => {
                    self.finish();
                    return Poll::Ready(None);
                }
                Poll::Ready(Ok(0)) => return Poll::Ready(Some(Err(self.fail("it closed the connection".to_owned())))),
                Poll::Ready(Ok(_)) => connection.watch.disarm(),
                Poll::Ready(Err(error)) => return Poll::Ready(Some(Err(self.fail(describe(&error))))),
                Poll::Pending if connection.watch.expired() => {
                    self.connection = None;
                    return Poll::Ready(Some(Err(BodyFailure::Timeout)));
                }
                Poll::Pending => {
                    if !connection.watch.is_armed() {
                        connection.watch.arm(connection.terms.read_timeout);
                    }
                    connection.watch.wake(cx);
                    return Poll::Pending;
                }
            }
        }
    }

    /// Whether the request's body is still on its way.
    pub(crate) fn is_uploading(&self) -> bool {
        self.upload.is_some()
    }

    /// Reads all of it, up to `limit` bytes.
    pub(crate) async fn read_all(&mut self, limit: usize) -> Result<Collected, BodyFailure> {
        if self.left().is_some_and(|left| left > limit as u64) {
            return Ok(Collected::TooLong(Bytes::new()));
        }
        let mut whole = BytesMut::new();
        let mut only = Bytes::new();
        std::future::poll_fn(|cx| {
            while let Some(frame) = ready!(self.poll_frame(cx)).transpose()? {
                let Ok(data) = frame.into_data() else { continue };
                // Most bodies are one piece, which needs no copy.
                if only.is_empty() && whole.is_empty() {
                    only = data;
                } else {
                    whole.extend_from_slice(&std::mem::take(&mut only));
                    whole.extend_from_slice(&data);
                }
                if only.len() + whole.len() > limit {
                    return Poll::Ready(Ok(Collected::TooLong(join(&mut only, &mut whole))));
                }
            }
            Poll::Ready(Ok(Collected::Whole(join(&mut only, &mut whole))))
        })
        .await
    }

    fn fail(&mut self, reason: String) -> BodyFailure {
        self.connection = None;
        BodyFailure::Broken(reason)
    }

    /// The body is whole: the connection goes back to the pool if it may.
    fn finish(&mut self) {
        self.rest = Rest::None;
        let Some(mut connection) = self.connection.take() else { return };
        if let Some(upload) = self.upload.take() {
            match upload.take() {
                Some(writing) => connection.join(writing),
                None => return,
            }
        }
        if self.reusable && connection.input.is_empty() {
            self.home.put(connection);
        }
    }
}

fn join(only: &mut Bytes, whole: &mut BytesMut) -> Bytes {
    if whole.is_empty() { std::mem::take(only) } else { std::mem::take(whole).freeze() }
}

fn describe(error: &io::Error) -> String {
    error.to_string()
}

pub(super) enum Taken {
    Nothing,
    Data(Bytes),
    End(Option<http::HeaderMap>),
}

impl Rest {
    pub(super) fn new(framing: Framing) -> Self {
        match framing {
            Framing::None => Self::None,
            Framing::Length(length) => Self::Length(length),
            Framing::Chunked => Self::Chunked(Box::new((Chunked::new(), BytesMut::new()))),
            Framing::Close => Self::Close,
        }
    }

    /// Takes what comes next from an input that is not empty.
    pub(super) fn take(&mut self, input: &mut BytesMut) -> Result<Taken, String> {
        match self {
            Self::None => Ok(Taken::End(None)),
            Self::Close => Ok(Taken::Data(input.split().freeze())),
            Self::Length(left) => {
                let here = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                *left -= here as u64;
                if *left == 0 {
                    *self = Self::None;
                }
                Ok(Taken::Data(input.split_to(here).freeze()))
            }
            Self::Chunked(chunked) => {
                let (state, trailers) = &mut **chunked;
                let in_trailers = state.in_trailers();
                match state.next(input).map_err(|error| error.to_string())? {
                    Piece::Framing(length) => {
                        if in_trailers {
                            trailers.extend_from_slice(&input[..length]);
                        }
                        input.advance(length);
                        Ok(Taken::Nothing)
                    }
                    Piece::Data(length) => Ok(Taken::Data(input.split_to(length).freeze())),
                    Piece::End(length) => {
                        trailers.extend_from_slice(&input[..length]);
                        input.advance(length);
                        let section = std::mem::take(trailers);
                        let parsed = state.has_trailers().then(|| parse_trailers(section)).transpose()?;
                        Ok(Taken::End(parsed))
                    }
                }
            }
        }
    }

    /// How much to read at once.
    fn room(&self) -> usize {
        match self {
            Self::Length(left) => usize::try_from(*left).unwrap_or(READ).min(READ),
            _ => READ,
        }
    }
}
