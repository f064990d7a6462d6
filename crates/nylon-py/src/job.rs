//! A piece of work, wherever it comes from: NATS, or memory (tests, in-process plugins).

use std::any::Any;
use std::sync::Mutex;

use bytes::Bytes;
use nylon_messaging::worker::{self, Body, FetchError};
use nylon_wire::{AbortReason, Action, Operation, Phase, ResponsePart, Snapshot, Text, failure};

use crate::fetch::{FetchFailure, Fetched, Which};
use crate::memory::MemoryJob;

/// A place for the SDK's own object of a session.
pub(crate) type Slot = Mutex<Option<Box<dyn Any + Send>>>;

/// One phase to be run.
pub(crate) enum Job {
    Memory(MemoryJob),
    /// With its session, which only a phase has.
    Nats(worker::Job, std::sync::Arc<worker::Session>, Phase),
}

impl Job {
    /// A phase of a worker; gives the job back if it is something else.
    pub(crate) fn of(job: worker::Job) -> Result<Self, worker::Job> {
        match (job.session().cloned(), job.phase()) {
            (Some(session), Some(phase)) => Ok(Self::Nats(job, session, phase)),
            _ => Err(job),
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        match self {
            Self::Memory(job) => job.phase,
            Self::Nats(_, _, phase) => *phase,
        }
    }

    /// Name of the entry.
    pub(crate) fn entry(&self) -> &str {
        match self {
            Self::Memory(job) => job.session.entry.as_str(),
            Self::Nats(_, session, _) => session.entry(),
        }
    }

    /// Number and global id of the session.
    pub(crate) fn session(&self) -> (u64, String) {
        match self {
            Self::Memory(job) => (job.session.number, job.session.uid.clone()),
            Self::Nats(_, session, _) => (session.number(), session.uid()),
        }
    }

    pub(crate) fn snapshot(&self) -> &Snapshot {
        match self {
            Self::Memory(job) => &job.session.snapshot,
            Self::Nats(_, session, _) => session.snapshot(),
        }
    }

    pub(crate) fn payload(&self) -> Option<Bytes> {
        match self {
            Self::Memory(job) => job.payload.clone(),
            Self::Nats(job, ..) => job.payload().cloned(),
        }
    }

    pub(crate) fn response(&self) -> Option<ResponsePart> {
        match self {
            Self::Memory(job) => job.response.clone(),
            Self::Nats(job, ..) => job.response().cloned(),
        }
    }

    pub(crate) fn slot(&self) -> &Slot {
        match self {
            Self::Memory(job) => &job.session.slot,
            Self::Nats(_, session, _) => session.user(),
        }
    }

    pub(crate) fn cancelled(&self) -> bool {
        match self {
            Self::Memory(job) => job.run.cancelled(),
            Self::Nats(job, ..) => job.cancelled(),
        }
    }

    /// Calls back when the phase is cancelled, from any thread; at once if it is.
    pub(crate) fn on_cancel(&self, callback: Box<dyn FnOnce() + Send>) {
        match self {
            Self::Memory(job) => job.run.on_cancel(callback),
            Self::Nats(job, ..) => job.on_cancel(Box::new(move |_| callback())),
        }
    }

    /// Calls back with the body, from any thread, perhaps at once.
    pub(crate) fn fetch(&self, which: Which, done: Box<dyn FnOnce(Fetched) + Send>) {
        match self {
            Self::Memory(job) => done(job.body(which)),
            Self::Nats(job, ..) => {
                let body = match which {
                    Which::Request => Body::Request,
                    Which::Response => Body::Response,
                };
                job.fetch(body, usize::MAX, Box::new(move |fetched| done(fetched.map_err(into_failure))));
            }
        }
    }

    pub(crate) fn finish(self, operations: Vec<Operation>, action: Action) {
        match self {
            Self::Memory(job) => job.run.answer(Ok((operations, action))),
            Self::Nats(job, ..) => job.finish(operations, action),
        }
    }

    pub(crate) fn fail(self, code: &str, text: &str, log_id: Option<&str>) {
        match self {
            Self::Memory(job) => {
                job.run.answer(Err((code.to_owned(), text.to_owned(), log_id.map(str::to_owned))));
            }
            Self::Nats(job, ..) => job.fail(code, text, log_id.map(str::to_owned)),
        }
    }

    pub(crate) fn entry_text(&self) -> Text {
        match self {
            Self::Memory(job) => job.session.entry.clone(),
            Self::Nats(_, session, _) => Text::from(session.entry()),
        }
    }
}

fn into_failure(error: FetchError) -> FetchFailure {
    match error {
        FetchError::TooLarge(limit) => FetchFailure::TooLarge(limit),
        FetchError::Cancelled(AbortReason::ClientGone) => FetchFailure::ClientGone,
        FetchError::Cancelled(AbortReason::Timeout) => FetchFailure::Timeout,
        FetchError::Cancelled(AbortReason::WorkerShutdown | AbortReason::GatewayShutdown) => FetchFailure::ShuttingDown,
        FetchError::Failed { code, text } if code == failure::BODY_TOO_LARGE => FetchFailure::Refused(text),
        FetchError::Cancelled(_) | FetchError::Closed | FetchError::NotAvailable => FetchFailure::Closed,
        other @ FetchError::Failed { .. } => FetchFailure::Other(other.to_string()),
    }
}
