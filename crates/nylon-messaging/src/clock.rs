//! One monotonic clock for the process, in whole milliseconds, as frames and the worker table need it.

use std::{
    sync::OnceLock,
    time::{Duration, Instant},
};

static START: OnceLock<Instant> = OnceLock::new();

/// Milliseconds of the process's monotonic clock; they start at 1,000 so that 0 can mean *never*.
#[derive(Clone, Copy, Debug)]
pub struct Clock;

impl Clock {
    const OFFSET_MS: u64 = 1_000;

    /// Now.
    #[must_use]
    pub fn now_ms() -> u64 {
        Self::ms(Instant::now())
    }

    /// The same clock at another moment; moments before the first use of the clock count as its start.
    #[must_use]
    pub fn ms(moment: Instant) -> u64 {
        let start = *START.get_or_init(Instant::now);
        u64::try_from(moment.saturating_duration_since(start).as_millis()).unwrap_or(u64::MAX / 2) + Self::OFFSET_MS
    }

    /// Whole milliseconds from `now` until `moment`, rounded up; 0 when it has passed.
    #[must_use]
    pub fn remaining_ms(moment: Instant, now: Instant) -> u64 {
        let left = moment.saturating_duration_since(now);
        u64::try_from((left + Duration::from_micros(999)).as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_says_never() {
        assert!(Clock::now_ms() >= Clock::OFFSET_MS);
        assert!(Clock::ms(Instant::now() + Duration::from_secs(2)) >= Clock::now_ms() + 1_999);
    }

    #[test]
    fn what_has_passed_leaves_nothing() {
        let now = Instant::now();
        assert_eq!(Clock::remaining_ms(now, now), 0);
        assert_eq!(Clock::remaining_ms(now, now + Duration::from_secs(1)), 0);
        assert_eq!(Clock::remaining_ms(now + Duration::from_micros(1_001), now), 2);
    }
}
