//! The entries of one gateway thread, and the limit of sessions that are in flight over all threads.

use std::{
    cell::Cell,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::{EntryMetrics, Plugin};

/// A configured entry as one gateway thread has it.
pub struct Entry {
    /// `plugin/entry`, for logs and metrics.
    pub label: Arc<str>,
    /// Makes the sessions.
    pub plugin: Rc<dyn Plugin>,
    /// Largest response body that a body filter gets, bytes.
    pub max_body: usize,
    /// Limit of the plugin's sessions.
    pub in_flight: Arc<InFlight>,
    /// Counters of this thread.
    pub metrics: Arc<EntryMetrics>,
    /// Whether an ignored operation has been logged (rules §10: once per entry).
    pub(crate) warned: Cell<bool>,
}

impl Entry {
    /// An entry with fresh counters.
    #[must_use]
    pub fn new(label: impl Into<Arc<str>>, plugin: Rc<dyn Plugin>, max_body: usize, in_flight: Arc<InFlight>) -> Self {
        Self {
            label: label.into(),
            plugin,
            max_body,
            in_flight,
            metrics: Arc::new(EntryMetrics::default()),
            warned: Cell::new(false),
        }
    }
}

/// The entries of one gateway thread; [`crate::Link::entry`] is the index.
pub type Entries = Rc<[Entry]>;

/// How many sessions of a plugin may be in flight at once, over all threads (rules §11) and snapshots.
#[derive(Debug)]
pub struct InFlight {
    count: AtomicUsize,
    limit: AtomicUsize,
}

impl InFlight {
    /// At most `limit` sessions at once.
    #[must_use]
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { count: AtomicUsize::new(0), limit: AtomicUsize::new(limit) })
    }

    /// At most `limit` sessions at once from now on. Those beyond it end in their own time.
    pub fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// A place for one session, given back when dropped; `None` when all are taken.
    #[must_use]
    pub fn enter(self: &Arc<Self>) -> Option<Permit> {
        if self.count.fetch_add(1, Ordering::Relaxed) < self.limit.load(Ordering::Relaxed) {
            return Some(Permit(Arc::clone(self)));
        }
        self.count.fetch_sub(1, Ordering::Relaxed);
        None
    }

    /// How many are in flight now.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

/// A session's place among those in flight.
#[derive(Debug)]
pub struct Permit(Arc<InFlight>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::Relaxed);
    }
}
