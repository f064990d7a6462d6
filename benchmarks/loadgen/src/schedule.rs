//! When each request is due: evenly spaced, on a grid, so that one wake-up serves the few requests of one grid step.

use std::time::Duration;

use crate::Due;
use crate::options::Options;

pub struct Schedule {
    next: u64,
    total: u64,
    period_ns: f64,
    grid_ns: u64,
    marked_every: u64,
}

impl Schedule {
    pub fn new(options: &Options) -> Self {
        Schedule {
            next: 0,
            total: options.total(),
            period_ns: 1e9 / options.rate,
            grid_ns: (options.grid_us * 1000).max(1),
            marked_every: options.marked_every,
        }
    }

    fn at(&self, index: u64) -> Duration {
        let exact = (index as f64 * self.period_ns) as u64;
        Duration::from_nanos(exact - exact % self.grid_ns)
    }

    pub fn is_done(&self) -> bool {
        self.next >= self.total
    }

    pub fn end(&self) -> Duration {
        self.at(self.total)
    }

    pub fn next_at(&self) -> Option<Duration> {
        (!self.is_done()).then(|| self.at(self.next))
    }

    pub fn take_due(&mut self, now: Duration) -> Option<Due> {
        let at = self.next_at().filter(|at| *at <= now)?;
        let marked = self.marked_every > 0 && self.next % self.marked_every == self.marked_every - 1;
        self.next += 1;
        Some(Due { at, class: u8::from(marked) })
    }
}
