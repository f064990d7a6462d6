//! Taking configurations: from the gateway's text to the Initialize job.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use nylon_wire::{FetchKind, Revision, SessionId, failure};

use super::{Core, Wait, finish::shortened};
use crate::worker::{FetchError, JobKind, live::Then, outbox::Outcome, run::Run};

/// Initialize has no deadline of its own: opens wait for it no longer than
/// [`WorkerOptions::wait_limit`](crate::worker::WorkerOptions::wait_limit).
const NO_DEADLINE: Duration = Duration::from_secs(365 * 24 * 3_600);

impl Core {
    /// The worker's own configuration needs no open.
    pub(super) fn start_own_config(&mut self, now: Instant) {
        let shared = self.shared.clone();
        if let Some(config) = shared.options.config.as_ref().filter(|_| shared.options.initialize) {
            self.init.begin(None, None);
            self.initialize(config.clone(), None, now);
        }
    }

    /// This session's open brings a revision that is new.
    pub(super) fn take_config(&mut self, session: SessionId, now: Instant) {
        let Some(open) = self.live.get(&session).and_then(|live| live.open.as_ref()) else { return };
        match open.revision.clone() {
            None => {
                self.init.begin(None, None);
                self.initialize(Bytes::new(), None, now);
            }
            Some(revision) if open.credit == 0 => {
                // Nobody attends to this logging session (SPEC 9.5); the next one that can ask will.
                tracing::debug!(%session, loaded_ms = revision.loaded_ms, "a logging session waits for a configuration");
            }
            Some(revision) => {
                self.init.begin(Some(&revision), Some(session));
                let max = self.shared.options.max_body;
                self.call(session, FetchKind::Config, max, Then::Config(Some(revision)));
            }
        }
    }

    pub(super) fn on_config(
        &mut self,
        session: SessionId,
        revision: Option<Revision>,
        result: Result<Bytes, FetchError>,
        now: Instant,
    ) {
        let config = match result {
            Ok(config) => config,
            Err(FetchError::Failed { code, .. }) if code == failure::NOT_FOUND => Bytes::new(),
            Err(error) => {
                tracing::error!(%error, "fetching a configuration");
                self.send_error(session, failure::INIT_FAILED, error.to_string(), None);
                // Ending the session lets the next one try.
                return self.cancel(session, nylon_wire::AbortReason::Stale);
            }
        };
        self.init.fetched();
        self.initialize(config, revision, now);
    }

    fn initialize(&mut self, config: Bytes, revision: Option<Revision>, now: Instant) {
        let lane = self.shared.options.lifecycle_lane;
        let run = Run::new(JobKind::Initialize { config, revision }, now, now + NO_DEADLINE);
        self.lane_of(lane).push(Arc::new(run));
    }

    pub(super) fn on_initialized(&mut self, config: Bytes, outcome: Outcome, now: Instant) {
        match outcome {
            Outcome::Result { .. } => {
                self.count(|c| &c.initialized);
                self.init.succeeded();
            }
            Outcome::Failed { code, text, log_id } => {
                tracing::error!(code, error = text, log_id, "initializing the plugin");
                self.count(|c| &c.initialize_failed);
                self.init.refused(config, shortened(text), now);
            }
        }
        self.judge_waiting(now);
    }

    /// Looks again at every open that waits for a configuration, the oldest first.
    pub(super) fn judge_waiting(&mut self, now: Instant) {
        let waiting = self.live.iter().filter(|(_, live)| live.wait == Wait::Init);
        let mut waiting: Vec<_> = waiting.map(|(session, live)| (live.session.number, *session)).collect();
        waiting.sort_unstable();
        for (_, session) in waiting {
            self.judge(session, now);
        }
    }

    /// Tries a refused configuration again when its time has come.
    pub(super) fn retry_config(&mut self, now: Instant) {
        let own = self.shared.options.config.is_some();
        if let Some((revision, config)) = self.init.again(now) {
            self.initialize(config, (!own && !revision.hash.is_empty()).then_some(revision), now);
        }
    }
}
