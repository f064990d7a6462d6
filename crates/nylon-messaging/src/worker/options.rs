//! What a worker is told at its start, and why a start is refused.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use nylon_wire::{BodyMode, Limits, Phase, PhaseMask, subject::SubjectError};

use super::Lane;
use crate::{ConnectionError, ConnectionOptions};

/// One named handler of the plugin.
#[derive(Clone, Debug)]
pub struct EntryOptions {
    /// Name of the entry, any text but empty; it is escaped in subjects.
    pub name: String,
    /// Phases that the entry has registered. The session's own mask (rules §5).
    pub phases: PhaseMask,
    /// Those of them whose handlers go to [`Lane::Loop`] (`async def`); the others go to [`Lane::Threads`].
    pub loop_phases: PhaseMask,
    /// How the response body filter wants the body. Default buffered.
    pub body_mode: BodyMode,
}

impl EntryOptions {
    /// An entry whose phases all run on [`Lane::Threads`] with a buffered body filter.
    pub fn new(name: impl Into<String>, phases: PhaseMask) -> Self {
        Self { name: name.into(), phases, loop_phases: PhaseMask::default(), body_mode: BodyMode::Buffered }
    }

    /// Where a phase's handler runs.
    pub(super) fn lane(&self, phase: Phase) -> Lane {
        if self.loop_phases.contains(phase) { Lane::Loop } else { Lane::Threads }
    }
}

/// How a worker serves its group.
#[derive(Clone, Debug)]
pub struct WorkerOptions {
    /// Where and how to connect.
    pub connection: ConnectionOptions,
    /// First token of every subject. Default `nylon`.
    pub prefix: String,
    /// The queue group; the `group:` of the plugin's configuration.
    pub group: String,
    /// The plugin's entries. A worker without any is refused.
    pub entries: Vec<EntryOptions>,
    /// Most sessions in user code or waiting for it; one more is answered BUSY. Default 1024.
    pub max_sessions: usize,
    /// Longest body that a handler gets or sets, in bytes. Default 10 MiB.
    pub max_body: usize,
    /// How long an open may wait for user code or for a configuration before it is answered BUSY. Default 100 ms
    /// (rules §2); gateways wait 250 ms for a first answer.
    pub wait_limit: Duration,
    /// How long [`Worker::drain`](super::Worker::drain) lets running sessions finish. Default 25 s (below the 30 s of Kubernetes).
    pub drain_timeout: Duration,
    /// How long the Shutdown job may take. Default 3 s.
    pub shutdown_timeout: Duration,
    /// Whether the plugin wants its configuration: then a [`JobKind::Initialize`](super::JobKind) precedes the first phase.
    /// Default false.
    pub initialize: bool,
    /// Where Initialize and Shutdown jobs go. Default [`Lane::Threads`].
    pub lifecycle_lane: Lane,
    /// The worker's own configuration text: wins over the gateways' and initialises at the start.
    pub config: Option<Bytes>,
    /// Semantic version shown by `nats micro info`. Default `0.0.0`.
    pub version: String,
    /// Shown by `nats micro info`.
    pub metadata: BTreeMap<String, String>,
    /// Credit that a gateway starts with in each session, in bytes. Default 32 KiB, at least 4 KiB.
    pub credit: u32,
}

impl WorkerOptions {
    /// The defaults for a group and its entries.
    pub fn new(group: impl Into<String>, entries: Vec<EntryOptions>) -> Self {
        Self {
            connection: ConnectionOptions::default(),
            prefix: "nylon".to_owned(),
            group: group.into(),
            entries,
            max_sessions: 1_024,
            max_body: 10 << 20,
            wait_limit: Duration::from_millis(100),
            drain_timeout: Duration::from_secs(25),
            shutdown_timeout: Duration::from_secs(3),
            initialize: false,
            lifecycle_lane: Lane::Threads,
            config: None,
            version: "0.0.0".to_owned(),
            metadata: BTreeMap::new(),
            credit: Limits::INITIAL_CREDIT,
        }
    }
}

/// Why a worker cannot start. What may heal by itself (no server yet) is no error.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// A worker without entries would serve nothing.
    #[error("starting a worker: it has no entry")]
    NoEntry,
    /// Two entries have one name.
    #[error("starting a worker: entry {0:?} is given twice")]
    DuplicateEntry(String),
    /// A name cannot be part of a subject.
    #[error("starting a worker: {what}: {cause}")]
    Name {
        /// Which name.
        what: String,
        /// Why.
        cause: SubjectError,
    },
    /// A limit is too small to work with.
    #[error("starting a worker: {0} is too small")]
    Limit(&'static str),
    /// The connection's options cannot work.
    #[error("starting a worker: {0}")]
    Connection(#[from] ConnectionError),
    /// The system refuses a thread or its event queue.
    #[error("starting a worker: starting its thread: {0}")]
    Thread(std::io::Error),
    /// The system gives no random bytes for the worker's id.
    #[error("starting a worker: making its id: {0}")]
    Random(String),
}
