//! A queue group: its workers, the choice among them, and its retry budget (rules §3, §4).

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
};

use arc_swap::{ArcSwap, Guard};
use async_nats::Subject;
use nylon_plugin::PhaseMask;
use nylon_wire::{BeatFrame, subject};

use super::{
    known::{KnownWorker, Unfit},
    options::Balance,
    random::Random,
};
use crate::lock::lock;

/// One pick of so many goes through the queue group, to find workers not heard of: below 1 %.
const PROBING: u32 = 128;
/// Pairs of candidates that are drawn for one pick.
const PAIRS: usize = 3;
/// The queue group is left alone for so long after a suspect worker was met. Milliseconds.
const SUSPICION_MS: u64 = 5_000;
/// More workers than this are not kept, whoever announces them.
const MAX_WORKERS: usize = 4_096;
/// What an open adds to the retry budget and a retry takes from it: retries stay below 10 % of opens.
const OPEN_ADDS: i64 = 1;
const RETRY_TAKES: i64 = 10;
/// The most that can be saved: 200 retries; a group starts with ten.
const BUDGET_MAX: i64 = 2_000;
const BUDGET_START: i64 = 100;

/// The workers of one queue group.
pub struct Group {
    prefix: Box<str>,
    name: Box<str>,
    workers: ArcSwap<Vec<Arc<KnownWorker>>>,
    entries: ArcSwap<Vec<Box<str>>>,
    /// Only for adding workers and entries; reading never takes it.
    adding: Mutex<()>,
    budget: AtomicI64,
    longest_ms: AtomicU64,
    grace_until_ms: AtomicU64,
    /// Until then no session is lost for beats that are missing; new ones go elsewhere meanwhile.
    settled_ms: AtomicU64,
    suspicion_until_ms: AtomicU64,
    ejections: AtomicU64,
}

/// Where an open goes.
pub(super) enum Target {
    /// Directly to a worker.
    Worker(Arc<KnownWorker>),
    /// Through the queue group; NATS chooses.
    Queue,
    /// Nowhere: whoever could take it has just said that it is behind.
    Full,
}

/// What a choice needs to know.
pub(super) struct Choice<'a> {
    pub balance: Balance,
    pub entry_bit: u64,
    pub now: u64,
    /// The worker that has just refused or failed.
    pub avoid: Option<&'a KnownWorker>,
    /// Whether the plugin has a configuration that unready workers wait for.
    pub configured: bool,
    /// Whether the queue group may be tried to find unknown workers.
    pub explore: bool,
}

