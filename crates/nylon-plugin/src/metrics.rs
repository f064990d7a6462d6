//! Counters of an entry on one thread. Written by that thread, read by whoever sums them up.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use crate::{Phase, PluginErrorKind, Timing};

/// Upper bounds of the latency buckets, microseconds; one more bucket takes the rest.
pub const LATENCY_BOUNDS_US: [u64; 12] =
    [100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 500_000, 2_500_000];

/// Counts. Only one thread writes: no locked instruction is needed.
fn add(counter: &AtomicU64, more: u64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
}

/// How often something took how long. One thread writes, any may read.
#[derive(Debug, Default)]
pub struct Latency {
    buckets: [AtomicU64; LATENCY_BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
}

impl Latency {
    /// Counts one duration. For the one thread that writes.
    pub fn record(&self, duration: Duration) {
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let bucket = LATENCY_BOUNDS_US.iter().position(|&bound| us <= bound).unwrap_or(LATENCY_BOUNDS_US.len());
        add(&self.buckets[bucket], 1);
        add(&self.sum_us, us);
    }

    /// Counts per bucket, not cumulative.
    #[must_use]
    pub fn buckets(&self) -> [u64; LATENCY_BOUNDS_US.len() + 1] {
        self.buckets.each_ref().map(|bucket| bucket.load(Ordering::Relaxed))
    }

    /// Sum of all durations, microseconds.
    #[must_use]
    pub fn sum_us(&self) -> u64 {
        self.sum_us.load(Ordering::Relaxed)
    }
}

/// Counters of an entry on one thread.
#[derive(Debug, Default)]
pub struct EntryMetrics {
    phases: [AtomicU64; Phase::ALL.len()],
    failures: [AtomicU64; PluginErrorKind::ALL.len()],
    continued: AtomicU64,
    ignored: AtomicU64,
    /// Waiting at the worker before user code ran.
    pub queue: Latency,
    /// On the way there and back.
    pub transport: Latency,
    /// In user code.
    pub handler: Latency,
}

impl EntryMetrics {
    /// How often the phase was started.
    #[must_use]
    pub fn phases(&self, phase: Phase) -> u64 {
        self.phases[phase as usize - 1].load(Ordering::Relaxed)
    }

    /// How many phases failed for this reason, whatever the policy.
    #[must_use]
    pub fn failures(&self, kind: PluginErrorKind) -> u64 {
        self.failures[kind as usize].load(Ordering::Relaxed)
    }

    /// How many failures the policy `continue` let pass.
    #[must_use]
    pub fn continued(&self) -> u64 {
        self.continued.load(Ordering::Relaxed)
    }

    /// How many operations had no effect (framing headers, too late).
    #[must_use]
    pub fn ignored(&self) -> u64 {
        self.ignored.load(Ordering::Relaxed)
    }

    pub(crate) fn start(&self, phase: Phase) {
        add(&self.phases[phase as usize - 1], 1);
    }

    pub(crate) fn finish(&self, timing: Timing) {
        self.queue.record(timing.queue);
        self.handler.record(timing.handler);
        self.transport.record(timing.total.saturating_sub(timing.queue + timing.handler));
    }

    pub(crate) fn fail(&self, kind: PluginErrorKind) {
        add(&self.failures[kind as usize], 1);
    }

    pub(crate) fn go_on(&self) {
        add(&self.continued, 1);
    }

    pub(crate) fn ignore(&self) {
        add(&self.ignored, 1);
    }
}
