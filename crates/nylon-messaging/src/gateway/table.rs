//! What is known about the workers: one table for all threads, made of atomics, fed by beats (rules §4).

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use arc_swap::ArcSwap;
use async_nats::Subject;
use bytes::Bytes;
use nylon_wire::{Frame, subject};

use super::{group::Group, known::KnownWorker};
use crate::{Clock, lock::lock};

/// Workers that were silent for so long, and have no session, are forgotten. Milliseconds.
const FORGET_MS: u64 = 60_000;
/// How often the table looks for them. Milliseconds.
const SWEEP_MS: u64 = 5_000;

/// All groups that the configuration names, and their workers.
pub struct WorkerTable {
    prefix: Box<str>,
    groups: ArcSwap<HashMap<Box<str>, Arc<Group>>>,
    /// Only for adding groups; reading never takes it.
    adding: Mutex<()>,
    swept_ms: AtomicU64,
    beats: AtomicU64,
    refused_beats: AtomicU64,
}

impl WorkerTable {
    pub(super) fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.into(),
            groups: ArcSwap::default(),
            adding: Mutex::new(()),
            swept_ms: AtomicU64::new(0),
            beats: AtomicU64::new(0),
            refused_beats: AtomicU64::new(0),
        }
    }

    /// The group of that name; made if it is not there. Beats of other groups are not kept.
    pub(super) fn group(&self, name: &str) -> Result<Arc<Group>, subject::SubjectError> {
        if let Some(group) = self.groups.load().get(name) {
            return Ok(group.clone());
        }
        let group = Arc::new(Group::new(&self.prefix, name)?);
        let _adding = lock(&self.adding);
        if let Some(group) = self.groups.load().get(name) {
            return Ok(group.clone());
        }
        let mut groups = HashMap::clone(&self.groups.load());
        groups.insert(name.into(), group.clone());
        self.groups.store(Arc::new(groups));
        Ok(group)
    }

    /// The groups, for metrics and diagnosis.
    #[must_use]
    pub fn groups(&self) -> Vec<Arc<Group>> {
        self.groups.load().values().cloned().collect()
    }

    /// Direct subject of a worker, in whatever group it is known.
    pub(super) fn subject_of(&self, worker: &str) -> Option<Subject> {
        self.groups.load().values().find_map(|group| group.find(worker)).map(|known| known.subject().clone())
    }

    /// Takes a beat. Group and worker come from the subject, which NATS permissions vouch for; a frame that says
    /// otherwise attracts nothing.
    pub(super) fn beat(&self, beat_subject: &str, payload: &Bytes) {
        let Some((group, worker)) = subject::parse_beat(beat_subject) else {
            self.refuse();
            return;
        };
        let groups = self.groups.load();
        let Some(group) = groups.get(group.as_str()) else { return };
        let frame = match Frame::decode(payload) {
            Ok(Frame::Beat(frame)) if *frame.group == *group.name() && *frame.worker == *worker => frame,
            _ => return self.refuse(),
        };
        let now = Clock::now_ms();
        if group.beat(&frame, now) {
            self.beats.fetch_add(1, Relaxed);
        }
        let swept = self.swept_ms.load(Relaxed);
        if now.saturating_sub(swept) > SWEEP_MS && self.swept_ms.compare_exchange(swept, now, Relaxed, Relaxed).is_ok()
        {
            groups.values().for_each(|group| group.forget(now.saturating_sub(FORGET_MS)));
        }
    }

    fn refuse(&self) {
        self.refused_beats.fetch_add(1, Relaxed);
    }

    /// This process did not run for a while: workers are not to blame for the beats that it has not read.
    pub(super) fn grant_grace(&self, until_ms: u64) {
        for group in self.groups.load().values() {
            group.grant_grace(until_ms);
        }
    }

    /// A thread has lost its connection, or has it again: workers may be on their way back, too.
    pub(super) fn let_settle(&self, until_ms: u64) {
        for group in self.groups.load().values() {
            group.let_settle(until_ms);
        }
    }

    /// Beats taken.
    #[must_use]
    pub fn beats(&self) -> u64 {
        self.beats.load(Relaxed)
    }

    /// Beats refused: not understood, or a group or worker that is not the one in the subject.
    #[must_use]
    pub fn refused_beats(&self) -> u64 {
        self.refused_beats.load(Relaxed)
    }
}

impl Group {
    fn find(&self, worker: &str) -> Option<Arc<KnownWorker>> {
        self.workers().iter().find(|known| known.id() == worker).cloned()
    }
}
