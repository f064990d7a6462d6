//! Peak-EWMA latency in one atomic word: jumps up at once, comes down slowly, fades while nothing is heard.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Without samples the value halves in this time, so that a worker that was slow once is tried again. Milliseconds.
const HALF_LIFE_MS: u64 = 1_000;

/// Upper half: when, milliseconds (wrapping); lower half: microseconds. 0 = unknown.
#[derive(Debug, Default)]
pub(super) struct Latency(AtomicU64);

impl Latency {
    /// The value now, in microseconds; at least 1.
    pub(super) fn now_us(&self, now_ms: u64) -> Option<u64> {
        match self.0.load(Relaxed) {
            0 => None,
            word => Some(faded(word, now_ms).max(1)),
        }
    }

    /// Adds a sample. Two threads at once may lose one of two samples, which is as good as either.
    pub(super) fn sample(&self, microseconds: u64, now_ms: u64) {
        let sample = microseconds.clamp(1, u64::from(u32::MAX));
        let value = match self.0.load(Relaxed) {
            0 => sample,
            word => {
                let old = faded(word, now_ms);
                if sample >= old { sample } else { old - (old - sample).div_ceil(8) }
            }
        };
        self.0.store(now_ms << 32 | value.max(1), Relaxed);
    }

    /// Forgets everything.
    pub(super) fn forget(&self) {
        self.0.store(0, Relaxed);
    }
}

fn faded(word: u64, now_ms: u64) -> u64 {
    let value = word & u64::from(u32::MAX);
    let age = (now_ms & u64::from(u32::MAX)).wrapping_sub(word >> 32) & u64::from(u32::MAX);
    // A clock that seems to run backwards is another thread's later sample.
    let age = if age > u64::from(u32::MAX / 2) { 0 } else { age };
    let halved = value >> (age / HALF_LIFE_MS).min(32);
    halved - halved / 2 * (age % HALF_LIFE_MS) / HALF_LIFE_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_jumps_up_and_creeps_down() {
        let latency = Latency::default();
        assert_eq!(latency.now_us(5), None);
        latency.sample(1_000, 5);
        latency.sample(9_000, 6);
        assert_eq!(latency.now_us(6), Some(9_000));
        latency.sample(1_000, 6);
        assert_eq!(latency.now_us(6), Some(8_000));
        for _ in 0..60 {
            latency.sample(1_000, 6);
        }
        assert_eq!(latency.now_us(6), Some(1_000));
    }

    #[test]
    fn it_fades_without_samples() {
        let latency = Latency::default();
        latency.sample(8_000, 1_000);
        assert_eq!(latency.now_us(2_000), Some(4_000));
        assert_eq!(latency.now_us(2_500), Some(3_000));
        assert_eq!(latency.now_us(1_000_000), Some(1));
    }
}
