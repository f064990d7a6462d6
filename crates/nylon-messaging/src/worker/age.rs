//! How old an open is, although no two machines agree on the time (rules §2).
//!
//! Per gateway thread the smallest (received − sent) stands for a frame that did not wait; what a later frame has above it
//! is its age. The smallest may grow again (clocks drift, virtual machines pause) only by a whole quiet window, in which
//! this worker was neither frozen nor cut off: what arrives in a burst after such a break never sets the measure.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use foldhash::fast::RandomState;

use crate::Clock;

/// After so much undisturbed time the smallest of that time counts.
const WINDOW: Duration = Duration::from_secs(10);
/// More gateway threads than this are not remembered at the same time.
const MOST: usize = 4_096;

struct Measure {
    smallest: i64,
    window_smallest: i64,
    window_start: Instant,
}

/// Ages by gateway thread.
#[derive(Default)]
pub(super) struct Ages {
    measures: HashMap<Box<str>, Measure, RandomState>,
    last_look: Option<Instant>,
}

impl Ages {
    /// The age of a frame that gateway thread `from` sent at `sent_ms` of its own monotonic clock.
    pub fn age(&mut self, from: &str, sent_ms: u64, now: Instant) -> Duration {
        let sent = i64::try_from(sent_ms).unwrap_or(i64::MAX);
        let delta = i64::try_from(Clock::ms(now)).unwrap_or(i64::MAX).saturating_sub(sent);
        let Some(measure) = self.measures.get_mut(from) else {
            if self.measures.len() >= MOST {
                self.measures.retain(|_, measure| now.duration_since(measure.window_start) < WINDOW * 2);
                if self.measures.len() >= MOST {
                    self.measures.clear();
                }
            }
            let measure = Measure { smallest: delta, window_smallest: delta, window_start: now };
            self.measures.insert(from.into(), measure);
            return Duration::ZERO;
        };
        if now.duration_since(measure.window_start) >= WINDOW {
            if measure.window_smallest != i64::MAX {
                measure.smallest = measure.window_smallest;
            }
            measure.window_smallest = delta;
            measure.window_start = now;
        }
        measure.window_smallest = measure.window_smallest.min(delta);
        measure.smallest = measure.smallest.min(delta);
        Duration::from_millis(u64::try_from(delta.saturating_sub(measure.smallest)).unwrap_or(0))
    }

    /// Called often: a long pause between two calls means that this process was frozen.
    pub fn look(&mut self, now: Instant) {
        if self.last_look.replace(now).is_some_and(|last| now.duration_since(last) > Duration::from_secs(1)) {
            self.disturbed(now);
        }
    }

    /// The process was frozen or cut off: what comes now may be old.
    pub fn disturbed(&mut self, now: Instant) {
        for measure in self.measures.values_mut() {
            measure.window_start = now;
            measure.window_smallest = i64::MAX;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn sent(now: Instant, offset: u64) -> u64 {
        Clock::ms(now) + offset
    }

    #[test]
    fn a_frame_that_waited_is_old() {
        let (mut ages, now) = (Ages::default(), Instant::now());
        let clock = sent(now, 5_000_000);
        assert_eq!(ages.age("a", clock, now), Duration::ZERO);
        assert_eq!(ages.age("a", clock, now + 700 * MS), 700 * MS);
        assert_eq!(ages.age("a", clock + 700, now + 700 * MS), Duration::ZERO);
        assert_eq!(ages.age("b", clock, now + 700 * MS), Duration::ZERO, "each thread has its own measure");
    }

    #[test]
    fn what_was_buffered_while_frozen_stays_old() {
        let (mut ages, now) = (Ages::default(), Instant::now());
        let clock = sent(now, 0);
        ages.look(now);
        ages.age("a", clock, now);
        let later = now + 60_000 * MS;
        ages.look(later);
        assert_eq!(ages.age("a", clock + 1_000, later), 59_000 * MS);
        assert_eq!(ages.age("a", clock + 1_001, later + MS), 59_000 * MS);
        assert_eq!(ages.age("a", clock + 60_002, later + 2 * MS), Duration::ZERO);
    }

    #[test]
    fn a_gateway_whose_clock_stood_still_is_believed_after_a_window() {
        let (mut ages, now) = (Ages::default(), Instant::now());
        let clock = sent(now, 0);
        for step in 0..40u32 {
            let late = if step < 5 { 0 } else { 3_000 };
            let at = now + step * 500 * MS + late * MS;
            ages.look(at.min(now + step * 500 * MS));
            let age = ages.age("a", clock + u64::from(step) * 500, at);
            match step {
                0..5 => assert_eq!(age, Duration::ZERO),
                5..20 => assert_eq!(age, 3_000 * MS, "step {step}"),
                35.. => assert_eq!(age, Duration::ZERO, "step {step}"),
                _ => {}
            }
        }
    }

    #[test]
    fn gateway_threads_are_not_remembered_without_bound() {
        let (mut ages, now) = (Ages::default(), Instant::now());
        for number in 0..2 * MOST {
            ages.age(&number.to_string(), 0, now);
        }
        assert!(ages.measures.len() <= MOST);
    }
}
