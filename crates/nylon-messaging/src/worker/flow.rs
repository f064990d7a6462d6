//! The two directions of a session that streams, as user code holds them: what is written waits for the gateway's credit,
//! what is read gives credit back when it is taken (rules §8).

use std::{collections::VecDeque, sync::Arc, sync::Mutex};

use bytes::{Bytes, BytesMut};
use nylon_wire::{AbortReason, Credit, Outcome};

use super::{FetchError, outbox::Event, run::Run, shared::Shared};
use crate::lock::lock;

/// So much may have been taken before the I/O thread hears of it, in bytes: less would wake it for every piece.
const TELL_AFTER: u64 = 4 << 10;

/// Why nothing more can be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The session ended meanwhile.
    #[error("writing to a stream: the session was aborted ({0:?})")]
    Cancelled(AbortReason),
    /// The stream has ended.
    #[error("writing to a stream: it has ended")]
    Ended,
    /// This phase has no body to stream, or has begun to stream it before.
    #[error("streaming a body: {0}")]
    NotAvailable(&'static str),
    /// The head does not fit into a frame, bytes.
    #[error("streaming a body: its head has {0} bytes, which is too much")]
    HeadTooLarge(usize),
    /// The worker is closed.
    #[error("writing to a stream: the worker is closed")]
    Closed,
}

/// Called once when everything that was written is on its way, or will never be.
pub type OnWritten = Box<dyn FnOnce(Result<(), WriteError>) + Send>;

/// Called once with the next piece of a body; `None` at its end.
pub type OnPiece = Box<dyn FnOnce(Result<Option<Bytes>, FetchError>) + Send>;

struct Waiting {
    bytes: Bytes,
    done: Option<OnWritten>,
}

struct Out {
    /// None until STREAM is sent.
    credit: Option<Credit>,
    id: u32,
    chunk: usize,
    /// Not covered by credit yet.
    waiting: VecDeque<Waiting>,
    /// Paid for; the I/O thread takes it from here.
    ready: VecDeque<Bytes>,
    end: Option<Outcome>,
    closed: Option<WriteError>,
}

impl Out {
    /// Pays for as much as credit covers. What waits for it is joined; what need not wait is not. Returns whose writes are
    /// through.
    fn advance(&mut self) -> Vec<OnWritten> {
        let mut through = Vec::new();
        let Some(credit) = &mut self.credit else { return through };
        while !self.waiting.is_empty() {
            let wanted = self.waiting.iter().map(|waiting| waiting.bytes.len()).sum::<usize>().min(self.chunk);
            let length = credit.allowance(wanted);
            if length == 0 || !credit.take(length) {
                break;
            }
            let mut piece = BytesMut::new();
            let mut only = Bytes::new();
            let mut left = length;
            while let Some(first) = self.waiting.front_mut() {
                let part = first.bytes.split_to(left.min(first.bytes.len()));
                left -= part.len();
                if part.len() == length {
                    only = part;
                } else {
                    piece.extend_from_slice(&part);
                }
                if !first.bytes.is_empty() {
                    break;
                }
                through.extend(self.waiting.pop_front().and_then(|waiting| waiting.done));
                if left == 0 {
                    break;
                }
            }
            self.ready.push_back(if only.is_empty() { piece.freeze() } else { only });
        }
        through
    }
}

/// A body on its way to the gateway. Dropping it does not end it: who began it owes [`StreamWriter::end`].
pub struct StreamWriter {
    shared: Arc<Shared>,
    run: Arc<Run>,
    out: Mutex<Out>,
}

impl StreamWriter {
    pub(super) fn new(shared: Arc<Shared>, run: Arc<Run>) -> Arc<Self> {
        let out = Out {
            credit: None,
            id: 0,
            chunk: 1,
            waiting: VecDeque::new(),
            ready: VecDeque::new(),
            end: None,
            closed: None,
        };
        Arc::new(Self { shared, run, out: Mutex::new(out) })
    }

    /// Writes what credit covers at once; calls back when the rest is on its way too: at once, or from the I/O thread,
    /// where it must not block.
    pub fn write(&self, bytes: Bytes, done: OnWritten) {
        let (through, flush) = {
            let mut out = lock(&self.out);
            let refused = out.closed.clone().or(out.end.map(|_| WriteError::Ended));
            if let Some(error) = refused {
                drop(out);
                return done(Err(error));
            }
            if bytes.is_empty() {
                drop(out);
                return done(Ok(()));
            }
            out.waiting.push_back(Waiting { bytes, done: Some(done) });
            (out.advance(), !out.ready.is_empty())
        };
        if flush {
            self.shared.outbox.push(Event::Write(self.run.clone()));
        }
        through.into_iter().for_each(|done| done(Ok(())));
    }

    /// Ends the body behind what was written, or cuts it short. The first end counts.
    ///
    /// # Errors
    /// The session is over, so nobody hears of this end.
    pub fn end(&self, outcome: Outcome) -> Result<(), WriteError> {
        let dropped = {
            let mut out = lock(&self.out);
            if let Some(error) = &out.closed {
                return Err(error.clone());
            }
            if out.end.is_some() {
                return Ok(());
            }
            out.end = Some(outcome);
            if outcome == Outcome::Abort { std::mem::take(&mut out.waiting) } else { VecDeque::new() }
        };
        self.shared.outbox.push(Event::Write(self.run.clone()));
        tell(dropped, &WriteError::Ended);
        Ok(())
    }

