//! Credit accounting of one direction of a session (rules §8). Pure: who waits and who wakes is the caller's work.

use crate::Limits;

/// Bytes a sender may still send. A message costs max(length, 256).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credit {
    left: u64,
}

impl Default for Credit {
    fn default() -> Self {
        Credit::new(Limits::INITIAL_CREDIT)
    }
}

impl Credit {
    /// Starts with what the peer announced.
    pub fn new(initial: u32) -> Self {
        Credit { left: u64::from(initial) }
    }

    /// What a message of `length` bytes costs.
    pub fn cost(length: usize) -> u64 {
        (length as u64).max(u64::from(Limits::MESSAGE_MIN_COST))
    }

    /// How many bytes one message may carry now, at most `wanted`; 0 = wait for a grant. A sender with less than the
    /// smallest cost left waits, so the balance never goes below zero.
    pub fn allowance(&self, wanted: usize) -> usize {
        if self.left < u64::from(Limits::MESSAGE_MIN_COST) {
            return 0;
        }
        usize::try_from(self.left).map_or(wanted, |left| wanted.min(left))
    }

    /// Pays for a message of `length` bytes. False, and nothing is paid, if the credit does not cover it.
    #[must_use]
    pub fn take(&mut self, length: usize) -> bool {
        let cost = Self::cost(length);
        if cost > self.left {
            return false;
        }
        self.left -= cost;
        true
    }

    /// Adds a grant of the peer.
    pub fn grant(&mut self, bytes: u32) {
        self.left = self.left.saturating_add(u64::from(bytes));
    }

    /// Bytes left.
    pub fn left(&self) -> u64 {
        self.left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_costs_at_least_the_minimum() {
        let mut credit = Credit::new(600);
        assert!(credit.take(1));
        assert_eq!(credit.left(), 344);
        assert!(credit.take(300));
        assert_eq!(credit.left(), 44);
        assert!(!credit.take(1));
        assert_eq!((credit.left(), credit.allowance(10)), (44, 0));
        credit.grant(1000);
        assert_eq!(credit.allowance(5000), 1044);
        assert!(!credit.take(1045));
    }
}
