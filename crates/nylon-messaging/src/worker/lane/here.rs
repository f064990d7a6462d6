//! What a thread that works on a lane knows of itself.

use std::{
    cell::Cell,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Instant,
};

thread_local! {
    static NUMBER: u64 = {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        NEXT.fetch_add(1, Relaxed)
    };
    static TAKEN_AT: Cell<Option<Instant>> = const { Cell::new(None) };
    static HELD: Cell<u32> = const { Cell::new(0) };
    /// Whether this thread gathers results, see [`gather`].
    static GATHERS: Cell<bool> = const { Cell::new(false) };
}

/// This thread among all.
pub(super) fn number() -> u64 {
    NUMBER.with(|number| *number)
}

/// It has taken a job.
pub(super) fn took(now: Instant) {
    TAKEN_AT.set(Some(now));
    HELD.set(HELD.get().saturating_add(1));
}

/// When it last took a job, as long as it has not come back.
pub(super) fn taken_at() -> Option<Instant> {
    TAKEN_AT.get()
}

/// It comes back: when it had taken a job.
pub(super) fn came_back() -> Option<Instant> {
    TAKEN_AT.take()
}

/// How many jobs it has taken since results were sent.
pub(super) fn held() -> u32 {
    HELD.get()
}

/// Results are sent.
pub(super) fn sent() {
    HELD.set(0);
}

/// Whether this thread says when its results are to leave: it is between two calls of [`Queue::take`](super::Queue::take), or gathers.
pub(in crate::worker) fn comes_back() -> bool {
    TAKEN_AT.get().is_some() || GATHERS.get()
}

/// Whether this thread, one of an event loop, gathers results from now on.
pub(in crate::worker) fn gather(gathers: bool) {
    GATHERS.set(gathers);
}
