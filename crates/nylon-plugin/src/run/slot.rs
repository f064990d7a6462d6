//! One session of a run: opened at its first phase, dropped after its last.

use std::time::Instant;

use nylon_wire::Operation;

use crate::{
    Action, BodyStream, Call, Entry, Exchange, Ignored, Link, OnError, Permit, Phase, PhaseMask, PluginError,
    PluginErrorKind, ResponseBody, Session, Upgrade, chain::Place,
};

/// A session and what has become of it.
#[derive(Default)]
pub(super) struct Slot {
    pub(super) state: State,
    /// Place among the sessions in flight, while it is open.
    permit: Option<Permit>,
    /// Whether the future of a phase was dropped before it finished: the client has left.
    pub(super) running: bool,
}

/// What has become of a session.
#[derive(Default)]
pub(super) enum State {
    /// Not opened yet.
    #[default]
    Fresh,
    /// Open.
    Open(Box<dyn Session>),
    /// A phase failed: every later one fails too (the handler's state is gone), except logging.
    Failed(PluginError, Option<Box<dyn Session>>),
    /// No phase is left.
    Done,
}

/// What a phase came to.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) action: Action,
    /// Whether the phase set the status or the body.
    pub(super) answers: bool,
    /// The body of the answer, where a request filter streams it.
    pub(super) stream: Option<Box<dyn BodyStream>>,
    /// The request is a WebSocket from now on.
    pub(super) upgrade: Option<Box<Upgrade>>,
}

impl Done {
    /// Whether the entry is still at work: it streams, or has a WebSocket.
    fn goes_on(&self) -> bool {
        self.stream.is_some() || self.upgrade.is_some()
    }
}

impl Slot {
    /// The phases that the entry has registered, as far as anybody knows: the session's own answer decides; before
    /// it only what every live worker announces (rules §5).
    fn known_phases(&self, entry: &Entry) -> Option<PhaseMask> {
        match &self.state {
            State::Open(session) if self.running => session.phases().or_else(|| entry.plugin.announced_phases()),
            // An entry that cannot say which it has gets all.
            State::Open(session) => Some(session.phases().unwrap_or(PhaseMask::ALL)),
            State::Failed(_, session) => {
                session.as_ref().and_then(|session| session.phases()).or_else(|| entry.plugin.announced_phases())
            }
            State::Fresh => entry.plugin.announced_phases(),
            State::Done => Some(PhaseMask::default()),
        }
    }

    /// Whether a phase after the request filter is to run. When nobody knows, it is: an entry is never skipped
    /// because its worker could not be asked.
    pub(super) fn wants(&self, entry: &Entry, link: &Link, phase: Phase) -> bool {
        link.may_run(phase) && self.known_phases(entry).is_none_or(|phases| phases.has(phase))
    }

    /// Whether a failed session is left out of a phase because its policy goes on; that has been logged.
    pub(super) fn left_out(&self, link: &Link, phase: Phase) -> bool {
        matches!(self.state, State::Failed(..)) && link.policy.of(phase) == OnError::Continue
    }

