//! Which configuration the plugin runs with (rules §8, sdk-api §2.8). Decides only; the core acts.

use std::time::{Duration, Instant};

use bytes::Bytes;
use nylon_wire::{Revision, SessionId, WorkerState};

/// What to do with an open.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Run it.
    Serve,
    /// An Initialize is on its way.
    Wait,
    /// Its revision is new: take it.
    Take,
    /// There is nothing to serve with.
    Failed,
}

struct Active {
    revision: Revision,
    /// The session that fetches the text; none once it is here.
    fetcher: Option<SessionId>,
    /// Tries a failed revision again.
    again: bool,
}

struct Failed {
    revision: Revision,
    config: Bytes,
    again: Instant,
    delay: Duration,
}

/// State of the configuration.
pub(super) struct Init {
    wanted: bool,
    own: bool,
    current: Option<Revision>,
    active: Option<Active>,
    failed: Option<Failed>,
    /// What the plugin said last when it refused.
    pub last_error: Option<String>,
}

const FIRST_DELAY: Duration = Duration::from_secs(1);
const LAST_DELAY: Duration = Duration::from_secs(30);

/// A plugin without configuration counts as one with an empty one, older than every other.
fn or_none(revision: Option<&Revision>) -> Revision {
    revision.cloned().unwrap_or(Revision { hash: Bytes::new(), loaded_ms: 0 })
}

impl Init {
    pub fn new(wanted: bool, own: bool) -> Self {
        Self { wanted, own, current: None, active: None, failed: None, last_error: None }
    }

    /// What to do with an open of this revision.
    pub fn judge(&mut self, revision: Option<&Revision>) -> Verdict {
        if !self.wanted {
            return Verdict::Serve;
        }
        if self.own {
            return match (&self.current, &self.active) {
                (Some(_), _) => Verdict::Serve,
                (None, Some(_)) => Verdict::Wait,
                (None, None) => Verdict::Failed,
            };
        }
        let asked = or_none(revision);
        if let Some(current) = &mut self.current {
            if asked.hash == current.hash {
                // Loaded once more as it was: what was loaded in between elsewhere is older.
                current.loaded_ms = current.loaded_ms.max(asked.loaded_ms);
                return Verdict::Serve;
            }
            if asked.loaded_ms <= current.loaded_ms {
                return Verdict::Serve;
            }
        }
        if let Some(failed) = &self.failed
            && (asked.hash == failed.revision.hash || asked.loaded_ms <= failed.revision.loaded_ms)
        {
            return match (&self.current, &self.active) {
                (Some(_), _) => Verdict::Serve,
                (None, Some(_)) => Verdict::Wait,
                (None, None) => Verdict::Failed,
            };
        }
        if self.active.is_some() { Verdict::Wait } else { Verdict::Take }
    }

    /// A session fetches the text (none: it is here already).
    pub fn begin(&mut self, revision: Option<&Revision>, fetcher: Option<SessionId>) {
        self.active = Some(Active { revision: or_none(revision), fetcher, again: false });
    }

    /// The text is here.
    pub fn fetched(&mut self) {
        if let Some(active) = &mut self.active {
            active.fetcher = None;
        }
    }

    /// The session ended. True if it was to bring the text: somebody else has to.
    pub fn lost(&mut self, session: SessionId) -> bool {
        let was = self.active.as_ref().is_some_and(|active| active.fetcher == Some(session));
        if was {
            self.active = None;
        }
        was
    }

    /// The plugin has taken it.
    pub fn succeeded(&mut self) {
        if let Some(active) = self.active.take() {
            self.current = Some(active.revision);
            self.failed = None;
            self.last_error = None;
        }
    }

    /// The plugin has refused it. It is tried again after a while: what it depends on may come back.
    pub fn refused(&mut self, config: Bytes, error: String, now: Instant) {
        if let Some(active) = self.active.take() {
            let last = self.failed.take().filter(|failed| active.again && failed.revision.hash == active.revision.hash);
            let delay = last.map_or(FIRST_DELAY, |failed| (failed.delay * 2).min(LAST_DELAY));
            self.failed = Some(Failed { revision: active.revision, config, again: now + delay, delay });
            self.last_error = Some(error);
        }
    }

    /// A refused configuration whose time has come.
    pub fn again(&mut self, now: Instant) -> Option<(Revision, Bytes)> {
        let failed = self.failed.as_ref().filter(|failed| self.active.is_none() && now >= failed.again)?;
        let again = (failed.revision.clone(), failed.config.clone());
        self.active = Some(Active { revision: failed.revision.clone(), fetcher: None, again: true });
        Some(again)
    }

