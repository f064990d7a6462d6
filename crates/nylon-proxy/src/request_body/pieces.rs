//! The client's body, read as it comes.

use std::task::{Context, Poll, ready};

use nylon_plugin::{BodyError, BodyStream, StreamError};

use super::{ClientBody, Piece};

/// The body as it comes.
pub(super) struct Pieces {
    body: ClientBody,
    /// A body that turns out to be too long to be kept is the first reader's. Others wait until that is known.
    first: bool,
    /// Bytes that were given out and are kept.
    given: usize,
    /// Whether the trailers were.
    trailers: bool,
}

impl Pieces {
    pub(super) fn new(body: ClientBody, first: bool) -> Self {
        Self { body, first, given: 0, trailers: false }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, BodyError>>> {
        let mut reading = self.body.0.reading.borrow_mut();
        loop {
            if self.body.0.taken.get() {
                if !self.first {
                    return Poll::Ready(Some(Err(BodyError::Taken)));
                }
                reading.forget(std::mem::take(&mut self.given));
                drop(reading);
                return self.body.poll_piece(cx);
            }
            let known = self.first || self.body.0.length.is_some() || reading.ended;
            if known && let Some(piece) = reading.kept_from(self.given) {
                self.given += piece.len();
                return Poll::Ready(Some(Ok(Piece::Data(piece))));
            }
            if reading.ended {
                let given = std::mem::replace(&mut self.trailers, true);
                let trailers = reading.trailers.as_ref().filter(|_| !given);
                return Poll::Ready(trailers.map(|trailers| Ok(Piece::Trailers(trailers.clone()))));
            }
            if let Err(error) = ready!(self.body.poll_more(&mut reading, cx)) {
                return Poll::Ready(Some(Err(error)));
            }
        }
    }
}

/// The body on its way to the upstream.
pub(crate) struct Passage(Pieces);

impl Passage {
    pub(super) fn new(pieces: Pieces) -> Self {
        pieces.body.0.passing.set(true);
        Self(pieces)
    }

    /// The next piece.
    pub(crate) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, BodyError>>> {
        self.0.body.0.passing.set(false);
        let polled = self.0.poll_next(cx);
        self.0.body.0.passing.set(true);
        if polled.is_ready() {
            self.wake();
        }
        polled
    }

    /// Lets the one who waits look at what has come.
    fn wake(&self) {
        if let Some(waker) = self.0.body.0.waiting.take() {
            waker.wake();
        }
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        // From now on others read for themselves.
        self.0.body.0.passing.set(false);
        self.wake();
    }
}

impl BodyStream for Pieces {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<nylon_plugin::Piece, StreamError>>> {
        let piece = ready!(self.poll_next(cx));
        Poll::Ready(piece.map(|piece| match piece {
            Ok(Piece::Data(data)) => Ok(nylon_plugin::Piece::Data(data)),
            Ok(Piece::Trailers(trailers)) => Ok(nylon_plugin::Piece::Trailers(trailers)),
            Err(BodyError::Taken) => Err(StreamError::Taken),
            Err(error) => Err(StreamError::Source(error.to_string())),
        }))
    }
}
