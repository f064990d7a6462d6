//! A request body on its way to the upstream while the answer may already come back: the only part of an exchange
//! that is a task of its own.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    io::{self, IoSlice, Write as _},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::{Buf, Bytes};
use http::HeaderMap;
use nylon_plugin::BodyError;
use tokio::{io::AsyncWrite, net::tcp::OwnedWriteHalf, task::AbortHandle};

use super::request::Framing;
use crate::{
    clock::{Clock, Watch},
    request_body::{Passage, Piece},
};

/// A running upload. Dropping it ends it.
pub(crate) struct Upload {
    shared: Rc<Shared>,
    task: AbortHandle,
}

#[derive(Default)]
struct Shared {
    state: RefCell<State>,
    waker: Cell<Option<Waker>>,
}

#[derive(Default)]
enum State {
    #[default]
    Running,
    /// Everything is written.
    Done(OwnedWriteHalf),
    /// The client did not send all of it.
    Client(BodyError),
    /// The upstream did not take all of it. What it answers counts.
    Upstream(io::Error),
    /// The outcome was taken.
    Taken,
}

/// How an upload stands.
pub(crate) enum Outcome {
    Running,
    Done,
    Client(BodyError),
    Upstream(io::ErrorKind),
}

impl Upload {
    /// Writes the head and then the body.
    pub(crate) fn start(
        mut writing: OwnedWriteHalf,
        head: Vec<u8>,
        body: Passage,
        framing: Framing,
        limit: Duration,
        clock: &Clock,
    ) -> Self {
        let shared = Rc::new(Shared::default());
        let (mine, clock) = (shared.clone(), clock.clone());
        let task = tokio::task::spawn_local(async move {
            let result = run(&mut writing, head, body, framing, limit, &clock).await;
            // An upload that failed lets go of its half: the upstream sees a body that ends before its length or its
            // last chunk.
            let state = match result {
                Ok(()) => State::Done(writing),
                Err(Error::Client(error)) => State::Client(error),
                Err(Error::Upstream(error)) => State::Upstream(error),
            };
            mine.finish(state);
        });
        Self { shared, task: task.abort_handle() }
    }

    /// How it stands; the task is woken when that changes.
    pub(crate) fn outcome(&self, cx: &Context<'_>) -> Outcome {
        match &*self.shared.state.borrow() {
            State::Running => {
                self.shared.waker.set(Some(cx.waker().clone()));
                Outcome::Running
            }
            State::Done(_) | State::Taken => Outcome::Done,
            State::Client(error) => Outcome::Client(error.clone()),
            State::Upstream(error) => Outcome::Upstream(error.kind()),
        }
    }

    /// The writing half, if all is written.
    pub(crate) fn take(&self) -> Option<OwnedWriteHalf> {
        let mut state = self.shared.state.borrow_mut();
        match std::mem::replace(&mut *state, State::Taken) {
            State::Done(writing) => Some(writing),
            other => {
                *state = other;
                None
            }
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn finish(&self, state: State) {
        *self.state.borrow_mut() = state;
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

enum Error {
    Client(BodyError),
    Upstream(io::Error),
}

async fn run(
    writing: &mut OwnedWriteHalf,
    head: Vec<u8>,
    mut body: Passage,
    framing: Framing,
    limit: Duration,
    clock: &Clock,
) -> Result<(), Error> {
    let mut writer = Writer { writing, limit, watch: clock.watch() };
    let mut before = head;
    let mut trailers = HeaderMap::new();
    loop {
        // The head does not wait for the body, but a body that is here already leaves with it.
        let polled = poll_fn(|cx| Poll::Ready(body.poll_piece(cx))).await;
        let piece = match polled {
            Poll::Ready(piece) => piece,
            Poll::Pending => {
                writer.write(&mut before, Bytes::new(), b"").await?;
                poll_fn(|cx| body.poll_piece(cx)).await
            }
        };
        match piece {
            Some(Ok(Piece::Data(data))) => {
                if framing == Framing::Chunked {
                    // Writing to memory cannot fail.
                    drop(write!(before, "{:x}\r\n", data.len()));
                    writer.write(&mut before, data, b"\r\n").await?;
                } else {
                    writer.write(&mut before, data, b"").await?;
                }
            }
            Some(Ok(Piece::Trailers(section))) => trailers = section,
            Some(Err(error)) => return Err(Error::Client(error)),
            None => break,
        }
    }
    if framing == Framing::Chunked {
        before.extend_from_slice(b"0\r\n");
        for (name, value) in &trailers {
            for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                before.extend_from_slice(part);
            }
        }
        before.extend_from_slice(b"\r\n");
    }
    writer.write(&mut before, Bytes::new(), b"").await
}

struct Writer<'a> {
    writing: &'a mut OwnedWriteHalf,
    limit: Duration,
    watch: Watch,
}

impl Writer<'_> {
    /// Writes all three parts and empties the first.
    async fn write(&mut self, before: &mut Vec<u8>, mut data: Bytes, mut after: &[u8]) -> Result<(), Error> {
        let mut written = 0;
        let result = poll_fn(|cx| {
            while written < before.len() || !data.is_empty() || !after.is_empty() {
                let slices = [IoSlice::new(&before[written..]), IoSlice::new(&data), IoSlice::new(after)];
                match Pin::new(&mut *self.writing).poll_write_vectored(cx, &slices) {
                    Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    Poll::Ready(Ok(mut count)) => {
                        self.watch.disarm();
                        let here = count.min(before.len() - written);
                        (written, count) = (written + here, count - here);
                        let here = count.min(data.len());
                        data.advance(here);
                        after = &after[count - here..];
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending if self.watch.expired() => return Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
                    Poll::Pending => {
                        if !self.watch.is_armed() {
                            self.watch.arm(self.limit);
                        }
                        self.watch.wake(cx);
                        return Poll::Pending;
                    }
                }
            }
            Poll::Ready(Ok(()))
        })
        .await;
        before.clear();
        result.map_err(Error::Upstream)
    }
}
