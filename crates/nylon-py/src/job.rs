//! A piece of work, wherever it comes from: NATS, or memory (tests, in-process plugins).

pub(crate) mod memory;

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use nylon_messaging::worker::{self, Body, OnVerdict, SocketError};
use nylon_wire::{Action, Operation, Outcome, Phase, ResponsePart, Snapshot, Text};

use self::memory::{MemoryJob, Slot};
use crate::arrival::{Arrival, Fetched, OnArrival, Which};
use crate::failure::Failure;
use crate::lock::lock;

/// One phase to be run.
pub(crate) struct Job {
    pub(crate) origin: Origin,
    pub(crate) phase: Phase,
    /// The session's object has to wait for another run, whatever phases there are.
    pub(crate) repeats: bool,
    pub(crate) work: Work,
}

impl Job {
    pub(crate) fn memory(job: MemoryJob, phase: Phase) -> Self {
        let origin = Origin::Memory(Arc::clone(&job.session));
        Self { origin, phase, repeats: false, work: Work::Memory(Box::new(job)) }
    }

    /// A phase of a worker; gives the job back if it is something else.
    pub(crate) fn of(job: worker::Job) -> Result<Self, worker::Job> {
        match (job.session().cloned(), job.phase()) {
            (Some(session), Some(phase)) => {
                Ok(Self { origin: Origin::Nats(session), phase, repeats: job.repeats(), work: Work::Nats(job) })
            }
            _ => Err(job),
        }
    }
}

/// Where a session comes from.
pub(crate) enum Origin {
    Memory(Arc<memory::Session>),
    Nats(Arc<worker::Session>),
    Copied(Box<Copied>),
}

/// What is to be known about a session without holding it: what waits in its slot must not keep it.
pub(crate) struct Copied {
    number: u64,
    uid: String,
    entry: Text,
    snapshot: Snapshot,
}

impl Origin {
    pub(crate) fn copied(&self) -> Self {
        Self::Copied(Box::new(Copied {
            number: self.number(),
            uid: self.uid(),
            entry: Text::from(self.entry()),
            snapshot: self.snapshot().clone(),
        }))
    }

    /// Name of the entry.
    pub(crate) fn entry(&self) -> &str {
        match self {
            Self::Memory(session) => session.entry.as_str(),
            Self::Nats(session) => session.entry(),
            Self::Copied(copied) => copied.entry.as_str(),
        }
    }

    /// Where the entry probably is among those of the plugin: a worker is told of them in the same order.
    pub(crate) fn entry_index(&self) -> usize {
        match self {
            Self::Nats(session) => session.entry_index(),
            Self::Memory(_) | Self::Copied(_) => 0,
        }
    }

    /// Counter local to this process.
    pub(crate) fn number(&self) -> u64 {
        match self {
            Self::Memory(session) => session.number,
            Self::Nats(session) => session.number(),
            Self::Copied(copied) => copied.number,
        }
    }

    /// The session's global id, hexadecimal.
    pub(crate) fn uid(&self) -> String {
        match self {
            Self::Memory(session) => format!("{:032x}", session.number),
            Self::Nats(session) => session.uid(),
            Self::Copied(copied) => copied.uid.clone(),
        }
    }

    /// The request as the gateway saw it.
    pub(crate) fn snapshot(&self) -> &Snapshot {
        match self {
            Self::Memory(session) => &session.snapshot,
            Self::Nats(session) => session.snapshot(),
            Self::Copied(copied) => &copied.snapshot,
        }
    }

    /// A place for what lives between two phases; a copy has none.
    pub(crate) fn slot(&self) -> Option<&Slot> {
        match self {
            Self::Memory(session) => Some(&session.slot),
            Self::Nats(session) => Some(session.user()),
            Self::Copied(_) => None,
        }
    }
}

/// What owes an answer.
pub(crate) enum Work {
    Memory(Box<MemoryJob>),
    Nats(worker::Job),
}

impl Work {
    pub(crate) fn payload(&self) -> Option<Bytes> {
        match self {
            Self::Memory(job) => job.payload.clone(),
            Self::Nats(job) => job.payload().cloned(),
        }
    }

    pub(crate) fn response(&self) -> Option<ResponsePart> {
        match self {
            Self::Memory(job) => job.response.clone(),
            Self::Nats(job) => job.response().cloned(),
        }
    }

    /// A task that runs it takes its first step.
    pub(crate) fn begins(&self) {
        match self {
            Self::Memory(_) => {}
            Self::Nats(job) => job.begins(),
        }
    }

