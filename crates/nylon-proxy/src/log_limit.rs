//! Keeps the log from becoming the load: a flood of failures is logged line by line only up to a rate.

use std::cell::Cell;

/// Lines a second and thread. Whatever is beyond it is counted in the metrics, by code.
const LINES: u32 = 500;

/// Says which failures of one thread are logged.
#[derive(Debug, Default)]
pub(crate) struct LogLimit {
    second: Cell<u64>,
    lines: Cell<u32>,
}

impl LogLimit {
    /// Whether the next failure is logged; `now` in milliseconds. Says how many were left out once a new second begins.
    pub(crate) fn allows(&self, now: u64) -> bool {
        let second = now / 1000;
        if self.second.replace(second) != second {
            let left_out = self.lines.replace(0).saturating_sub(LINES);
            if left_out > 0 {
                tracing::warn!("{left_out} more failures were not logged one by one; the metrics count them");
            }
        }
        self.lines.set(self.lines.get().saturating_add(1));
        self.lines.get() <= LINES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_and_the_next_second_begins_anew() {
        let limit = LogLimit::default();
        let allowed = |now| (0..2 * LINES).filter(|_| limit.allows(now)).count();
        assert_eq!(allowed(0), LINES as usize);
        assert_eq!(allowed(999), 0);
        assert_eq!(allowed(1000), LINES as usize);
        assert!(limit.allows(5000));
    }
}
