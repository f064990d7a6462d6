//! The worker as its SDK holds it.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, atomic::Ordering::Relaxed},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use nylon_wire::{WorkerState, subject};

use super::{
    Job, Lane, WorkerCondition, WorkerError, WorkerOptions, WorkerStats, io,
    lane::{self, Taken},
    outbox::Event,
    shared::Shared,
};
use crate::{ConnectionState, lock::lock};

/// What [`Worker::next`] found.
#[derive(Debug)]
pub enum Next {
    /// Work.
    Job(Job),
    /// Nothing came in time.
    TimedOut,
    /// Nothing will come any more.
    Closed,
}

/// A worker of a group. Clones are the same worker; when the last one is dropped it ends at once.
///
/// A thread of its own (`nylon-nats`) starts with it and never runs user code.
#[derive(Clone)]
pub struct Worker(Arc<Handle>);

struct Handle {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Worker {
    /// Starts a worker and returns at once; it connects in the background, for ever.
    ///
    /// # Errors
    /// What no retry can heal: see [`WorkerError`].
    pub fn start(options: WorkerOptions) -> Result<Self, WorkerError> {
        check(&options)?;
        let id = random_id()?;
        let shared = Arc::new(Shared::new(options, id));
        let thread = io::start(shared.clone())?;
        Ok(Self(Arc::new(Handle { shared, thread: Mutex::new(Some(thread)) })))
    }

    /// The worker's id: random, new at each start, last token of its direct subject.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0.shared.id
    }

    /// What it was started with.
    #[must_use]
    pub fn options(&self) -> &WorkerOptions {
        &self.0.shared.options
    }

    /// Waits for a job, no longer than `limit` (for ever if none). Any number of threads may call it; while handlers are
    /// quick one of them gets all jobs (rules §12).
    #[must_use]
    pub fn next(&self, lane: Lane, limit: Option<Duration>) -> Next {
        let until = limit.and_then(|limit| Instant::now().checked_add(limit));
        match self.0.shared.lane(lane).take(until, &self.0.shared.outbox) {
            Taken::Job(run) => Next::Job(Job::new(run, self.0.shared.clone())),
            Taken::TimedOut => Next::TimedOut,
            Taken::Closed => Next::Closed,
        }
    }

    /// A job, if there is one for this thread at once: what [`Worker::next`] would give without waiting.
    #[must_use]
    pub fn next_now(&self, lane: Lane) -> Option<Job> {
        Some(Job::new(self.0.shared.lane(lane).take_now()?, self.0.shared.clone()))
    }

    /// A job, if there is one, for a thread that never waits here.
    #[must_use]
    pub fn try_next(&self, lane: Lane) -> Option<Job> {
        Some(Job::new(self.0.shared.lane(lane).try_take()?, self.0.shared.clone()))
    }

    /// Results of this thread, an event loop's, wait for [`Worker::release`] from now on: waking the I/O for each of many
    /// that come in one turn of the loop would cost more than they do. They do not wait for longer than 10 ms.
    pub fn gather(&self) {
        lane::gather(true);
    }

    /// Lets go what [`Worker::gather`] has held.
    pub fn release(&self) {
        lane::gather(false);
        self.0.shared.outbox.flush();
    }

    /// Sets what is called when a lane goes from empty to non-empty, and when it closes. Runs on the I/O thread: it must
    /// not block (write to an eventfd, not to an interpreter).
    pub fn on_ready(&self, lane: Lane, callback: impl Fn() + Send + 'static) {
        self.0.shared.lane(lane).on_ready(Box::new(callback));
    }

    /// Begins to end: no new sessions, running ones may finish until the drain timeout, then a Shutdown job, then
    /// [`Next::Closed`]. Returns at once; may be called again and from a handler.
    pub fn drain(&self) {
        self.0.shared.outbox.push(Event::Drain);
    }

    /// Whether it has ended.
    #[must_use]
    pub fn drained(&self) -> bool {
        self.0.shared.ended()
    }

    /// Waits for the end, no longer than `limit` (for ever if none); true when it has come, and then the I/O thread is
    /// joined. Not from a handler: it would wait for itself.
    #[must_use]
    pub fn wait_drained(&self, limit: Option<Duration>) -> bool {
        let until = limit.and_then(|limit| Instant::now().checked_add(limit));
        let ended = self.0.shared.wait_end(until);
        if ended {
            self.0.join();
        }
        ended
    }

    /// Counters and gauges.
    #[must_use]
    pub fn stats(&self) -> WorkerStats {
        let shared = &self.0.shared;
        WorkerStats {
            counts: shared.counters.read(),
            sessions: shared.gauges.sessions.load(Relaxed),
            active: shared.gauges.active.load(Relaxed),
            queued: shared.threads.len() + shared.looped.len(),
            connects: shared.watch.get().map_or(0, |watch| watch.connects()),
            slow_consumers: shared.watch.get().map_or(0, |watch| watch.slow_consumers()),
        }
    }

    /// How it is.
    #[must_use]
    pub fn state(&self) -> WorkerCondition {
        let shared = &self.0.shared;
        WorkerCondition {
            connection: shared.watch.get().map_or(ConnectionState::Connecting, |watch| watch.state()),
            config: WorkerState::from_number(u64::from(shared.gauges.config.load(Relaxed))),
            draining: shared.gauges.draining.load(Relaxed),
            drained: shared.ended(),
        }
    }
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").field("id", &self.id()).field("group", &self.options().group).finish_non_exhaustive()
    }
}

impl Handle {
    fn join(&self) {
        let thread = lock(&self.thread).take();
        // A callback may hold the last handle: the I/O thread cannot wait for itself.
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != std::thread::current().id())
            && thread.join().is_err()
        {
            tracing::error!("running a worker: its thread panicked");
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.outbox.push(Event::Stop);
        self.join();
    }
}

fn random_id() -> Result<String, WorkerError> {
    let mut bytes = [0; 12];
    getrandom::fill(&mut bytes).map_err(|cause| WorkerError::Random(cause.to_string()))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn check(options: &WorkerOptions) -> Result<(), WorkerError> {
    if options.entries.is_empty() {
        return Err(WorkerError::NoEntry);
    }
    for (limit, least, name) in [(options.max_sessions, 1, "max_sessions"), (options.credit as usize, 4_096, "credit")]
    {
        if limit < least {
            return Err(WorkerError::Limit(name));
        }
    }
    let mut names = HashSet::new();
    for entry in &options.entries {
        if !names.insert(&entry.name) {
            return Err(WorkerError::DuplicateEntry(entry.name.clone()));
        }
        subject::open(&options.prefix, &options.group, &entry.name).map_err(|cause| WorkerError::Name {
            what: format!("entry {:?} of group {:?} below prefix {:?}", entry.name, options.group, options.prefix),
            cause,
        })?;
    }
    Ok(())
}
