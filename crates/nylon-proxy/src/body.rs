//! The answer's body as the codec reads it. It carries the exchange: logging comes when the last byte is out, or will
//! never be.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use nylon_plugin::{BodyStream, Piece, StreamError};

use crate::{exchange::Course, up::UpstreamBody};

/// Where the bytes come from.
pub(crate) enum Source {
    Empty,
    Full(Bytes),
    /// The upstream's body behind what has been read of it already.
    Upstream {
        front: Bytes,
        body: UpstreamBody,
    },
    /// A body that plugins make or filter while it is sent.
    Stream(Passing),
}

impl Source {
    fn left(&self) -> Option<u64> {
        match self {
            Self::Empty => Some(0),
            Self::Full(bytes) => Some(bytes.len() as u64),
            Self::Upstream { front, body } => body.left().map(|left| left + front.len() as u64),
            Self::Stream(passing) => passing.left,
        }
    }

    fn is_end(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(bytes) => bytes.is_empty(),
            Self::Upstream { front, body } => front.is_empty() && body.is_end(),
            Self::Stream(passing) => passing.left == Some(0),
        }
    }
}

/// The body of an answer.
pub(crate) struct AnswerBody {
    source: Source,
    course: Option<Box<Course>>,
}

impl AnswerBody {
    pub(crate) fn new(source: Source, course: Option<Box<Course>>) -> Self {
        let mut body = Self { source, course };
        body.note_end();
        body
    }

    fn note_end(&mut self) {
        if self.source.is_end()
            && let Some(course) = &mut self.course
        {
            course.complete();
        }
    }
}

impl AnswerBody {
    fn poll_stream(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let (Source::Stream(passing), Some(course)) = (&mut self.source, &mut self.course) else {
            return Poll::Ready(None);
        };
        let frame = match ready!(passing.poll_piece(course, cx)) {
            Some(Ok(Piece::Data(data))) => {
                course.sent(data.len());
                Some(Ok(Frame::data(data)))
            }
            // Nothing follows trailers, and the codec does not ask.
            Some(Ok(Piece::Trailers(trailers))) => {
                self.source = Source::Empty;
                Some(Ok(Frame::trailers(trailers)))
            }
            Some(Err(error)) => {
                course.break_off(&error, matches!(error, StreamError::Source(_)));
                Some(Err(BrokenOff))
            }
            None => {
                self.source = Source::Empty;
                None
            }
        };
        self.note_end();
        Poll::Ready(frame)
    }
}

/// A stream on its way into the socket.
pub(crate) struct Passing {
    stream: Box<dyn BodyStream>,
    /// Handed to the codec and not known to be in the socket, bytes.
    ahead: usize,
    /// [`ConnectionState::drains`](crate::down::ConnectionState::drains) when the last piece was handed over.
    drains: u64,
    /// Bytes that are still to come, where plugins have left the service's body as it is.
    left: Option<u64>,
}

impl Passing {
    /// The codec gets no more than this before it has written it, in bytes: only what is in the socket has moved on.
    const AHEAD: usize = 16 * 1024;

    pub(crate) fn new(stream: Box<dyn BodyStream>, left: Option<u64>) -> Self {
        Self { stream, ahead: 0, drains: 0, left }
    }

    fn poll_piece(&mut self, course: &Course, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, StreamError>>> {
        let connection = course.connection();
        if self.ahead > 0 && connection.drains() != self.drains {
            self.ahead = 0;
            self.stream.moved_on();
        }
        if self.ahead >= Self::AHEAD {
            connection.wake_when_drained(cx);
            return Poll::Pending;
        }
        match self.stream.poll_piece(cx) {
            Poll::Ready(piece) => {
                if let Some(Ok(Piece::Data(data))) = &piece {
                    self.ahead += data.len();
                    self.drains = connection.drains();
                    self.left = self.left.map(|left| left.saturating_sub(data.len() as u64));
                }
                Poll::Ready(piece)
            }
            Poll::Pending => {
                if self.ahead > 0 {
                    connection.wake_when_drained(cx);
                }
                Poll::Pending
            }
        }
    }
}

/// An upstream's body as filters read it.
pub(crate) struct Unfiltered {
    pub(crate) front: Bytes,
    pub(crate) body: UpstreamBody,
}

impl BodyStream for Unfiltered {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, StreamError>>> {
        if !self.front.is_empty() {
            return Poll::Ready(Some(Ok(Piece::Data(std::mem::take(&mut self.front)))));
        }
        loop {
            let piece = match ready!(self.body.poll_frame(cx)) {
                None => None,
                Some(Err(failure)) => Some(Err(StreamError::Source(failure.to_string()))),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if data.is_empty() => continue,
                    Ok(data) => Some(Ok(Piece::Data(data))),
                    Err(frame) => frame.into_trailers().ok().map(|trailers| Ok(Piece::Trailers(trailers))),
                },
            };
            return Poll::Ready(piece);
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let this = self.get_mut();
        if matches!(this.source, Source::Stream(_)) {
            return this.poll_stream(cx);
        }
        let frame = match &mut this.source {
            Source::Empty | Source::Stream(_) => None,
            Source::Full(bytes) if bytes.is_empty() => None,
            Source::Full(bytes) => Some(Frame::data(std::mem::take(bytes))),
            Source::Upstream { front, .. } if !front.is_empty() => Some(Frame::data(std::mem::take(front))),
            Source::Upstream { body, .. } => match ready!(body.poll_frame(cx)) {
                None => None,
                Some(Ok(frame)) => Some(frame),
                Some(Err(error)) => {
                    if let Some(course) = &mut this.course {
                        course.break_off(&error, true);
                    }
                    return Poll::Ready(Some(Err(BrokenOff)));
                }
            },
        };
        if let (Some(course), Some(data)) = (&mut this.course, frame.as_ref().and_then(Frame::data_ref)) {
            course.sent(data.len());
        }
        this.note_end();
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.source.is_end()
    }

    fn size_hint(&self) -> SizeHint {
        self.source.left().map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// The upstream or a plugin broke off after the head had gone out. The connection is reset.
#[derive(Debug, thiserror::Error)]
#[error("the answer broke off")]
pub(crate) struct BrokenOff;