    /// Whether it has ended, or nothing can be written any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        let out = lock(&self.out);
        out.end.is_some() || out.closed.is_some()
    }

    /// STREAM is sent: from now on credit counts.
    pub(super) fn open(&self, id: u32, credit: Credit, chunk: usize) {
        let through = {
            let mut out = lock(&self.out);
            (out.id, out.credit, out.chunk) = (id, Some(credit), chunk);
            out.advance()
        };
        through.into_iter().for_each(|done| done(Ok(())));
    }

    pub(super) fn grant(&self, bytes: u32) {
        let through = {
            let mut out = lock(&self.out);
            if let Some(credit) = &mut out.credit {
                credit.grant(bytes);
            }
            out.advance()
        };
        through.into_iter().for_each(|done| done(Ok(())));
    }

    /// What is to be sent, and the end if it comes right behind. With the credit that is left then.
    pub(super) fn take(&self) -> (u32, VecDeque<Bytes>, Option<(Outcome, Credit)>) {
        let mut out = lock(&self.out);
        let ready = std::mem::take(&mut out.ready);
        let end = out.end.filter(|_| out.waiting.is_empty());
        let end = end.map(|end| (end, out.credit.take().unwrap_or(Credit::new(0))));
        (out.id, ready, end)
    }

    /// Nothing can be written any more.
    pub(super) fn close(&self, error: &WriteError) {
        let waiting = {
            let mut out = lock(&self.out);
            out.closed.get_or_insert_with(|| error.clone());
            out.ready.clear();
            std::mem::take(&mut out.waiting)
        };
        tell(waiting, error);
    }
}

fn tell(waiting: VecDeque<Waiting>, error: &WriteError) {
    waiting.into_iter().filter_map(|waiting| waiting.done).for_each(|done| done(Err(error.clone())));
}

#[derive(Default)]
struct In {
    pieces: VecDeque<Bytes>,
    end: Option<Result<(), FetchError>>,
    waiter: Option<OnPiece>,
    /// Cost of what was taken and not told yet.
    taken: u64,
    /// Nobody reads any more.
    closed: bool,
}

/// A body on its way from the gateway.
pub struct BodyReader {
    shared: Arc<Shared>,
    run: Arc<Run>,
    inner: Mutex<In>,
}

impl BodyReader {
    pub(super) fn new(shared: Arc<Shared>, run: Arc<Run>) -> Arc<Self> {
        Arc::new(Self { shared, run, inner: Mutex::default() })
    }

    /// One whose body is here, or cannot be had.
    pub(super) fn known(shared: Arc<Shared>, run: Arc<Run>, body: Result<Bytes, FetchError>) -> Arc<Self> {
        let mut inner = In::default();
        inner.end = Some(body.map(|bytes| {
            if !bytes.is_empty() {
                inner.pieces.push_back(bytes);
            }
        }));
        // Nothing of this is credit.
        Arc::new(Self { shared, run, inner: Mutex::new(inner) })
    }

    /// Calls back with the next piece: at once if it is here, else from the I/O thread, where it must not block. One read
    /// at a time; an earlier one that still waits is refused.
    pub fn read(self: &Arc<Self>, done: OnPiece) {
        let mut inner = lock(&self.inner);
        if let Some(piece) = inner.pieces.pop_front() {
            inner.taken += Credit::cost(piece.len());
            let tell = inner.end.is_none() && (inner.taken >= TELL_AFTER || inner.pieces.is_empty());
            drop(inner);
            if tell {
                self.shared.outbox.push(Event::Took { run: self.run.clone(), reader: self.clone() });
            }
            return done(Ok(Some(piece)));
        }
        if let Some(end) = inner.end.clone() {
            drop(inner);
            return done(end.map(|()| None));
        }
        let before = inner.waiter.replace(done);
        drop(inner);
        if let Some(before) = before {
            before(Err(FetchError::NotAvailable));
        }
    }

    /// A piece is here. Returns the cost of what was taken with it.
    pub(super) fn push(&self, piece: Bytes) -> u64 {
        let cost = Credit::cost(piece.len());
        let mut inner = lock(&self.inner);
        if inner.closed || piece.is_empty() {
            return cost;
        }
        match inner.waiter.take() {
            Some(waiter) => {
                drop(inner);
                waiter(Ok(Some(piece)));
                cost
            }
            None => {
                inner.pieces.push_back(piece);
                0
            }
        }
    }

    /// Nothing more comes.
    pub(super) fn finish(&self, end: Result<(), FetchError>) {
        let waiter = {
            let mut inner = lock(&self.inner);
            if end.is_err() {
                inner.pieces.clear();
            }
            inner.end.get_or_insert_with(|| end.clone());
            inner.waiter.take()
        };
        if let Some(waiter) = waiter {
            waiter(end.map(|()| None));
        }
    }

    /// Cost of what was taken since the last call.
    pub(super) fn taken(&self) -> u64 {
        std::mem::take(&mut lock(&self.inner).taken)
    }

    /// The phase is over before the body was: whoever reads on is told so. Cost of what was here.
    pub(super) fn close(&self) -> u64 {
        let over = FetchError::Cancelled(AbortReason::Stale);
        let (left, waiter) = {
            let mut inner = lock(&self.inner);
            inner.closed = true;
            inner.end = Some(Err(over.clone()));
            let left: u64 = inner.pieces.drain(..).map(|piece| Credit::cost(piece.len())).sum();
            (left + std::mem::take(&mut inner.taken), inner.waiter.take())
        };
        if let Some(waiter) = waiter {
            waiter(Err(over));
        }
        left
    }
}