    pub(crate) fn cancelled(&self) -> bool {
        match self {
            Self::Memory(job) => job.run.cancelled(),
            Self::Nats(job) => job.cancelled(),
        }
    }

    /// Calls back when the phase is cancelled, from any thread; at once if it is.
    pub(crate) fn on_cancel(&self, callback: impl FnOnce() + Send + 'static) {
        match self {
            Self::Memory(job) => job.run.on_cancel(Box::new(callback)),
            Self::Nats(job) => job.on_cancel(Box::new(move |_| callback())),
        }
    }

    /// Calls back with the body, from any thread, perhaps at once.
    pub(crate) fn fetch(&self, which: Which, done: Box<dyn FnOnce(Fetched) + Send>) {
        match self {
            Self::Memory(job) => done(job.body(which)),
            Self::Nats(job) => {
                let body = match which {
                    Which::Request => Body::Request,
                    Which::Response => Body::Response,
                };
                job.fetch(body, usize::MAX, Box::new(move |fetched| done(fetched.map_err(Failure::from))));
            }
        }
    }

    /// Begins to stream the answer's body behind this head.
    pub(crate) fn stream(&self, operations: Vec<Operation>) -> Result<Writer, Failure> {
        match self {
            Self::Memory(job) => Ok(Writer::Memory(job.stream(operations))),
            Self::Nats(job) => job.stream(operations).map(Writer::Nats).map_err(Failure::from),
        }
    }

    /// Asks for a WebSocket behind this head; calls back with the verdict.
    pub(crate) fn upgrade(
        &self,
        operations: Vec<Operation>,
        max_message: usize,
        subprotocol: Option<&str>,
        verdict: OnVerdict,
    ) {
        match self {
            Self::Memory(_) => {
                let why = "a session in memory has no websocket: it needs a gateway";
                verdict(Err(SocketError::NotAvailable(why.to_owned())));
            }
            Self::Nats(job) => job.upgrade(operations, max_message, subprotocol, verdict),
        }
    }

    /// A body as it comes.
    pub(crate) fn read(&self, which: Which) -> Reader {
        match self {
            Self::Memory(job) => Reader::Memory(Arc::new(Mutex::new(Some(job.body(which))))),
            Self::Nats(job) => Reader::Nats(job.read(match which {
                Which::Request => Body::Request,
                Which::Response => Body::Response,
            })),
        }
    }

    pub(crate) fn finish(self, operations: Vec<Operation>, action: Action) {
        match self {
            Self::Memory(job) => job.run.answer(Ok((operations, action))),
            Self::Nats(job) => job.finish(operations, action),
        }
    }

    pub(crate) fn fail(self, code: &str, text: &str, log_id: Option<&str>) {
        match self {
            Self::Memory(job) => {
                job.run.answer(Err((code.to_owned(), text.to_owned(), log_id.map(str::to_owned))));
            }
            Self::Nats(job) => job.fail(code, text, log_id.map(str::to_owned)),
        }
    }
}

/// Where the pieces of a body go.
#[derive(Clone)]
pub(crate) enum Writer {
    Memory(Arc<memory::Stream>),
    Nats(Arc<worker::StreamWriter>),
}

impl Writer {
    pub(crate) fn write(&self, bytes: Bytes, done: OnArrival) {
        match self {
            Self::Memory(stream) => done(stream.write(&bytes).map(|()| Arrival::Done)),
            Self::Nats(writer) => writer
                .write(bytes, Box::new(move |written| done(written.map(|()| Arrival::Done).map_err(Failure::from)))),
        }
    }

    pub(crate) fn end(&self, outcome: Outcome) -> Result<(), Failure> {
        match self {
            Self::Memory(stream) => {
                stream.end(outcome);
                Ok(())
            }
            Self::Nats(writer) => writer.end(outcome).map_err(Failure::from),
        }
    }
}

/// Where the pieces of a body come from.
#[derive(Clone)]
pub(crate) enum Reader {
    /// In one piece.
    Memory(Arc<Mutex<Option<Fetched>>>),
    Nats(Arc<worker::BodyReader>),
}

impl Reader {
    /// Calls back with the next piece, none at the end, from any thread, perhaps at once.
    pub(crate) fn read(&self, done: Box<dyn FnOnce(Result<Option<Bytes>, Failure>) + Send>) {
        match self {
            Self::Memory(body) => {
                let body = lock(body).take();
                done(body.transpose().map(|body| body.filter(|bytes| !bytes.is_empty())));
            }
            Self::Nats(reader) => reader.read(Box::new(move |piece| done(piece.map_err(Failure::from)))),
        }
    }
}
