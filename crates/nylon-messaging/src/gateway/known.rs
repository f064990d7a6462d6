//! One worker as the gateway knows it: what its beats say, how it answered, whether it is ejected.

mod beat;

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed},
};

use arc_swap::ArcSwap;
use async_nats::Subject;
use nylon_plugin::PhaseMask;
use nylon_wire::{Revision, WorkerState};

pub(super) use self::beat::mask_of;
use self::beat::{Announced, start_of};
use super::ewma::Latency;

/// Without a beat for so long a worker is not chosen, and its sessions are lost. Milliseconds (rules §4).
pub(super) const SILENT_MS: u64 = 750;
/// An open that waits longer for user code than this shows a wedged worker. Milliseconds (rules §4).
const WAITING_MS: u32 = 250;
/// A handler may be this much over the longest deadline before its worker counts as wedged. Milliseconds.
const OVERDUE_MS: u32 = 1_000;
/// A first ejection lasts this long; each further one twice as long, at most eight times. Milliseconds.
const EJECTED_MS: u64 = 1_000;
/// A new worker, or one that was away, takes its full share after this. Milliseconds.
const SLOW_START_MS: u64 = 2_000;
/// An unready worker gets an open this often, so that it learns the configuration. Milliseconds.
const NUDGE_MS: u64 = 1_000;

/// One worker of a group.
#[derive(Debug)]
pub struct KnownWorker {
    id: Box<str>,
    subject: Subject,
    last_beat_ms: AtomicU64,
    beat_seq: AtomicU32,
    load: AtomicU32,
    limit: AtomicU32,
    draining: AtomicBool,
    state: AtomicU8,
    oldest_running_ms: AtomicU32,
    oldest_waiting_ms: AtomicU32,
    entries: ArcSwap<Vec<Announced>>,
    /// Bit n: has the group's entry n.
    entry_bits: AtomicU64,
    /// Start of the hash of the configuration it serves; 0 = none.
    revision: AtomicU64,
    in_flight: AtomicU32,
    latency: Latency,
    /// When it appeared or came back.
    since_ms: AtomicU64,
    ejected_until_ms: AtomicU64,
    strikes: AtomicU32,
    /// It said that it is behind, and how long to leave it alone.
    full_until_ms: AtomicU64,
    /// When a first answer came last.
    answered_ms: AtomicU64,
    /// "No responders" on its subject, until the next beat.
    gone: AtomicBool,
    probed_ms: AtomicU64,
    nudged_ms: AtomicU64,
}

/// Why a worker is not chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// Does not have the entry, or drains: nothing to wonder about.
    NotForUs,
    /// Has not finished its first Initialize.
    Unready,
    /// Silent, ejected or wedged: also the queue group may lead to it.
    Suspect,
    /// Behind, by its own word: it would refuse.
    Full,
    /// Known to be gone: its subscriptions are, too.
    Gone,
}

impl KnownWorker {
    pub(super) fn new(id: &str, subject: Subject, now: u64) -> Self {
        Self {
            id: id.into(),
            subject,
            last_beat_ms: AtomicU64::new(0),
            beat_seq: AtomicU32::new(0),
            load: AtomicU32::new(0),
            limit: AtomicU32::new(0),
            draining: AtomicBool::new(false),
            state: AtomicU8::new(WorkerState::Initializing as u8),
            oldest_running_ms: AtomicU32::new(0),
            oldest_waiting_ms: AtomicU32::new(0),
            entries: ArcSwap::default(),
            entry_bits: AtomicU64::new(0),
            revision: AtomicU64::new(0),
            in_flight: AtomicU32::new(0),
            latency: Latency::default(),
            since_ms: AtomicU64::new(now),
            ejected_until_ms: AtomicU64::new(0),
            strikes: AtomicU32::new(0),
            full_until_ms: AtomicU64::new(0),
            answered_ms: AtomicU64::new(0),
            gone: AtomicBool::new(false),
            probed_ms: AtomicU64::new(0),
            nudged_ms: AtomicU64::new(0),
        }
    }

    /// Its id: a random token, new at each start of its process.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its direct subject.
    pub(super) fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Phases of ours that it works on now.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    /// Sessions it announced to have.
    #[must_use]
    pub fn load(&self) -> u32 {
        self.load.load(Relaxed)
    }

    /// The most sessions it takes, as announced.
    #[must_use]
    pub fn limit(&self) -> u32 {
        self.limit.load(Relaxed)
    }

    /// Whether it takes no new sessions.
    #[must_use]
    pub fn draining(&self) -> bool {
        self.draining.load(Relaxed)
    }

    /// The phases that it announces for an entry; `None` if it does not have it.
    pub(super) fn announced(&self, entry: &str) -> Option<PhaseMask> {
        self.entries.load().iter().find(|known| *known.name == *entry).map(|known| known.phases)
    }

    /// Whether the entry's body filter takes the body piece by piece.
    pub(super) fn streams_body(&self, entry: &str) -> bool {
        self.entries.load().iter().any(|known| known.streams_body && *known.name == *entry)
    }

    /// Whether a beat was heard lately.
    pub(super) fn fresh(&self, now: u64, grace_until: u64) -> bool {
        let last = self.last_beat_ms.load(Relaxed);
        last != 0 && !self.gone.load(Relaxed) && (now.saturating_sub(last) < SILENT_MS || now < grace_until)
    }

