//! The answer's body as the codec reads it. It carries the exchange: logging comes when the last byte is out, or will
//! never be.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

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
}

impl Source {
    fn left(&self) -> Option<u64> {
        match self {
            Self::Empty => Some(0),
            Self::Full(bytes) => Some(bytes.len() as u64),
            Self::Upstream { front, body } => body.left().map(|left| left + front.len() as u64),
        }
    }

    fn is_end(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(bytes) => bytes.is_empty(),
            Self::Upstream { front, body } => front.is_empty() && body.is_end(),
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

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let this = self.get_mut();
        let frame = match &mut this.source {
            Source::Empty => None,
            Source::Full(bytes) if bytes.is_empty() => None,
            Source::Full(bytes) => Some(Frame::data(std::mem::take(bytes))),
            Source::Upstream { front, .. } if !front.is_empty() => Some(Frame::data(std::mem::take(front))),
            Source::Upstream { body, .. } => match ready!(body.poll_frame(cx)) {
                None => None,
                Some(Ok(frame)) => Some(frame),
                Some(Err(error)) => {
                    if let Some(course) = &mut this.course {
                        course.break_off(&error);
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

/// The upstream broke off after the head had gone out. The connection is reset.
#[derive(Debug, thiserror::Error)]
#[error("the answer broke off")]
pub(crate) struct BrokenOff;
