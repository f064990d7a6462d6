//! The answer that a library sends piece by piece.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::BytesMut;
use nylon_plugin::{BodyStream, Piece, PluginError, PluginErrorKind, StreamError};
use tokio::time::{Instant, Sleep, sleep};

use crate::shared::{Event, Shared};

/// A stream in which nothing moves for so long is cut.
const IDLE: Duration = Duration::from_secs(300);

pub(crate) struct FfiStream {
    session: Arc<Shared>,
    /// The request's, for a library that reads it while it streams.
    body: Option<Box<dyn BodyStream>>,
    /// What has come of it since the library asked.
    read: Option<BytesMut>,
    idle: Pin<Box<Sleep>>,
    ended: bool,
}

impl FfiStream {
    pub(crate) fn new(session: Arc<Shared>, body: Option<Box<dyn BodyStream>>) -> Self {
        Self { session, body, read: None, idle: Box::pin(sleep(IDLE)), ended: false }
    }

    /// Reads on for a library that has asked for the request's body, until it has the whole.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Result<(), StreamError> {
        let Some(read) = &mut self.read else { return Ok(()) };
        let limit = self.session.max_body;
        while let Some(body) = &mut self.body {
            match body.poll_piece(cx) {
                Poll::Ready(Some(Ok(Piece::Data(data)))) => {
                    read.extend_from_slice(&data);
                    if read.len() > limit {
                        let what = format!("the request body is longer than {limit} bytes");
                        return Err(PluginError::new(PluginErrorKind::RequestBodyTooLarge, what).into());
                    }
                    body.moved_on();
                }
                Poll::Ready(Some(Ok(Piece::Trailers(_)))) => {}
                Poll::Ready(Some(Err(error))) => return Err(error),
                Poll::Ready(None) => self.body = None,
                Poll::Pending => return Ok(()),
            }
        }
        let whole = std::mem::take(read).freeze();
        self.read = None;
        self.session.supply_request_body(whole);
        Ok(())
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
            Poll::Ready(Event::RequestBody) => {
                self.moved();
                self.read = Some(BytesMut::new());
                self.poll_piece(cx)
            }
            Poll::Ready(Event::StreamEnd) => {
                self.ended = true;
                Poll::Ready(None)
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
