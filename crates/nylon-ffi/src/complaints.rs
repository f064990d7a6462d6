//! What libraries do wrong is logged, but never so often that the log becomes the load.

use std::{
    fmt,
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

/// One line a second, and a count of everything.
#[derive(Default)]
pub(crate) struct Complaints {
    /// The second after that of the last line.
    next: AtomicU64,
    total: AtomicU64,
    left_out: AtomicU64,
}

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Complaints {
    pub(crate) const fn new() -> Self {
        Self { next: AtomicU64::new(0), total: AtomicU64::new(0), left_out: AtomicU64::new(0) }
    }

    /// Logs what a plugin did, at a limited rate. `who` is the library or the entry.
    pub(crate) fn add(&self, who: &str, what: fmt::Arguments<'_>) {
        self.total.fetch_add(1, Relaxed);
        let now = START.elapsed().as_secs();
        let next = self.next.load(Relaxed);
        if now < next || self.next.compare_exchange(next, now + 1, Relaxed, Relaxed).is_err() {
            self.left_out.fetch_add(1, Relaxed);
            return;
        }
        let left_out = self.left_out.swap(0, Relaxed);
        tracing::warn!(plugin = who, left_out, "a plugin library misbehaves: {what}");
    }

    pub(crate) fn total(&self) -> u64 {
        self.total.load(Relaxed)
    }
}
