//! What the I/O thread and user code share about a session and about one run of a handler.

use std::{
    any::Any,
    sync::{
        Mutex,
        atomic::{
            AtomicU8, AtomicU64,
            Ordering::{AcqRel, Acquire, Relaxed},
        },
    },
    time::Instant,
};

use std::sync::Arc;

use bytes::Bytes;
use nylon_wire::{AbortReason, Phase, ResponsePart, SessionId, Snapshot};

use super::JobKind;
use crate::lock::lock;

/// One request as one entry sees it, through all its phases.
pub struct Session {
    pub(super) id: SessionId,
    pub(super) number: u64,
    pub(super) entry: usize,
    pub(super) name: Arc<str>,
    pub(super) snapshot: Snapshot,
    pub(super) request_body: Mutex<Option<Bytes>>,
    user: Mutex<Option<Box<dyn Any + Send>>>,
}

impl Session {
    pub(super) fn new(
        id: SessionId,
        number: u64,
        (entry, name): (usize, Arc<str>),
        snapshot: Snapshot,
        body: Option<Bytes>,
    ) -> Self {
        Self { id, number, entry, name, snapshot, request_body: Mutex::new(body), user: Mutex::new(None) }
    }

    /// The global id, 32 hex digits; the same as in the gateway's log.
    #[must_use]
    pub fn uid(&self) -> String {
        self.id.to_string()
    }

    /// Counts this worker's sessions, from 1.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Name of the entry.
    #[must_use]
    pub fn entry(&self) -> &str {
        &self.name
    }

    /// Index of the entry in [`WorkerOptions::entries`](super::WorkerOptions::entries).
    #[must_use]
    pub fn entry_index(&self) -> usize {
        self.entry
    }

    /// The request, as it was when the session opened.
    #[must_use]
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// A place for the SDK's own object of this session; dropped with the session, on any thread.
    #[must_use]
    pub fn user(&self) -> &Mutex<Option<Box<dyn Any + Send>>> {
        &self.user
    }
}

/// Called once, with the reason, when a running handler is cancelled.
pub type OnCancel = Box<dyn FnOnce(AbortReason) + Send>;

/// Where a run stands. Only forward.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Stage {
    Queued = 0,
    Taken = 1,
    Done = 2,
    Retracted = 3,
}

/// One run of a handler.
pub(super) struct Run {
    pub kind: JobKind,
    /// None for Initialize and Shutdown.
    pub session: Option<Arc<Session>>,
    pub payload: Option<Bytes>,
    pub response: Option<ResponsePart>,
    /// A phase of its session comes more than once (SPEC 9.6).
    pub repeats: bool,
    pub response_body: Mutex<Option<Bytes>>,
    /// When it was received.
    pub queued: Instant,
    pub deadline: Instant,
    stage: AtomicU8,
    /// Microseconds from `queued` until it was taken.
    taken_us: AtomicU64,
    /// Number of the abort reason; 0 = not cancelled.
    cancelled: AtomicU8,
    on_cancel: Mutex<Option<OnCancel>>,
}

impl Run {
    pub fn new(kind: JobKind, queued: Instant, deadline: Instant) -> Self {
        Self {
            kind,
            session: None,
            payload: None,
            response: None,
            repeats: false,
            response_body: Mutex::new(None),
            queued,
            deadline,
            stage: AtomicU8::new(Stage::Queued as u8),
            taken_us: AtomicU64::new(0),
            cancelled: AtomicU8::new(0),
            on_cancel: Mutex::new(None),
        }
    }

    pub fn stage(&self) -> Stage {
        match self.stage.load(Acquire) {
            0 => Stage::Queued,
            1 => Stage::Taken,
            2 => Stage::Done,
            _ => Stage::Retracted,
        }
    }

    /// Takes it back from the queue; false if user code has it already.
    pub fn retract(&self) -> bool {
        self.stage.compare_exchange(Stage::Queued as u8, Stage::Retracted as u8, AcqRel, Acquire).is_ok()
    }

    /// When user code got it, if it has it.
    pub fn taken(&self) -> Option<Instant> {
        (self.stage() == Stage::Taken).then(|| self.queued + self.wait())
    }

    /// From now on its age counts from here: what a stream has taken says nothing about its worker.
    pub fn taken_again(&self, now: Instant) {
        let waited = now.saturating_duration_since(self.queued).as_micros();
        self.taken_us.store(u64::try_from(waited).unwrap_or(u64::MAX), Relaxed);
    }

    /// The phase; none for Initialize and Shutdown.
    pub fn phase(&self) -> Option<Phase> {
        match self.kind {
            JobKind::Phase(phase) => Some(phase),
            _ => None,
        }
    }

    /// How long it waited for user code.
    pub fn wait(&self) -> std::time::Duration {
        std::time::Duration::from_micros(self.taken_us.load(Relaxed))
    }

    pub fn done(&self) {
        self.stage.store(Stage::Done as u8, std::sync::atomic::Ordering::Release);
        // Whatever happens to the session later is no concern of a handler that has returned.
        let _ = lock(&self.on_cancel).take();
    }

    pub fn cancel_reason(&self) -> Option<AbortReason> {
        match self.cancelled.load(Acquire) {
            0 => None,
            number => Some(AbortReason::from_number(u64::from(number))),
        }
    }

    /// Cancels once; calls what was registered.
    pub fn cancel(&self, reason: AbortReason) {
        if self.cancelled.compare_exchange(0, reason.number(), AcqRel, Acquire).is_err() {
            return;
        }
        let callback = lock(&self.on_cancel).take();
        if let Some(callback) = callback {
            callback(reason);
        }
    }

    /// Registers what cancelling calls; called at once if that has happened.
    pub fn on_cancel(&self, callback: OnCancel) {
        let mut slot = lock(&self.on_cancel);
        match self.cancel_reason() {
            None => *slot = Some(callback),
            Some(reason) => {
                drop(slot);
                callback(reason);
            }
        }
    }
}

/// What waits in a lane.
pub(super) trait Queued {
    /// Claims it for user code; false if it was taken back meanwhile.
    fn claim(&self, now: Instant) -> bool;
    /// Whether it was taken back.
    fn is_dead(&self) -> bool;
}

impl Queued for Arc<Run> {
    fn claim(&self, now: Instant) -> bool {
        let waited = now.saturating_duration_since(self.queued).as_micros();
        self.taken_us.store(u64::try_from(waited).unwrap_or(u64::MAX), Relaxed);
        self.stage.compare_exchange(Stage::Queued as u8, Stage::Taken as u8, AcqRel, Acquire).is_ok()
    }

    fn is_dead(&self) -> bool {
        self.stage() == Stage::Retracted
    }
}
