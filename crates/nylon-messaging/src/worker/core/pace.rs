//! How fast a lane works when it is behind: what tells an open that would wait too long before it has waited.

use std::time::{Duration, Instant};

/// So few may always wait: the pace of a handful of handlers says little.
const FEW: usize = 16;
/// Shorter looks are too coarse to tell a pace from.
const LOOK: Duration = Duration::from_millis(8);

/// The pace of one lane.
#[derive(Default)]
pub(super) struct Pace {
    finished: u32,
    since: Option<Instant>,
    /// Finished in a second while others waited all along, smoothed. `None` while the lane keeps up.
    per_second: Option<f64>,
}

impl Pace {
    /// A handler has ended.
    pub fn finished(&mut self) {
        self.finished += 1;
    }

    /// Looks again; `waiting`: how many wait for user code now.
    pub fn look(&mut self, waiting: usize, now: Instant) {
        if waiting == 0 {
            *self = Self::default();
            return;
        }
        let Some(since) = self.since else {
            (self.finished, self.since) = (0, Some(now));
            return;
        };
        let passed = now.saturating_duration_since(since);
        if passed < LOOK {
            return;
        }
        let pace = f64::from(self.finished) / passed.as_secs_f64();
        self.per_second = Some(self.per_second.map_or(pace, |known| known * 0.75 + pace * 0.25));
        (self.finished, self.since) = (0, Some(now));
    }

    /// Whether one more, behind so many, would wait for longer than `limit`.
    pub fn too_many(&self, waiting: usize, limit: Duration) -> bool {
        waiting >= FEW && self.per_second.is_some_and(|pace| waiting as f64 > pace * limit.as_secs_f64())
    }

    /// Whether it has fallen behind lately.
    pub fn is_behind(&self) -> bool {
        self.per_second.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(80);

    /// A lane that finishes `each` per 10 ms while `waiting` wait.
    fn working(pace: &mut Pace, steps: u32, each: u32, waiting: usize, mut now: Instant) -> Instant {
        for _ in 0..steps {
            now += Duration::from_millis(10);
            (0..each).for_each(|_| pace.finished());
            pace.look(waiting, now);
        }
        now
    }

    #[test]
    fn what_would_wait_too_long_is_too_many() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        assert!(!pace.too_many(1_000_000, LIMIT), "nothing is known");
        let now = working(&mut pace, 20, 10, 500, now);
        assert!(pace.is_behind() && pace.too_many(81, LIMIT) && !pace.too_many(79, LIMIT));
        // Handlers have become slower.
        working(&mut pace, 20, 3, 500, now);
        assert!(pace.too_many(30, LIMIT) && !pace.too_many(20, LIMIT));
        assert!(!pace.too_many(FEW - 1, LIMIT), "a few may always wait");
    }

    #[test]
    fn a_lane_that_keeps_up_refuses_nothing() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        let now = working(&mut pace, 20, 1, 500, now);
        assert!(pace.too_many(100, LIMIT));
        working(&mut pace, 1, 1, 0, now);
        assert!(!pace.is_behind() && !pace.too_many(100, LIMIT));
    }

    #[test]
    fn a_lane_that_stands_still_takes_only_a_few() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        working(&mut pace, 40, 0, 500, now);
        assert!(pace.too_many(FEW, LIMIT) && !pace.too_many(FEW - 1, LIMIT));
    }
}
