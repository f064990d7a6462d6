//! The answer that a library sends piece by piece.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use nylon_plugin::{BodyStream, Piece, PluginError, PluginErrorKind, StreamError};
use tokio::time::{Instant, Sleep, sleep};

use crate::{shared::Shared, state::Event};

/// A stream in which nothing moves for so long is cut.
const IDLE: Duration = Duration::from_secs(300);

pub(crate) struct FfiStream {
    session: Arc<Shared>,
    idle: Pin<Box<Sleep>>,
    ended: bool,
}

impl FfiStream {
    pub(crate) fn new(session: Arc<Shared>) -> Self {
        Self { session, idle: Box::pin(sleep(IDLE)), ended: false }
    }

    fn broken(&mut self, error: PluginError) -> Poll<Option<Result<Piece, StreamError>>> {
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
        match self.session.poll_event(cx) {
            Poll::Ready(Event::Data(bytes)) => {
                self.moved();
                Poll::Ready(Some(Ok(Piece::Data(bytes))))
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
