//! What a worker's handles, its jobs and its I/O thread share.

use std::{
    sync::{Arc, Condvar, Mutex, OnceLock},
    time::Instant,
};

use super::{
    Lane, WorkerOptions,
    drive::Drive,
    lane::Queue,
    outbox::Outbox,
    run::Run,
    stats::{Counters, Gauges},
};
use crate::{ConnectionWatch, lock::lock};

pub(super) struct Shared {
    pub options: WorkerOptions,
    /// Random, new at each start.
    pub id: String,
    pub outbox: Outbox,
    pub drive: Arc<Drive>,
    pub threads: Queue<Arc<Run>>,
    pub looped: Queue<Arc<Run>>,
    pub counters: Counters,
    pub gauges: Gauges,
    pub watch: OnceLock<ConnectionWatch>,
    ended: Mutex<bool>,
    on_end: Condvar,
}

impl Shared {
    pub fn new(options: WorkerOptions, id: String) -> Self {
        let drive = Arc::new(Drive::new());
        Self {
            options,
            id,
            outbox: Outbox::default(),
            drive: drive.clone(),
            threads: Queue::driving(drive),
            looped: Queue::new(),
            counters: Counters::default(),
            gauges: Gauges::default(),
            watch: OnceLock::new(),
            ended: Mutex::new(false),
            on_end: Condvar::new(),
        }
    }

    pub fn lane(&self, lane: Lane) -> &Queue<Arc<Run>> {
        match lane {
            Lane::Threads => &self.threads,
            Lane::Loop => &self.looped,
        }
    }

    /// The I/O thread has done its last work.
    pub fn end(&self) {
        self.outbox.close();
        self.threads.close();
        self.looped.close();
        self.drive.end();
        *lock(&self.ended) = true;
        self.on_end.notify_all();
    }

    pub fn ended(&self) -> bool {
        *lock(&self.ended)
    }

    /// Whether the end came before `until`.
    pub fn wait_end(&self, until: Option<Instant>) -> bool {
        let mut ended = lock(&self.ended);
        while !*ended {
            ended = match until {
                None => self.on_end.wait(ended).unwrap_or_else(std::sync::PoisonError::into_inner),
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return false;
                    }
                    self.on_end.wait_timeout(ended, left).unwrap_or_else(std::sync::PoisonError::into_inner).0
                }
            };
        }
        true
    }
}