    /// Whether it has stopped to beat, or nobody listens on its subject. A first answer shows it alive like a beat: one
    /// that was never heard to beat stopped before it could, or we came later.
    pub(super) fn lost(&self, now: u64, grace_until: u64) -> bool {
        if self.gone.load(Relaxed) {
            return true;
        }
        let heard = match self.last_beat_ms.load(Relaxed) {
            0 => self.since_ms.load(Relaxed),
            last => last,
        };
        now.saturating_sub(heard.max(self.answered_ms.load(Relaxed))) >= SILENT_MS && now >= grace_until
    }

    /// Whether it announced to serve this configuration, so that it has nothing to fetch.
    pub(super) fn serves(&self, revision: Option<&Revision>) -> bool {
        revision.is_some_and(|revision| start_of(revision) == self.revision.load(Relaxed))
    }

    fn ready(&self) -> bool {
        let state = self.state.load(Relaxed);
        state == WorkerState::Ready as u8 || state == WorkerState::FailedKeepingOld as u8
    }

    /// Whether a new session of the entry may go to it (rules §4). `longest_ms`: the longest deadline in use.
    pub(super) fn fit(&self, entry_bit: u64, now: u64, grace_until: u64, longest_ms: u64) -> Result<(), Unfit> {
        if self.gone.load(Relaxed) {
            return Err(Unfit::Gone);
        }
        if self.last_beat_ms.load(Relaxed) == 0 {
            return Err(Unfit::NotForUs);
        }
        if !self.fresh(now, grace_until) {
            return Err(Unfit::Suspect);
        }
        if self.draining.load(Relaxed) || self.entry_bits.load(Relaxed) & entry_bit == 0 {
            return Err(Unfit::NotForUs);
        }
        if !self.ready() {
            return Err(Unfit::Unready);
        }
        let overdue = longest_ms.saturating_add(u64::from(OVERDUE_MS));
        if self.ejected_until_ms.load(Relaxed) > now
            || self.oldest_waiting_ms.load(Relaxed) > WAITING_MS
            || u64::from(self.oldest_running_ms.load(Relaxed)) > overdue
        {
            return Err(Unfit::Suspect);
        }
        if self.full_until_ms.load(Relaxed) > now { Err(Unfit::Full) } else { Ok(()) }
    }

    /// It refused because it is behind: until then it would refuse again.
    pub(super) fn set_full(&self, until_ms: u64) {
        self.full_until_ms.store(until_ms, Relaxed);
    }

    /// Whether it is this caller's turn to send an open to the unready worker, so that it learns the configuration.
    pub(super) fn nudge(&self, now: u64) -> bool {
        self.state.load(Relaxed) == WorkerState::Initializing as u8 && take_turn(&self.nudged_ms, now, NUDGE_MS)
    }

    /// Whether it is this caller's turn to probe; one probe per interval serves all sessions of all threads.
    pub(super) fn probe_turn(&self, now: u64, every_ms: u64) -> bool {
        take_turn(&self.probed_ms, now, every_ms)
    }

    /// Latency × queue, the lower the better. `None` while nothing is known about its latency.
    pub(super) fn latency_us(&self, now: u64) -> Option<u64> {
        self.latency.now_us(now)
    }

    /// The weight of its queue: own in flight + announced load + 1, more while it is new.
    pub(super) fn queue(&self, now: u64) -> u64 {
        let age = now.saturating_sub(self.since_ms.load(Relaxed));
        let queue = u64::from(self.in_flight.load(Relaxed)) + u64::from(self.load.load(Relaxed)) + 1;
        if age >= SLOW_START_MS {
            return queue * 8;
        }
        // Starts at an eighth of its share.
        queue * (8 + 56 * (SLOW_START_MS - age) / SLOW_START_MS)
    }

    /// A first answer came: it is alive and well.
    pub(super) fn answered(&self, now: u64) {
        self.answered_ms.store(now, Relaxed);
        if self.strikes.load(Relaxed) != 0 {
            self.strikes.store(0, Relaxed);
            self.ejected_until_ms.store(0, Relaxed);
        }
    }

    /// A phase took so long from publish to result.
    pub(super) fn sample(&self, microseconds: u64, now: u64) {
        self.latency.sample(microseconds, now);
    }

    /// An open, sent then, was not accepted in time. Says whether the worker is ejected for it: not if it is already,
    /// or has answered others since.
    pub(super) fn eject(&self, sent: u64, now: u64) -> bool {
        if self.ejected_until_ms.load(Relaxed) > now || self.answered_ms.load(Relaxed) > sent {
            return false;
        }
        let strikes = self.strikes.fetch_add(1, Relaxed).min(3);
        self.ejected_until_ms.store(now + (EJECTED_MS << strikes), Relaxed);
        true
    }

    /// Nobody listens on its subject. Says whether this is news.
    pub(super) fn set_gone(&self) -> bool {
        !self.gone.swap(true, Relaxed)
    }

    /// Says that it drains before its next beat does.
    pub(super) fn set_draining(&self) {
        self.draining.store(true, Relaxed);
    }

    pub(super) fn silent_since(&self, moment_ms: u64) -> bool {
        self.last_beat_ms.load(Relaxed).max(self.since_ms.load(Relaxed)) < moment_ms && self.in_flight() == 0
    }
}

fn take_turn(last: &AtomicU64, now: u64, every_ms: u64) -> bool {
    let seen = last.load(Relaxed);
    now.saturating_sub(seen) >= every_ms && last.compare_exchange(seen, now, Relaxed, Relaxed).is_ok()
}

/// Counts a phase as in flight at a worker for as long as it lives.
pub(super) struct InFlight(Arc<KnownWorker>);

impl InFlight {
    pub(super) fn new(worker: &Arc<KnownWorker>) -> Self {
        worker.in_flight.fetch_add(1, Relaxed);
        Self(worker.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}
