//! For how long a handler may hold up the others (rules §12, decision 0026).

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

/// A handler that runs longer than this does not hold up the others. Shorter than what a busy machine takes a processor away for
/// would have threads take over from each other that are only not let run.
pub(super) const SLOW: Duration = Duration::from_millis(2);
/// The same for [`WARY`] after a handler that took [`LONG`], unless that is no more than [`OFTEN`] times what handlers take.
const SLOW_AGAIN: Duration = Duration::from_micros(500);
/// Threads that compute would take over from each other, take turns, and so all take [`LONG`]: that must come to an end.
const OFTEN: u64 = 4;
/// A handler counts for one in so many of the mean.
const MEMORY: u64 = 32;
/// Who takes this long waits for something: it is not that nobody lets it run.
const LONG: Duration = Duration::from_millis(10);
const WARY: Duration = Duration::from_secs(1);
/// So many results wait for those behind them then.
const FEW: u32 = 4;

/// What the queues and whoever stands by have seen of handlers.
pub(super) struct Patience {
    origin: Instant,
    /// Microseconds since `origin`.
    wary_until: AtomicU64,
    /// What handlers take, a moving mean, nanoseconds. None counts for more than [`SLOW`]: few that sleep do not matter.
    usual: AtomicU64,
}

impl Default for Patience {
    fn default() -> Self {
        Self { origin: Instant::now(), wary_until: AtomicU64::new(0), usual: AtomicU64::new(0) }
    }
}

impl Patience {
    /// How long a handler may run now until it is overtaken.
    pub fn limit(&self, now: Instant) -> Duration {
        if !self.is_wary(now) {
            return SLOW;
        }
        Duration::from_nanos(self.usual.load(Relaxed) * OFTEN).clamp(SLOW_AGAIN, SLOW)
    }

    /// How many results of quick handlers may wait now for the handlers behind them.
    pub fn held(&self, now: Instant) -> u32 {
        if self.is_wary(now) { FEW } else { u32::MAX }
    }

    fn is_wary(&self, now: Instant) -> bool {
        let until = self.wary_until.load(Relaxed);
        until > 0 && self.us(now) < until
    }

    /// A handler has come back after this long.
    pub fn took(&self, handler: Duration, now: Instant) {
        let (usual, nanos) = (self.usual.load(Relaxed), u64::from(handler.min(SLOW).subsec_nanos()));
        self.usual.store(usual - usual / MEMORY + nanos / MEMORY, Relaxed);
        if handler >= LONG {
            self.wary_until.store(self.us(now + WARY), Relaxed);
        }
    }

    fn us(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.origin).as_micros()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_long_handler_the_next_may_take_less_for_a_second() {
        let (patience, now) = (Patience::default(), Instant::now());
        patience.took(LONG.checked_sub(Duration::from_micros(1)).expect("it is longer"), now);
        assert_eq!(patience.limit(now), SLOW);
        patience.took(LONG, now);
        assert_eq!(patience.limit(now), SLOW_AGAIN);
        // one quick handler says nothing of the next slow one
        patience.took(Duration::ZERO, now);
        assert_eq!(patience.limit(now + WARY / 2), SLOW_AGAIN);
        assert_eq!(patience.limit(now + WARY), SLOW);
    }

    #[test]
    fn handlers_that_compute_are_not_overtaken_sooner_for_being_interrupted() {
        let (patience, now) = (Patience::default(), Instant::now());
        let all = |each: Duration| (0..1000).for_each(|_| patience.took(each, now));
        all(SLOW_AGAIN);
        patience.took(LONG, now);
        assert!(patience.limit(now) > SLOW_AGAIN * 3);
        // they take turns
        all(LONG);
        assert!(patience.limit(now) > SLOW - SLOW_AGAIN);
        // one in a hundred sleeps
        for _ in 0..100 {
            (0..99).for_each(|_| patience.took(SLOW_AGAIN / 20, now));
            patience.took(LONG, now);
        }
        assert_eq!(patience.limit(now), SLOW_AGAIN);
    }
}