    /// What the plugin runs with.
    pub fn current(&self) -> Option<&Revision> {
        self.current.as_ref().filter(|revision| !revision.hash.is_empty())
    }

    /// For beats and STATS.
    pub fn state(&self) -> WorkerState {
        match (&self.current, &self.active, &self.failed) {
            (None, None, Some(_)) => WorkerState::FailedFirst,
            (Some(_), _, Some(_)) => WorkerState::FailedKeepingOld,
            (_, Some(_), _) => WorkerState::Initializing,
            // Without any open yet there is nothing to initialize with, and only an open brings it.
            (_, None, None) => WorkerState::Ready,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revision(hash: &'static [u8], loaded_ms: u64) -> Revision {
        Revision { hash: Bytes::from_static(hash), loaded_ms }
    }

    fn serving(hash: &'static [u8], loaded_ms: u64) -> Init {
        let mut init = Init::new(true, false);
        init.begin(Some(&revision(hash, loaded_ms)), None);
        init.succeeded();
        init
    }

    #[test]
    fn a_plugin_that_wants_none_serves_at_once() {
        let mut init = Init::new(false, false);
        assert_eq!(init.judge(Some(&revision(b"a", 1))), Verdict::Serve);
        assert_eq!(init.state(), WorkerState::Ready);
    }

    #[test]
    fn the_first_open_brings_the_configuration_and_the_others_wait() {
        let mut init = Init::new(true, false);
        assert_eq!((init.state(), init.judge(None)), (WorkerState::Ready, Verdict::Take));
        init.begin(Some(&revision(b"a", 5)), Some(SessionId([1; 16])));
        assert_eq!(init.state(), WorkerState::Initializing);
        assert_eq!(init.judge(Some(&revision(b"a", 5))), Verdict::Wait);
        assert!(!init.lost(SessionId([2; 16])));
        assert!(init.lost(SessionId([1; 16])), "another one has to bring it");
        assert_eq!(init.judge(Some(&revision(b"a", 5))), Verdict::Take);
        init.begin(Some(&revision(b"a", 5)), None);
        init.succeeded();
        assert_eq!(init.judge(Some(&revision(b"a", 9))), Verdict::Serve, "the same text");
        assert_eq!(init.judge(Some(&revision(b"b", 8))), Verdict::Serve, "older than that");
        assert_eq!(init.current(), Some(&revision(b"a", 9)));
    }

    #[test]
    fn only_a_newer_text_replaces_the_one_that_serves() {
        let mut init = serving(b"a", 5);
        assert_eq!(init.judge(Some(&revision(b"b", 4))), Verdict::Serve);
        assert_eq!(init.judge(None), Verdict::Serve);
        assert_eq!(init.judge(Some(&revision(b"b", 6))), Verdict::Take);
        init.begin(Some(&revision(b"b", 6)), Some(SessionId([1; 16])));
        assert_eq!(init.judge(Some(&revision(b"a", 5))), Verdict::Serve, "the old one serves on meanwhile");
        assert_eq!(init.judge(Some(&revision(b"b", 6))), Verdict::Wait);
    }

    #[test]
    fn a_refused_reload_keeps_the_old_one() {
        let (mut init, now) = (serving(b"a", 5), Instant::now());
        init.begin(Some(&revision(b"b", 6)), None);
        init.refused(Bytes::new(), "no".into(), now);
        assert_eq!(init.state(), WorkerState::FailedKeepingOld);
        assert_eq!(init.judge(Some(&revision(b"b", 6))), Verdict::Serve);
        assert_eq!(init.judge(Some(&revision(b"c", 7))), Verdict::Take);
        assert_eq!(init.current(), Some(&revision(b"a", 5)));
    }

    #[test]
    fn a_refused_first_one_fails_opens_and_is_tried_again_less_and_less_often() {
        let (mut init, now) = (Init::new(true, false), Instant::now());
        init.begin(Some(&revision(b"a", 5)), None);
        init.refused(Bytes::from_static(b"{}"), "no".into(), now);
        assert_eq!((init.state(), init.judge(Some(&revision(b"a", 5)))), (WorkerState::FailedFirst, Verdict::Failed));
        assert_eq!(init.again(now), None);
        assert_eq!(init.again(now + FIRST_DELAY), Some((revision(b"a", 5), Bytes::from_static(b"{}"))));
        assert_eq!(init.judge(Some(&revision(b"a", 5))), Verdict::Wait);
        init.refused(Bytes::new(), "no".into(), now);
        assert_eq!(init.again(now + FIRST_DELAY), None, "not so soon");
        assert!(init.again(now + FIRST_DELAY * 2).is_some());
        init.succeeded();
        assert_eq!(init.state(), WorkerState::Ready);
    }
}
