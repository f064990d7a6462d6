//! Work without a network: what a phase asks for is kept until somebody looks at it.

use std::any::Any;
use std::sync::{
    Arc, Condvar, Mutex, Weak,
    atomic::{AtomicBool, AtomicU64, Ordering},
};
use std::time::Duration;

use bytes::Bytes;
use nylon_wire::{Action, Operation, Outcome, ResponseBody, ResponsePart, Snapshot, Text};

use crate::arrival::{Fetched, Which};
use crate::failure::Failure;
use crate::lock::lock;

/// A place for the SDK's own object of a session.
pub(crate) type Slot = Mutex<Option<Box<dyn Any + Send>>>;

/// A session that lives in memory.
pub(crate) struct Session {
    pub(crate) number: u64,
    pub(crate) entry: Text,
    pub(crate) snapshot: Snapshot,
    pub(crate) slot: Slot,
    running: Mutex<Weak<Run>>,
    body: Result<Bytes, usize>,
}

impl Session {
    /// With the request's body, or the limit that it exceeds.
    pub(crate) fn new(entry: &str, snapshot: Snapshot, body: Result<Bytes, usize>) -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let entry = Text::from(entry);
        Arc::new(Self { number, entry, snapshot, slot: Mutex::new(None), running: Mutex::default(), body })
    }

    /// A phase of it, the response's body with it.
    pub(crate) fn job(
        self: &Arc<Self>,
        payload: Option<Bytes>,
        response: Option<ResponsePart>,
        body: Bytes,
    ) -> MemoryJob {
        let run = Arc::new(Run::default());
        *lock(&self.running) = Arc::downgrade(&run);
        MemoryJob { session: Arc::clone(self), payload, response, run, body }
    }

    /// The client leaves while a phase runs.
    pub(crate) fn cancel(&self) {
        let running = lock(&self.running).upgrade();
        if let Some(run) = running {
            run.cancel();
        }
    }
}

/// One phase of it.
pub(crate) struct MemoryJob {
    pub(crate) session: Arc<Session>,
    pub(crate) payload: Option<Bytes>,
    pub(crate) response: Option<ResponsePart>,
    pub(crate) run: Arc<Run>,
    body: Bytes,
}

impl MemoryJob {
    pub(crate) fn body(&self, which: Which) -> Fetched {
        if self.run.cancelled() {
            return Err(Failure::ClientGone);
        }
        match which {
            Which::Request => self.session.body.clone().map_err(Failure::TooLarge),
            Which::Response => Ok(self.body.clone()),
        }
    }

    /// The answer's body, collected: in memory the answer comes as a whole.
    pub(crate) fn stream(&self, operations: Vec<Operation>) -> Arc<Stream> {
        let state = Streamed { operations, body: Vec::new(), ended: false };
        Arc::new(Stream { run: Arc::clone(&self.run), filters: self.response.is_some(), state: Mutex::new(state) })
    }
}

struct Streamed {
    operations: Vec<Operation>,
    body: Vec<u8>,
    ended: bool,
}

/// A stream of a phase in memory.
pub(crate) struct Stream {
    run: Arc<Run>,
    filters: bool,
    state: Mutex<Streamed>,
}

impl Stream {
    pub(crate) fn write(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut state = lock(&self.state);
        if self.run.cancelled() {
            return Err(Failure::ClientGone);
        }
        if state.ended {
            return Err(Failure::Other("it has ended".to_owned()));
        }
        state.body.extend_from_slice(bytes);
        Ok(())
    }

    pub(crate) fn end(&self, outcome: Outcome) {
        let mut state = lock(&self.state);
        if std::mem::replace(&mut state.ended, true) {
            return;
        }
        let mut operations = std::mem::take(&mut state.operations);
        operations.push(Operation::SetResponseBody(ResponseBody::Inline(std::mem::take(&mut state.body).into())));
        self.run.answer(match outcome {
            Outcome::Ok => Ok((operations, if self.filters { Action::Next } else { Action::End })),
            Outcome::Abort => {
                Err((nylon_wire::failure::HANDLER_ERROR.to_owned(), "the stream was cut short".to_owned(), None))
            }
        });
    }
}

impl Drop for MemoryJob {
    fn drop(&mut self) {
        // As on NATS: a job that nobody answers has failed.
        let text = "the handler ended without an answer".to_owned();
        self.run.answer(Err((nylon_wire::failure::HANDLER_ERROR.to_owned(), text, None)));
    }
}

pub(crate) type Answer = Result<(Vec<Operation>, Action), (String, String, Option<String>)>;
type Callback = Box<dyn FnOnce() + Send>;

/// What waits for the phase's outcome, and can cancel it.
#[derive(Default)]
pub(crate) struct Run {
    answer: Mutex<Option<Answer>>,
    answered: Condvar,
    /// Whether somebody waits for the answer, who has to be woken.
    waiting: AtomicBool,
    cancelled: AtomicBool,
    on_cancel: Mutex<Option<Callback>>,
}

impl Run {
    pub(crate) fn answer(&self, answer: Answer) {
        let waiting = {
            let mut slot = lock(&self.answer);
            slot.get_or_insert(answer);
            self.waiting.load(Ordering::Relaxed)
        };
        if waiting {
            self.answered.notify_all();
        }
        let _done = lock(&self.on_cancel).take();
    }

    /// The answer, once; none if it has not come in time.
    pub(crate) fn wait(&self, timeout: Duration) -> Option<Answer> {
        let answer = lock(&self.answer);
        self.waiting.store(true, Ordering::Relaxed);
        match self.answered.wait_timeout_while(answer, timeout, |answer| answer.is_none()) {
            Ok((mut answer, _)) => answer.take(),
            Err(poisoned) => poisoned.into_inner().0.take(),
        }
    }

    pub(crate) fn cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    pub(crate) fn on_cancel(&self, callback: Callback) {
        let mut slot = lock(&self.on_cancel);
        if self.cancelled() {
            drop(slot);
            callback();
        } else {
            *slot = Some(callback);
        }
    }

    fn cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
        let callback = lock(&self.on_cancel).take();
        if let Some(callback) = callback {
            callback();
        }
    }
}