    /// Runs a phase and applies what it asks for.
    pub(super) async fn run(
        &mut self,
        entry: &Entry,
        place: &Place,
        phase: Phase,
        retry: u32,
        body_next: bool,
        exchange: &mut Exchange,
    ) -> Result<Done, PluginError> {
        let link = &place.link;
        self.open(entry)?;
        let State::Open(session) = &mut self.state else {
            return Err(PluginError::new(PluginErrorKind::Lost, "the session is over"));
        };
        entry.metrics.start(phase);
        let payload = link.payload.as_ref().map(|payload| payload.of(exchange));
        let started = Instant::now();
        let call = Call {
            phase,
            payload: payload.as_deref(),
            started,
            deadline: started + link.timeout,
            headers: &link.headers,
            again: place.again.has(phase),
            body_next,
            retry,
            exchange: &mut *exchange,
        };
        self.running = true;
        let result = session.run(call).await;
        self.running = false;
        let result = result.and_then(|outcome| {
            entry.metrics.finish(outcome.timing);
            if outcome.action == Action::End && phase != Phase::RequestFilter {
                return Err(PluginError::new(PluginErrorKind::Protocol, "only a request filter can end a request"));
            }
            let answers = outcome
                .operations
                .iter()
                .any(|operation| matches!(operation, Operation::SetResponseStatus(_) | Operation::SetResponseBody(_)));
            let mut ignored = Vec::new();
            exchange.apply(phase, outcome.operations, |reason| ignored.push(reason))?;
            ignored.into_iter().for_each(|reason| log_ignored(entry, &exchange.request.id, reason));
            let stream = match (phase, outcome.stream) {
                (_, None) => None,
                (Phase::RequestFilter, stream) => stream,
                (Phase::ResponseBodyFilter, Some(stream)) => {
                    exchange.response.body = ResponseBody::Stream(stream);
                    None
                }
                (_, Some(_)) => {
                    return Err(PluginError::new(PluginErrorKind::Protocol, "this phase has no body to stream"));
                }
            };
            if outcome.upgrade.is_some() && phase != Phase::RequestFilter {
                return Err(PluginError::new(PluginErrorKind::Protocol, "only a request filter can upgrade a request"));
            }
            Ok(Done { action: outcome.action, answers, stream, upgrade: outcome.upgrade })
        });
        match &result {
            Ok(done) if phase == Phase::RequestFilter && !done.goes_on() && !self.has_more(place) => self.close(false),
            Ok(_) => {}
            Err(error) => {
                entry.metrics.fail(error.kind);
                self.fail(error.clone());
            }
        }
        result
    }

    fn open(&mut self, entry: &Entry) -> Result<(), PluginError> {
        match &self.state {
            State::Open(_) => Ok(()),
            State::Fresh => {
                let Some(permit) = entry.in_flight.enter() else {
                    let error = PluginError::new(PluginErrorKind::Busy, "as many sessions as allowed are in flight");
                    entry.metrics.fail(error.kind);
                    self.fail(error.clone());
                    return Err(error);
                };
                self.permit = Some(permit);
                self.state = State::Open(entry.plugin.session());
                Ok(())
            }
            State::Failed(error, _) => {
                Err(PluginError { message: format!("its session failed before ({})", error.message), ..error.clone() })
            }
            State::Done => Err(PluginError::new(PluginErrorKind::Lost, "the session is over")),
        }
    }

    /// Whether something is left for the session after the request filter of this place: a trivial auth plugin gives
    /// its place among those in flight back before the upstream is asked.
    fn has_more(&self, place: &Place) -> bool {
        let State::Open(session) = &self.state else { return false };
        let left = session.phases().unwrap_or(PhaseMask::ALL).0 & place.session_phases.0;
        place.again.has(Phase::RequestFilter) || left & !PhaseMask::default().with(Phase::RequestFilter).0 != 0
    }

    fn fail(&mut self, error: PluginError) {
        self.permit = None;
        let session = match std::mem::take(&mut self.state) {
            State::Open(session) => Some(session),
            State::Failed(_, session) => session,
            State::Fresh | State::Done => None,
        };
        self.state = State::Failed(error, session);
    }

    /// Ends the session without logging.
    pub(super) fn close(&mut self, client_gone: bool) {
        self.permit = None;
        if let State::Open(mut session) | State::Failed(_, Some(mut session)) =
            std::mem::replace(&mut self.state, State::Done)
        {
            session.close(client_gone);
        }
    }
}

fn log_ignored(entry: &Entry, id: &str, ignored: Ignored) {
    entry.metrics.ignore();
    match ignored {
        Ignored::Framing(name) if !entry.warned.replace(true) => tracing::warn!(
            id,
            entry = &*entry.label,
            "{} changes the header {name}, which belongs to the gateway: ignored (logged once)",
            entry.label,
        ),
        Ignored::Framing(_) => {}
        Ignored::TooLate(what) => {
            tracing::debug!(id, entry = &*entry.label, "{} changes {what} too late: ignored", entry.label);
        }
    }
}
