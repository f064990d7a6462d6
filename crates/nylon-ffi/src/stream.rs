//! The answer that a library sends piece by piece.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::BytesMut;
use http::HeaderMap;
use nylon_plugin::{BodyError, BodyStream, Piece, PluginError, PluginErrorKind, StreamError};
use nylon_wire::method;
use tokio::time::{Instant, Sleep, sleep};

use crate::{bodies::next_piece, extension, shared::Shared, state::Event};

/// A stream in which nothing moves for so long is cut.
const IDLE: Duration = Duration::from_secs(300);

/// What the library waits for of the request's body.
enum Wanted {
    /// All of it; what has come so far.
    Whole(BytesMut),
    Piece,
}

pub(crate) struct FfiStream {
    session: Arc<Shared>,
    /// The request's, for a library that reads it while it streams; the answer's, for a filter.
    body: Option<Box<dyn BodyStream>>,
    /// It has read of that before: the rest is not the whole.
    begun: bool,
    filters: bool,
    /// Of the answer that is filtered: they stand behind what is made of it.
    trailers: Option<HeaderMap>,
    wanted: Option<Wanted>,
    idle: Pin<Box<Sleep>>,
    ended: bool,
}

impl FfiStream {
    pub(crate) fn new(session: Arc<Shared>, body: Option<Box<dyn BodyStream>>, begun: bool, filters: bool) -> Self {
        Self { session, body, begun, filters, trailers: None, wanted: None, idle: Box::pin(sleep(IDLE)), ended: false }
    }

    /// Reads on for a library that has asked: the next piece, or the whole.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Result<(), StreamError> {
        while let Some(wanted) = &mut self.wanted {
            let piece = match &mut self.body {
                Some(body) => match next_piece(body.as_mut(), &mut self.trailers, cx) {
                    Poll::Ready(piece) => piece?,
                    Poll::Pending => return Ok(()),
                },
                None => return Err(PluginError::new(PluginErrorKind::Handler, BodyError::Taken.to_string()).into()),
            };
            match wanted {
                Wanted::Whole(read) if !piece.is_empty() => {
                    read.extend_from_slice(&piece);
                    let limit = self.session.max_body;
                    if read.len() > limit {
                        let error = BodyError::TooLarge(limit);
                        return Err(PluginError::new(PluginErrorKind::RequestBodyTooLarge, error.to_string()).into());
                    }
                }
                Wanted::Whole(read) => {
                    let whole = std::mem::take(read).freeze();
                    self.wanted = None;
                    self.session.supply_request_body(whole);
                }
                Wanted::Piece => {
                    self.wanted = None;
                    self.session.supply_piece(piece);
                }
            }
        }
        Ok(())
    }

    fn want(&mut self, wanted: Wanted, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, StreamError>>> {
        self.moved();
        self.wanted = Some(wanted);
        self.poll_piece(cx)
    }

    fn broken(&mut self, error: impl Into<StreamError>) -> Poll<Option<Result<Piece, StreamError>>> {
        self.ended = true;
        self.session.abandon();
        Poll::Ready(Some(Err(error.into())))
    }

    fn moved(&mut self) {
        self.idle.as_mut().reset(Instant::now() + IDLE);
    }
}

impl BodyStream for FfiStream {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, StreamError>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if let Err(error) = self.poll_body(cx) {
            return self.broken(error);
        }
        match self.session.poll_event(cx) {
            Poll::Ready(Event::Data(bytes)) => {
                self.moved();
                Poll::Ready(Some(Ok(Piece::Data(bytes))))
            }
            Poll::Ready(Event::RequestBody | Event::Piece) => {
                match self.session.asked().filter(|_| self.wanted.is_none()) {
                    Some(method::READ_REQUEST_FULL_BODY) if self.begun => {
                        self.session.withhold_request_body();
                        self.poll_piece(cx)
                    }
                    Some(method::READ_REQUEST_FULL_BODY) => self.want(Wanted::Whole(BytesMut::new()), cx),
                    Some(extension::READ_REQUEST_PIECE | extension::READ_RESPONSE_PIECE) => {
                        self.want(Wanted::Piece, cx)
                    }
                    // What asked had its answer while the phase became this stream.
                    _ => self.poll_piece(cx),
                }
            }
            Poll::Ready(Event::StreamEnd) => {
                self.ended = true;
                let trailers = if self.filters { self.trailers.take() } else { None };
                Poll::Ready(trailers.map(|trailers| Ok(Piece::Trailers(trailers))))
            }
            Poll::Ready(Event::Failed(error)) => self.broken(error),
            Poll::Ready(other) => {
                self.broken(PluginError::new(PluginErrorKind::Protocol, format!("{other:?} in the middle of a stream")))
            }
            Poll::Pending if self.idle.as_mut().poll(cx).is_ready() => {
                self.broken(PluginError::new(PluginErrorKind::Timeout, "the stream stands still"))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn moved_on(&mut self) {
        self.moved();
        self.session.moved_on();
    }
}

impl Drop for FfiStream {
    fn drop(&mut self) {
        if !self.ended {
            self.session.abandon();
        }
    }
}