impl Group {
    pub(super) fn new(prefix: &str, name: &str) -> Result<Self, subject::SubjectError> {
        subject::worker(prefix, name, "check")?;
        Ok(Self {
            prefix: prefix.into(),
            name: name.into(),
            workers: ArcSwap::default(),
            entries: ArcSwap::default(),
            adding: Mutex::new(()),
            budget: AtomicI64::new(BUDGET_START),
            longest_ms: AtomicU64::new(0),
            grace_until_ms: AtomicU64::new(0),
            settled_ms: AtomicU64::new(0),
            suspicion_until_ms: AtomicU64::new(0),
            ejections: AtomicU64::new(0),
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// All workers heard of and not forgotten.
    #[must_use]
    pub fn workers(&self) -> Guard<Arc<Vec<Arc<KnownWorker>>>> {
        self.workers.load()
    }

    /// Workers with a fresh beat.
    #[must_use]
    pub fn live(&self, now: u64) -> usize {
        let grace = self.grace();
        self.workers().iter().filter(|worker| worker.fresh(now, grace)).count()
    }

    /// Ids of the workers with a fresh beat.
    #[must_use]
    pub fn fresh(&self, now: u64) -> Vec<String> {
        let grace = self.grace();
        self.workers().iter().filter(|worker| worker.fresh(now, grace)).map(|worker| worker.id().to_owned()).collect()
    }

    /// Ejections so far.
    #[must_use]
    pub fn ejections(&self) -> u64 {
        self.ejections.load(Relaxed)
    }

    pub(super) fn grace(&self) -> u64 {
        self.grace_until_ms.load(Relaxed)
    }

    pub(super) fn grant_grace(&self, until_ms: u64) {
        self.grace_until_ms.fetch_max(until_ms, Relaxed);
    }

    /// A connection was lost or is back: until then missing beats end no session (SPEC 17.4).
    pub(super) fn let_settle(&self, until_ms: u64) {
        self.settled_ms.fetch_max(until_ms, Relaxed);
    }

    /// Whether a session's worker is gone or silent.
    pub(super) fn lost(&self, worker: &KnownWorker, now: u64) -> bool {
        worker.lost(now, self.grace().max(self.settled_ms.load(Relaxed)))
    }

    /// The bit by which workers say that they have this entry; 0, which no worker has, beyond 64 entries: such
    /// entries go through the queue group.
    pub(super) fn entry_bit(&self, entry: &str) -> u64 {
        let _adding = lock(&self.adding);
        let entries = self.entries.load();
        let place = entries.iter().position(|name| **name == *entry).unwrap_or_else(|| {
            let mut names = Vec::clone(&entries);
            names.push(entry.into());
            for worker in self.workers().iter() {
                worker.index(&names);
            }
            self.entries.store(Arc::new(names));
            entries.len()
        });
        if place < 64 { 1 << place } else { 0 }
    }

    /// The worker of that id; kept without a beat if it was not heard of, because a session names it.
    pub(super) fn worker(&self, id: &str, now: u64) -> Result<Arc<KnownWorker>, subject::SubjectError> {
        if let Some(known) = self.workers().iter().find(|known| known.id() == id) {
            return Ok(known.clone());
        }
        let subject = Subject::from(subject::worker(&self.prefix, &self.name, id)?);
        let _adding = lock(&self.adding);
        let workers = self.workers();
        if let Some(known) = workers.iter().find(|known| known.id() == id) {
            return Ok(known.clone());
        }
        let known = Arc::new(KnownWorker::new(id, subject, now));
        if workers.len() < MAX_WORKERS {
            let mut longer = Vec::clone(&workers);
            longer.push(known.clone());
            self.workers.store(Arc::new(longer));
        }
        Ok(known)
    }

    pub(super) fn beat(&self, frame: &BeatFrame, now: u64) -> bool {
        self.worker(&frame.worker, now).is_ok_and(|worker| worker.beat(frame, now, &self.entries.load()))
    }

    /// Drops workers that were silent since `moment_ms`.
    pub(super) fn forget(&self, moment_ms: u64) {
        if self.workers().iter().any(|worker| worker.silent_since(moment_ms)) {
            let _adding = lock(&self.adding);
            let kept = self.workers().iter().filter(|worker| !worker.silent_since(moment_ms)).cloned().collect();
            self.workers.store(Arc::new(kept));
        }
    }

    /// The phases that every live worker announces for the entry, if they agree (rules §5).
    pub(super) fn announced(&self, entry: &str, now: u64) -> Option<PhaseMask> {
        let grace = self.grace();
        let workers = self.workers();
        let mut masks = workers.iter().filter(|worker| worker.fresh(now, grace)).map(|worker| worker.announced(entry));
        let first = masks.next()??;
        masks.all(|mask| mask == Some(first)).then_some(first)
    }

    /// Whether a worker that is there says that the entry's body filter takes the body piece by piece.
    pub(super) fn streams_body(&self, entry: &str, now: u64) -> bool {
        let grace = self.grace();
        self.workers().iter().any(|worker| worker.fresh(now, grace) && worker.streams_body(entry))
    }

    /// Whether some worker could take the entry now.
    pub(super) fn any_fit(&self, entry_bit: u64, now: u64) -> bool {
        let (grace, longest) = (self.grace(), self.longest_ms.load(Relaxed));
        self.workers().iter().any(|worker| worker.fit(entry_bit, now, grace, longest).is_ok())
    }

    /// Whether one more open of the entry may go to the worker.
    pub(super) fn may_take(&self, worker: &KnownWorker, entry_bit: u64, now: u64) -> bool {
        worker.fit(entry_bit, now, self.grace(), self.longest_ms.load(Relaxed)).is_ok()
    }

    /// Chooses where an open goes.
    pub(super) fn pick(&self, choice: &Choice<'_>, random: &mut Random) -> Target {
        if choice.balance == Balance::Queue {
            return Target::Queue;
        }
        let workers = self.workers();
        if workers.is_empty() {
            return Target::Queue;
        }
        let exploring = choice.balance == Balance::Auto
            && choice.explore
            && random.below(PROBING) == 0
            && self.suspicion_until_ms.load(Relaxed) <= choice.now;
        if exploring {
            return Target::Queue;
        }
        let count = u32::try_from(workers.len()).unwrap_or(u32::MAX);
        let mut best: Option<&Arc<KnownWorker>> = None;
        // Two different candidates at a time; a few times, because one or both may be unfit.
        for _ in 0..PAIRS {
            let one = random.below(count);
            let other = (count > 1).then(|| (one + 1 + random.below(count - 1)) % count);
            for drawn in [Some(one), other].into_iter().flatten().filter_map(|place| workers.get(place as usize)) {
                match self.fit(drawn, choice) {
                    Ok(()) => match best {
                        None => best = Some(drawn),
                        Some(known) if Arc::ptr_eq(known, drawn) => {}
                        Some(known) => return Target::Worker(better(known, drawn, choice.now).clone()),
                    },
                    Err(Unfit::Unready) if choice.configured && choice.avoid.is_none() && drawn.nudge(choice.now) => {
                        return Target::Worker(drawn.clone());
                    }
                    Err(Unfit::Suspect) => self.suspect(choice.now),
                    Err(_) => {}
                }
            }
            if count <= 2 {
                break;
            }
        }
        if let Some(best) = best {
            return Target::Worker(best.clone());
        }
        // Unlucky draws: look at all of them, from a random place on.
        let start = random.below(count) as usize;
        let (before, after) = workers.split_at(start.min(workers.len()));
        let mut all = after.iter().chain(before);
        let mut full = false;
        let found = all.find(|worker| {
            let fit = self.fit(worker, choice);
            full |= fit == Err(Unfit::Full);
            fit.is_ok()
        });
        match found {
            Some(worker) => Target::Worker(worker.clone()),
            None if full => Target::Full,
            None => Target::Queue,
        }
    }

    fn fit(&self, worker: &KnownWorker, choice: &Choice<'_>) -> Result<(), Unfit> {
        let fit = worker.fit(choice.entry_bit, choice.now, self.grace(), self.longest_ms.load(Relaxed));
        let avoided = choice.avoid.is_some_and(|avoid| std::ptr::eq(avoid, worker));
        if avoided { fit.and(Err(Unfit::NotForUs)) } else { fit }
    }

    fn suspect(&self, now: u64) {
        self.suspicion_until_ms.store(now + SUSPICION_MS, Relaxed);
    }

    /// Notes an open with a deadline so far away, and saves for retries.
    pub(super) fn opened(&self, remaining_ms: u64) {
        if self.longest_ms.load(Relaxed) < remaining_ms {
            self.longest_ms.store(remaining_ms, Relaxed);
        }
        if self.budget.load(Relaxed) < BUDGET_MAX {
            self.budget.fetch_add(OPEN_ADDS, Relaxed);
        }
    }

    /// Whether a counted retry is within the budget; takes it if so.
    pub(super) fn take_retry(&self) -> bool {
        if self.budget.fetch_sub(RETRY_TAKES, Relaxed) >= RETRY_TAKES {
            return true;
        }
        self.budget.fetch_add(RETRY_TAKES, Relaxed);
        false
    }

    /// A worker did not accept in time.
    pub(super) fn eject(&self, worker: &KnownWorker, sent: u64, now: u64) {
        self.suspect(now);
        if worker.eject(sent, now) {
            self.ejections.fetch_add(1, Relaxed);
            tracing::warn!(group = %self.name, worker = worker.id(), "ejecting a worker: it did not accept an open in time");
        }
    }

    /// Nobody listens on a worker's subject. That says little while it may be on its way back (SPEC 17.4).
    pub(super) fn gone(&self, worker: &KnownWorker, now: u64) {
        if now >= self.settled_ms.load(Relaxed) && worker.set_gone() {
            self.ejections.fetch_add(1, Relaxed);
            tracing::info!(group = %self.name, worker = worker.id(), "a worker is gone: nobody listens on its subject");
        }
    }
}

fn better<'a>(one: &'a Arc<KnownWorker>, other: &'a Arc<KnownWorker>, now: u64) -> &'a Arc<KnownWorker> {
    // Of a worker without a measurement we assume that it is as fast as the other.
    let (first, second) = match (one.latency_us(now), other.latency_us(now)) {
        (Some(first), Some(second)) => (first, second),
        (Some(known), None) | (None, Some(known)) => (known, known),
        (None, None) => (1, 1),
    };
    let cost = |latency: u64, worker: &KnownWorker| latency.saturating_mul(worker.queue(now));
    if cost(second, other) < cost(first, one) { other } else { one }
}

#[cfg(test)]
pub(super) mod tests;
