//! Several opens in a row to one worker while handlers are quick (decision 0008).

use std::{
    cell::{Cell, RefCell},
    time::Duration,
};

/// So many opens in a row go to one worker. Waking a worker for each costs more than a quick handler does.
const LENGTH: u8 = 8;
/// A handler is quick up to this, on average, in microseconds.
const QUICK_US: u64 = 200;

/// The streaks of one entry in one gateway thread. `W` is a worker.
pub(super) struct Streaks<W> {
    current: RefCell<Option<Streak<W>>>,
    /// Moving average of what handlers took, microseconds. Nothing is known at the start: slow.
    handler_us: Cell<u64>,
}

struct Streak<W> {
    worker: W,
    left: u8,
    /// The millisecond that it began in, and ends with: an idle gateway chooses anew each time.
    began_ms: u64,
}

impl<W: Clone> Streaks<W> {
    pub(super) fn new() -> Self {
        Self { current: RefCell::new(None), handler_us: Cell::new(QUICK_US * 8) }
    }

    /// The worker of the streak, if it goes on and the worker may still take an open.
    pub(super) fn go_on(&self, now_ms: u64, may_take: impl FnOnce(&W) -> bool) -> Option<W> {
        let mut current = self.current.borrow_mut();
        let streak = current.as_mut()?;
        if streak.left > 0 && streak.began_ms == now_ms && may_take(&streak.worker) {
            streak.left -= 1;
            return Some(streak.worker.clone());
        }
        *current = None;
        None
    }

    /// A worker was chosen for an open: others may follow it if handlers are quick.
    pub(super) fn begin(&self, worker: &W, now_ms: u64) {
        if self.handler_us.get() <= QUICK_US {
            let streak = Streak { worker: worker.clone(), left: LENGTH - 1, began_ms: now_ms };
            *self.current.borrow_mut() = Some(streak);
        }
    }

    /// Learns what a handler took.
    pub(super) fn note(&self, handler: Duration) {
        let us = u64::try_from(handler.as_micros()).unwrap_or(u64::MAX).min(u64::from(u32::MAX));
        self.handler_us.set((self.handler_us.get() * 7 + us) / 8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quick() -> Streaks<u32> {
        let streaks = Streaks::new();
        (0..40).for_each(|_| streaks.note(Duration::from_micros(20)));
        streaks
    }

    #[test]
    fn a_streak_ends_after_its_length() {
        let streaks = quick();
        streaks.begin(&7, 1);
        for _ in 1..LENGTH {
            assert_eq!(streaks.go_on(1, |_| true), Some(7));
        }
        assert_eq!(streaks.go_on(1, |_| true), None);
    }

    #[test]
    fn a_streak_ends_with_its_millisecond_and_with_its_worker() {
        let streaks = quick();
        streaks.begin(&7, 1);
        assert_eq!(streaks.go_on(2, |_| true), None);
        streaks.begin(&7, 2);
        assert_eq!(streaks.go_on(2, |worker| *worker != 7), None);
        assert_eq!(streaks.go_on(2, |_| true), None, "an ended streak does not come back");
    }

    #[test]
    fn slow_or_unknown_handlers_get_no_streak() {
        let streaks = Streaks::new();
        streaks.begin(&7, 1);
        assert_eq!(streaks.go_on(1, |_| true), None);
        let streaks = quick();
        streaks.note(Duration::from_millis(100));
        streaks.begin(&7, 1);
        assert_eq!(streaks.go_on(1, |_| true), None);
    }
}
