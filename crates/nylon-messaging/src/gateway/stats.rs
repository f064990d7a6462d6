//! Counters of the gateway half. Written by one thread each with relaxed atomics, read by anyone.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use crate::{ConnectionState, connection::ConnectionWatch};

/// A number that only grows, or a gauge. One writer, many readers.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Its value.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// Adds one. A plain load and store: the counter has one writer.
    pub(super) fn add(&self) {
        self.0.store(self.0.load(Relaxed).wrapping_add(1), Relaxed);
    }

    pub(super) fn add_many(&self, more: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(more), Relaxed);
    }

    pub(super) fn subtract(&self) {
        self.0.store(self.0.load(Relaxed).wrapping_sub(1), Relaxed);
    }

    pub(super) fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }
}

/// One link: a gateway thread's connection to one messaging entry.
#[derive(Debug)]
pub struct LinkStats {
    connection: ConnectionWatch,
    /// Opens published, retries included.
    pub opens: Counter,
    /// Opens published again after one was not accepted.
    pub retries: Counter,
    /// BUSY answers.
    pub busy: Counter,
    /// Opens that the retry budget did not allow.
    pub over_budget: Counter,
    /// Opens that nobody accepted in time.
    pub not_accepted: Counter,
    /// Probes published.
    pub probes: Counter,
    /// "No responders" answers.
    pub no_responders: Counter,
    /// Answers whose slot, generation or session no longer matched.
    pub stale: Counter,
    /// Frames that were not understood, or were out of order.
    pub protocol_errors: Counter,
    /// Messages that NATS did not take: disconnected, congested or too long.
    pub unsent: Counter,
    /// Slots in use (gauge): sessions that are open.
    pub slots_in_use: Counter,
    /// Slots that rest after a timeout (gauge).
    pub slots_resting: Counter,
}

impl LinkStats {
    pub(super) fn new(connection: ConnectionWatch) -> Self {
        Self {
            connection,
            opens: Counter::default(),
            retries: Counter::default(),
            busy: Counter::default(),
            over_budget: Counter::default(),
            not_accepted: Counter::default(),
            probes: Counter::default(),
            no_responders: Counter::default(),
            stale: Counter::default(),
            protocol_errors: Counter::default(),
            unsent: Counter::default(),
            slots_in_use: Counter::default(),
            slots_resting: Counter::default(),
        }
    }

    /// State of the connection.
    #[must_use]
    pub fn connection_state(&self) -> ConnectionState {
        self.connection.state()
    }

    /// State and counters of the connection.
    #[must_use]
    pub fn connection(&self) -> &ConnectionWatch {
        &self.connection
    }
}

/// A histogram with buckets of powers of two microseconds.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [Counter; Self::BUCKETS],
    sum_us: Counter,
}

impl Histogram {
    /// Bucket n counts durations below 2^n µs; the last one everything else.
    pub const BUCKETS: usize = 25;

    /// Upper bound of a bucket; `None` for the last.
    #[must_use]
    pub fn bound(bucket: usize) -> Option<Duration> {
        (bucket + 1 < Self::BUCKETS).then(|| Duration::from_micros(1 << bucket))
    }

    pub(super) fn record(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let bucket = (u64::BITS - micros.leading_zeros()) as usize;
        self.buckets[bucket.min(Self::BUCKETS - 1)].add();
        self.sum_us.add_many(micros);
    }

    /// Counts per bucket, not cumulated.
    #[must_use]
    pub fn counts(&self) -> [u64; Self::BUCKETS] {
        std::array::from_fn(|bucket| self.buckets[bucket].get())
    }

    /// Sum of all durations.
    #[must_use]
    pub fn sum(&self) -> Duration {
        Duration::from_micros(self.sum_us.get())
    }
}

/// What one gateway thread saw of one plugin.
#[derive(Debug, Default)]
pub struct PluginTimes {
    /// Waiting at the worker before user code ran.
    pub queue: Histogram,
    /// User code.
    pub handler: Histogram,
    /// The rest: NATS, both codecs, both schedulers.
    pub transport: Histogram,
    /// Phases that failed, for whatever reason.
    pub failed: Counter,
    /// Phases of this thread that wait for an answer now (gauge), where the plugin has no limit.
    pub in_flight: Counter,
}

/// What all threads saw of one plugin.
#[derive(Clone, Debug)]
pub struct PluginStats {
    /// Name in the configuration.
    pub name: Box<str>,
    /// Phases that wait for an answer now.
    pub in_flight: usize,
    /// Per thread; to be summed.
    pub times: Vec<Arc<PluginTimes>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_fall_into_their_buckets() {
        let histogram = Histogram::default();
        for micros in [0, 1, 2, 3, 1_000, 10_000_000_000] {
            histogram.record(Duration::from_micros(micros));
        }
        let counts = histogram.counts();
        assert_eq!((counts[0], counts[1], counts[2], counts[10], counts[24]), (1, 1, 2, 1, 1));
        assert_eq!(Histogram::bound(10), Some(Duration::from_micros(1_024)));
        assert_eq!(Histogram::bound(24), None);
        assert_eq!(histogram.sum(), Duration::from_micros(10_000_001_006));
    }
}
