//! The queues between the I/O thread and user code, and who works on them (rules §12).
//!
//! One thread, the *leader*, takes jobs as long as handlers are quick: no hop, no contention. When it has been away for
//! longer than [`Patience::limit`] while jobs wait, one parked *follower* becomes the leader. A thread that comes back from
//! a slow handler goes on while there is work, so that slow handlers get as many threads as they need; after a quick one it
//! parks.

mod here;

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard},
    thread::Thread,
    time::{Duration, Instant},
};

use super::{
    drive::Drive,
    outbox::Outbox,
    patience::{Patience, SLOW},
    run::Queued,
};
use crate::lock::lock;

pub(super) use here::{comes_back, gather};

/// Which queue a job goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Handlers that may block: any number of threads call [`Worker::next`](super::Worker::next).
    Threads,
    /// Handlers of an event loop: [`Worker::on_ready`](super::Worker::on_ready) and [`Worker::try_next`](super::Worker::try_next).
    Loop,
}

/// What a thread got.
pub(super) enum Taken<T> {
    Job(T),
    TimedOut,
    Closed,
}

enum Leader {
    None,
    /// Waits in `take`.
    Parked(u64, Thread),
    /// Was woken and is on its way to the queue.
    Waking(u64),
    /// In user code since then.
    Away(u64, Instant),
}

struct Inner<T> {
    queue: VecDeque<T>,
    leader: Leader,
    followers: Vec<(u64, Thread)>,
    closed: bool,
}

type Callback = Box<dyn Fn() + Send>;

/// Whom to wake.
enum Wake {
    Leader(Thread),
    Follower(Thread),
}

/// One lane.
pub(super) struct Queue<T> {
    inner: Mutex<Inner<T>>,
    /// What the leader does while it waits, instead of sleeping.
    drive: Option<Arc<Drive>>,
    patience: Arc<Patience>,
    on_ready: Mutex<Option<Callback>>,
}

impl<T: Queued> Queue<T> {
    pub fn new() -> Self {
        let inner = Inner { queue: VecDeque::new(), leader: Leader::None, followers: Vec::new(), closed: false };
        Self { inner: Mutex::new(inner), drive: None, patience: Arc::default(), on_ready: Mutex::new(None) }
    }

    /// A lane whose leader runs the worker's I/O while it waits.
    pub fn driving(drive: Arc<Drive>) -> Self {
        Self { patience: drive.patience.clone(), drive: Some(drive), ..Self::new() }
    }

