//! What a worker counts. Written by the I/O thread, read from everywhere.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering::Relaxed};

use nylon_wire::WorkerState;

use crate::ConnectionState;

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Live counters.
        #[derive(Default)]
        pub(super) struct Counters {
            $(pub $name: AtomicU64,)*
        }

        /// Counts since the start.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct WorkerCounts {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Counters {
            pub fn read(&self) -> WorkerCounts {
                WorkerCounts { $($name: self.$name.load(Relaxed),)* }
            }
        }
    };
}

counters! {
    /// Opens received, whatever became of them.
    opens,
    /// Later phases received.
    phases,
    /// Handlers that ended with a result that went out.
    results,
    /// Handlers that failed, and results that could not be sent.
    errors,
    /// Results of handlers whose session was over already.
    late,
    /// ACCEPT frames: handlers that took longer than 50 ms.
    accepts,
    /// Opens answered BUSY: at the limit, or 100 ms without user code.
    busy_full,
    /// Opens answered BUSY while draining.
    busy_draining,
    /// Opens answered BUSY while initializing.
    busy_initializing,
    /// Opens dropped because they were older than their deadline.
    expired,
    /// Handlers over their deadline.
    timeouts,
    /// Sessions that a gateway aborted.
    aborted,
    /// Sessions of gateways that are gone.
    gateway_lost,
    /// Sessions with a lost or repeated frame.
    gaps,
    /// Frames for sessions that are not here.
    stale,
    /// Frames that were not understood.
    protocol,
    /// Bodies asked for.
    fetches,
    /// Times a large body waited for credit.
    credit_stalls,
    /// Probes sent.
    probes,
    /// Sessions dropped after the idle limit.
    idle,
    /// Frames that could not be sent because the connection was down for too long.
    unsent,
    /// Configurations taken.
    initialized,
    /// Configurations refused by the plugin.
    initialize_failed,
    /// Beats sent.
    beats,
}

/// Live gauges.
#[derive(Default)]
pub(super) struct Gauges {
    pub sessions: AtomicUsize,
    pub active: AtomicUsize,
    pub config: AtomicU8,
    pub draining: AtomicBool,
}

/// What a worker does now, and what it has done.
#[derive(Clone, Debug)]
pub struct WorkerStats {
    /// Counts since the start.
    pub counts: WorkerCounts,
    /// Sessions that are open, idle ones between two phases included.
    pub sessions: usize,
    /// Sessions in user code or waiting for it, and abandoned handlers that still run.
    pub active: usize,
    /// Jobs that wait for user code.
    pub queued: usize,
    /// How often the connection was made.
    pub connects: u64,
    /// How often messages were dropped because the I/O thread did not keep up.
    pub slow_consumers: u64,
}

/// A worker's condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerCondition {
    /// The connection to NATS.
    pub connection: ConnectionState,
    /// The plugin's configuration.
    pub config: WorkerState,
    /// Whether it takes no new sessions.
    pub draining: bool,
    /// Whether it has ended.
    pub drained: bool,
}

impl WorkerCondition {
    /// Whether it takes sessions: for a health endpoint.
    #[must_use]
    pub fn ready(&self) -> bool {
        let configured = matches!(self.config, WorkerState::Ready | WorkerState::FailedKeepingOld);
        self.connection == ConnectionState::Connected && configured && !self.draining
    }
}
