//! What a phase waits for and until when, and how the waiting ends.

use std::time::{Duration, Instant};

use nylon_plugin::{Phase, PluginError};
use nylon_wire::{BusyReason, ResultFrame, StreamFrame, UpgradeFrame};

use super::talk::Talk;
use crate::Clock;

/// A phase pending for so long makes us look whether its worker is there. Milliseconds (rules §2).
const PROBE_AFTER_MS: u64 = 100;

/// How a phase goes on.
pub(super) enum Answer {
    Result(ResultFrame),
    /// With a body that follows.
    Stream(StreamFrame),
    /// As a WebSocket.
    Upgrade(UpgradeFrame),
}

/// Why a phase has no result.
pub(super) enum Stop {
    /// The open was certainly or probably not run; it may be tried elsewhere.
    NotRun(NotRun),
    /// The phase failed.
    Failed(PluginError),
}

/// Why an open was not taken.
pub(super) enum NotRun {
    /// Nobody listens there. Certain: no time has passed in which it could have been accepted.
    NoResponders { certain: bool },
    /// Nobody said anything in time.
    NotAccepted,
    /// A worker refused it.
    Busy { worker: Box<str>, reason: BusyReason, retry_after: Option<Duration> },
}

impl From<PluginError> for Stop {
    fn from(error: PluginError) -> Self {
        Self::Failed(error)
    }
}

/// What to wait for, and until when. Milliseconds of our clock.
#[derive(Clone, Copy)]
pub(super) struct Wait {
    pub phase: Phase,
    pub sent: u64,
    deadline: u64,
    /// When an open must have a first answer; `None` for a later phase.
    pub accept_by: Option<u64>,
    pub probe_at: u64,
}

impl Wait {
    pub(super) fn new(phase: Phase, sent: Instant, deadline: Instant, accept_timeout: Option<Duration>) -> Self {
        let now = Clock::ms(sent);
        // Our clock drops what is below a millisecond: one more, so that no deadline comes early.
        let accept = |limit: Duration| now + u64::try_from(limit.as_millis()).unwrap_or(u64::MAX / 2);
        Self {
            phase,
            sent: now,
            deadline: Clock::ms(deadline) + 1,
            accept_by: accept_timeout.map(accept),
            probe_at: now + PROBE_AFTER_MS,
        }
    }

    /// When the phase has failed, as things stand.
    pub(super) fn deadline(&self, talk: &Talk) -> u64 {
        talk.upload.as_ref().map_or(self.deadline, |upload| upload.deadline(self.deadline.saturating_sub(self.sent)))
    }

    pub(super) fn due(&self, talk: &Talk) -> u64 {
        let mut due = self.deadline(talk);
        if let (false, Some(accept_by)) = (talk.accepted, self.accept_by) {
            due = due.min(accept_by);
        }
        if talk.worker.is_some() {
            due = due.min(self.probe_at);
        }
        due
    }
}