    fn wake(&self, whom: Option<Wake>) {
        match (whom, &self.drive) {
            (Some(Wake::Leader(_)), Some(drive)) => drive.call(),
            (Some(Wake::Leader(thread) | Wake::Follower(thread)), _) => thread.unpark(),
            (None, _) => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        lock(&self.inner)
    }

    /// Sets what is called when the lane goes from empty to non-empty.
    pub fn on_ready(&self, callback: Callback) {
        let pending = {
            *lock(&self.on_ready) = Some(callback);
            let inner = self.lock();
            !inner.queue.is_empty() || inner.closed
        };
        if pending {
            self.call_ready();
        }
    }

    fn call_ready(&self) {
        if let Some(callback) = &*lock(&self.on_ready) {
            callback();
        }
    }

    /// Whether a thread that took its last job then comes back from a slow handler.
    fn was_slow(&self, taken: Option<Instant>, now: Instant) -> bool {
        let Some(taken) = taken else { return false };
        let took = now.duration_since(taken);
        self.patience.took(took, now);
        took >= SLOW
    }

    /// Whether results of this thread have waited for enough handlers behind them: the next one may be slow.
    fn has_to_send(&self, now: Instant) -> bool {
        here::held() >= self.patience.held(now)
    }

    fn send(&self, outbox: &Outbox) {
        here::sent();
        if !self.drive.as_ref().is_some_and(|drive| drive.send(outbox)) {
            outbox.flush();
        }
    }

    /// Adds a batch and wakes at most one thread. Returns when [`Queue::watch`] wants to be called.
    pub fn push(&self, batch: &mut Vec<T>, now: Instant) -> Option<Instant> {
        if batch.is_empty() {
            return None;
        }
        let mut inner = self.lock();
        let was_empty = inner.queue.is_empty();
        inner.queue.extend(batch.drain(..));
        let (wake, watch) = inner.rouse(now, self.patience.limit(now));
        drop(inner);
        self.wake(wake);
        if was_empty {
            self.call_ready();
        }
        watch
    }

    /// The watchdog: hands the queue to a follower if the leader is away for too long. Returns when to look again.
    pub fn watch(&self, now: Instant) -> Option<Instant> {
        let mut inner = self.lock();
        if inner.queue.is_empty() {
            return None;
        }
        let (wake, watch) = inner.rouse(now, self.patience.limit(now));
        drop(inner);
        self.wake(wake);
        watch
    }

    /// Takes a job, waiting for one until `until` (for ever if none). What is in the outbox leaves before it waits or gives up.
    pub fn take(&self, until: Option<Instant>, outbox: &Outbox) -> Taken<T> {
        let mut flushed = false;
        let me = here::number();
        let mut now = Instant::now();
        let mut slow = self.was_slow(here::came_back(), now);
        let mut inner = self.lock();
        loop {
            let leads = inner.may_lead(me, now, self.patience.limit(now));
            if leads && self.has_to_send(now) {
                drop(inner);
                self.send(outbox);
                now = Instant::now();
                inner = self.lock();
                continue;
            }
            if (leads || slow)
                && let Some(job) = inner.pop(now)
            {
                if leads {
                    inner.leader = Leader::Away(me, now);
                }
                drop(inner);
                here::took(now);
                return Taken::Job(job);
            }
            if !std::mem::replace(&mut flushed, true) {
                drop(inner);
                here::sent();
                outbox.flush();
                now = Instant::now();
                inner = self.lock();
                continue;
            }
            slow = false;
            if inner.closed {
                inner.forget(me);
                return Taken::Closed;
            }
            if until.is_some_and(|until| now >= until) {
                inner.forget(me);
                return Taken::TimedOut;
            }
            if leads {
                inner.leader = Leader::Parked(me, std::thread::current());
            } else if !inner.followers.iter().any(|(token, _)| *token == me) {
                inner.followers.push((me, std::thread::current()));
            }
            drop(inner);
            match (until, &self.drive) {
                (_, Some(drive)) if leads => drive.drive(until),
                (Some(until), _) => std::thread::park_timeout(until - now),
                (None, _) => std::thread::park(),
            }
            now = Instant::now();
            inner = self.lock();
        }
    }

    /// Takes a job if one is there for this thread now; for a thread that calls [`Queue::take`] when there is none.
    pub fn take_now(&self) -> Option<T> {
        let me = here::number();
        let now = Instant::now();
        let slow = self.was_slow(here::taken_at(), now);
        if self.has_to_send(now) {
            return None;
        }
        let mut inner = self.lock();
        let leads = inner.may_lead(me, now, self.patience.limit(now));
        let job = if leads || slow { inner.pop(now) } else { None };
        if job.is_some() {
            here::took(now);
            if leads {
                inner.leader = Leader::Away(me, now);
            }
        }
        job
    }

    /// Takes a job if there is one.
    pub fn try_take(&self) -> Option<T> {
        let now = Instant::now();
        let mut inner = self.lock();
        let job = inner.pop(now);
        let me = here::number();
        if job.is_some() && matches!(inner.leader, Leader::Away(token, _) if token == me) {
            inner.leader = Leader::Away(me, now);
        }
        job
    }

    /// Drops what was taken back.
    pub fn sweep(&self) {
        self.lock().queue.retain(|job| !job.is_dead());
    }

    /// Jobs that wait.
    pub fn len(&self) -> usize {
        self.lock().queue.len()
    }

    /// No further job comes: everybody who waits is woken, what is queued may still be taken.
    pub fn close(&self) {
        let mut inner = self.lock();
        inner.closed = true;
        let threads: Vec<_> = inner.followers.drain(..).map(|(_, thread)| thread).collect();
        let leader = match std::mem::replace(&mut inner.leader, Leader::None) {
            Leader::Parked(_, thread) => Some(Wake::Leader(thread)),
            _ => None,
        };
        drop(inner);
        self.wake(leader);
        threads.iter().for_each(Thread::unpark);
        self.call_ready();
    }
}

impl<T: Queued> Inner<T> {
    fn pop(&mut self, now: Instant) -> Option<T> {
        while let Some(job) = self.queue.pop_front() {
            if job.claim(now) {
                return Some(job);
            }
        }
        None
    }

    fn may_lead(&self, me: u64, now: Instant, limit: Duration) -> bool {
        match &self.leader {
            Leader::None => true,
            Leader::Parked(token, _) | Leader::Waking(token) => *token == me,
            Leader::Away(token, since) => *token == me || now.duration_since(*since) >= limit,
        }
    }

    /// Whom to wake for what is queued, and when to look again.
    fn rouse(&mut self, now: Instant, limit: Duration) -> (Option<Wake>, Option<Instant>) {
        match std::mem::replace(&mut self.leader, Leader::None) {
            Leader::Parked(token, thread) => {
                self.leader = Leader::Waking(token);
                (Some(Wake::Leader(thread)), Some(now + limit))
            }
            Leader::Waking(token) => {
                self.leader = Leader::Waking(token);
                (None, Some(now + limit))
            }
            Leader::Away(token, since) if now.duration_since(since) < limit => {
                self.leader = Leader::Away(token, since);
                (None, Some(since + limit))
            }
            stuck => match self.followers.pop() {
                Some((token, thread)) => {
                    self.leader = Leader::Waking(token);
                    (Some(Wake::Follower(thread)), Some(now + limit))
                }
                // Nobody is free: whoever comes back first takes over, unless it parks behind a leader that gets stuck.
                None => {
                    self.leader = stuck;
                    (None, Some(now + limit))
                }
            },
        }
    }

    fn forget(&mut self, me: u64) {
        self.followers.retain(|(token, _)| *token != me);
        if matches!(self.leader, Leader::Parked(token, _) | Leader::Waking(token) if token == me) {
            self.leader = Leader::None;
        }
    }
}

#[cfg(test)]
mod tests;
