//! One request as one entry sees it, over NATS: open, later phases, retries, the end.

mod attempts;
mod logging;
mod opening;
mod retry;

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use attempts::{Attempts, unavailable};
use futures_util::future::LocalBoxFuture;
use nylon_plugin::{
    Action, BodyMode, Call, Outcome, Phase, PhaseMask, PluginError, PluginErrorKind, ResponseBody, Session, Timing,
    Upgrade,
};
use nylon_wire::{AbortReason, ResultFrame, StreamFrame, UpgradeFrame};

use super::{
    encode,
    entry::Entry,
    known::InFlight,
    socket::NatsSocket,
    stream::{Home, Input, NatsStream},
    talk::Talk,
    waiting::{Answer, NotRun, Stop, Wait},
};
use crate::Clock;

/// A session on NATS.
pub(super) struct NatsSession {
    entry: Rc<Entry>,
    talk: Option<Box<Talk>>,
    /// Where the stream of a phase leaves the talk when it has ended.
    streamed: Option<Rc<Home>>,
    phases: Option<PhaseMask>,
    body_mode: BodyMode,
    /// Whether the worker keeps the session after what ran last: another phase may come (SPEC 9.3, 9.6).
    kept: bool,
    /// A phase failed: only logging may follow, on a session of its own.
    over: bool,
}

impl NatsSession {
    pub(super) fn new(entry: Rc<Entry>) -> Self {
        Self { entry, talk: None, streamed: None, phases: None, body_mode: BodyMode::Buffered, kept: true, over: false }
    }

    pub(super) fn entry(&self) -> &Entry {
        &self.entry
    }

    /// What the first answer says about the session.
    pub(super) fn registered(&mut self, phases: PhaseMask, mode: BodyMode) {
        self.phases = Some(phases);
        self.body_mode = mode;
    }

    async fn phase(&mut self, mut call: Call<'_>) -> Result<Outcome, PluginError> {
        if self.over {
            return Err(PluginError::new(PluginErrorKind::Lost, "the session is over"));
        }
        let started = call.started;
        let admitted = self.entry.admit()?;
        let talk = self.take_talk();
        let mut running = Running { session: self, talk: None };
        let result = match talk {
            Some(talk) => running.later(talk, &mut call).await,
            None => running.open(&mut call).await,
        };
        let talk = running.talk.take();
        drop(running);
        drop(admitted);
        let (result, mut talk) = match (result, talk) {
            (Ok(result), Some(talk)) => (result, talk),
            (result, _) => {
                self.over = true;
                let lost = PluginError::new(PluginErrorKind::Lost, "the session is gone");
                return Err(result.err().unwrap_or(lost));
            }
        };
        self.kept = !self.nothing_after(call.phase);
        let result = match result {
            Answer::Result(result) => result,
            Answer::Stream(stream) => return self.stream(talk, stream, &mut call, started),
            Answer::Upgrade(upgrade) => return self.upgrade(talk, upgrade, &call, started),
        };
        talk.stop_feeding();
        let heard = talk.heard.take().unwrap_or_else(Instant::now);
        self.finished(&mut talk, call.phase, heard);
        self.kept |= call.again;
        if self.kept {
            self.talk = Some(talk);
        }
        let (outcome, transport) = outcome(result, heard.saturating_duration_since(started));
        self.entry.times.queue.record(outcome.timing.queue);
        self.entry.times.handler.record(outcome.timing.handler);
        self.entry.quickness.note(outcome.timing.handler);
        self.entry.times.transport.record(transport);
        Ok(outcome)
    }

    /// The entry's body begins.
    fn stream(
        &mut self,
        mut talk: Box<Talk>,
        frame: StreamFrame,
        call: &mut Call<'_>,
        started: Instant,
    ) -> Result<Outcome, PluginError> {
        let filters = call.phase == Phase::ResponseBodyFilter;
        if !filters && call.phase != Phase::RequestFilter {
            self.over = true;
            return Err(talk.protocol("STREAM in a phase that has no body"));
        }
        talk.in_flight = None;
        // What the handler reads: the answer that it filters, or the request that it answers.
        let input = if filters {
            match std::mem::take(&mut call.exchange.response.body) {
                ResponseBody::Stream(body) => Input::Response(Some(body)),
                other => {
                    call.exchange.response.body = other;
                    self.over = true;
                    return Err(talk.protocol("the body filter streams, its workers had not said so"));
                }
            }
        } else {
            Input::Request(call.exchange.request_body.share())
        };
        let home = Rc::new(Home::default());
        self.streamed = Some(home.clone());
        let stream = NatsStream::new(self.entry.clone(), talk, home, frame.stream_id, input);
        let timing = Timing { total: started.elapsed(), ..Timing::default() };
        Ok(Outcome {
            operations: frame.ops,
            action: Action::Next,
            timing,
            stream: Some(Box::new(stream)),
            upgrade: None,
        })
    }

    /// The entry makes the request a WebSocket.
    fn upgrade(
        &mut self,
        mut talk: Box<Talk>,
        frame: UpgradeFrame,
        call: &Call<'_>,
        started: Instant,
    ) -> Result<Outcome, PluginError> {
        if call.phase != Phase::RequestFilter {
            self.over = true;
            return Err(talk.protocol("UPGRADE in a phase that is no request filter"));
        }
        talk.in_flight = None;
        talk.stop_feeding();
        let span = call.deadline.saturating_duration_since(started).as_millis();
        let span = u64::try_from(span).unwrap_or(u64::MAX / 2);
        let home = Rc::new(Home::default());
        self.streamed = Some(home.clone());
        let socket = Box::new(NatsSocket::new(self.entry.clone(), talk, home, span));
        let max_message_bytes = usize::try_from(frame.max_message_bytes).unwrap_or(usize::MAX);
        let subprotocol = frame.subprotocol.map(|name| name.as_str().into());
        let upgrade = Some(Box::new(Upgrade { max_message_bytes, subprotocol, socket }));
        let timing = Timing { total: started.elapsed(), ..Timing::default() };
        Ok(Outcome { operations: frame.ops, action: Action::End, timing, stream: None, upgrade })
    }

    /// The open session, also if a stream had it.
    fn take_talk(&mut self) -> Option<Box<Talk>> {
        let streamed = self.streamed.take();
        let talk = self.talk.take();
        match streamed {
            Some(home) => {
                let talk = home.take();
                // It was cut: only logging may follow, on a session of its own.
                self.over |= talk.is_none();
                talk
            }
            None => talk,
        }
    }

    fn nothing_after(&self, phase: Phase) -> bool {
        self.phases.is_some_and(|phases| !Phase::ALL.into_iter().any(|later| later > phase && phases.has(later)))
    }

    /// A result is here: what it teaches, and back to rest.
    fn finished(&self, talk: &mut Talk, phase: Phase, heard: Instant) {
        talk.lease.set_waiting(false);
        talk.lease.set_restless(talk.probed);
        talk.in_flight = None;
        // What the client takes to send its body says nothing about the worker.
        if let (Some(worker), false) = (&talk.worker, talk.fetched) {
            let micros = heard.saturating_duration_since(talk.sent).as_micros();
            worker.sample(u64::try_from(micros).unwrap_or(u64::MAX), Clock::ms(heard));
        }
        if phase == Phase::RequestFilter && !talk.sent_body {
            self.entry.learn(talk.fetched_body);
        }
    }
}

impl Session for NatsSession {
    fn phases(&self) -> Option<PhaseMask> {
        self.phases
    }

    fn body_mode(&self) -> BodyMode {
        self.body_mode
    }

    fn run<'a>(&'a mut self, call: Call<'a>) -> LocalBoxFuture<'a, Result<Outcome, PluginError>> {
        Box::pin(async move {
            let entry = self.entry.clone();
            self.phase(call).await.inspect_err(|_| entry.times.failed.add())
        })
    }

    fn log(&mut self, mut call: Call<'_>) {
        if self.phases.is_some_and(|phases| !phases.has(Phase::Logging)) {
            self.close(false);
            return;
        }
        let logged = self.logged(&mut call);
        self.over = true;
        if let Err(error) = logged {
            self.entry.times.failed.add();
            tracing::warn!(
                plugin = %self.entry.shared.options.name, entry = %self.entry.name,
                id = %call.exchange.request.id, %error, "a logging phase was not sent"
            );
        }
    }

    fn close(&mut self, _client_gone: bool) {
        // A phase that still runs was aborted when its future was dropped.
        if let Some(talk) = self.take_talk()
            && self.kept
        {
            talk.close();
        }
        self.over = true;
    }
}

impl Drop for NatsSession {
    fn drop(&mut self) {
        self.close(false);
    }
}

/// A phase while it runs. Dropped before its end, it cancels the session at the worker.
struct Running<'a> {
    session: &'a mut NatsSession,
    talk: Option<Box<Talk>>,
}

impl Running<'_> {
    async fn open(&mut self, call: &mut Call<'_>) -> Result<Answer, PluginError> {
        let mut attempts = Attempts::default();
        let mut now = call.started;
        loop {
            if now >= call.deadline {
                return Err(PluginError::new(PluginErrorKind::Timeout, "the deadline has passed"));
            }
            let talk = self.talk.insert(self.session.send_open(call, &attempts, now)?);
            let accept = self.session.entry.link.messaging().options.accept_timeout;
            let wait = Wait::new(call.phase, now, call.deadline, Some(accept));
            let result = self.session.answer(talk, Some(call.exchange), wait).await;
            match self.ended(result) {
                Ok(result) => return result,
                Err((talk, why)) => self.session.after(talk, why, call, &mut attempts).await?,
            }
            now = Instant::now();
        }
    }

    async fn later(&mut self, talk: Box<Talk>, call: &mut Call<'_>) -> Result<Answer, PluginError> {
        let talk = self.talk.insert(talk);
        let entry = &self.session.entry;
        let (link, group) = (&entry.link, &entry.shared.group);
        let (Some(worker), Some((reply, header))) = (&talk.worker, talk.lease.next_phase()) else {
            return Err(PluginError::new(PluginErrorKind::Lost, "the session has no worker"));
        };
        if group.lost(worker, Clock::ms(call.started)) {
            return Err(PluginError::new(PluginErrorKind::Lost, "the worker is gone or silent"));
        }
        let room = link.max_payload();
        let mut frame = encode::phase(link, call, header, room, call.started);
        if frame.len() > room {
            // Without the body, which can be fetched.
            frame = encode::phase(link, call, header, 0, call.started);
        }
        talk.in_flight = Some(InFlight::new(worker));
        talk.fetched = false;
        talk.upload = None;
        talk.sent = call.started;
        talk.heard = None;
        talk.lease.set_waiting(true);
        talk.lease.set_restless(true);
        link.post(worker.subject(), Some((reply, header.generation)), frame).map_err(unavailable)?;
        let wait = Wait::new(call.phase, call.started, call.deadline, None);
        match self.session.answer(talk, Some(call.exchange), wait).await {
            Ok(result) => Ok(result),
            Err(Stop::Failed(error)) => Err(error),
            Err(Stop::NotRun(_)) => Err(PluginError::new(PluginErrorKind::Lost, "the worker is gone")),
        }
    }

    /// Sorts how an open ended: with a result or an error, or to be tried again.
    fn ended(&mut self, result: Result<Answer, Stop>) -> Result<Result<Answer, PluginError>, (Box<Talk>, NotRun)> {
        match result {
            Ok(result) => Ok(Ok(result)),
            Err(Stop::Failed(error)) => Ok(Err(error)),
            Err(Stop::NotRun(why)) => match self.talk.take() {
                Some(talk) => Err((talk, why)),
                None => Ok(Err(PluginError::new(PluginErrorKind::Lost, "the session is gone"))),
            },
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if let Some(talk) = self.talk.take() {
            talk.lease.abort(AbortReason::ClientGone, None);
            self.session.over = true;
        }
    }
}

fn outcome(result: ResultFrame, total: Duration) -> (Outcome, Duration) {
    let timing = result.timing.unwrap_or_default();
    let (queue, handler) =
        (Duration::from_micros(timing.queue_us.into()), Duration::from_micros(timing.handler_us.into()));
    let action = match result.action {
        nylon_wire::Action::Next => Action::Next,
        nylon_wire::Action::End => Action::End,
    };
    let transport = total.saturating_sub(queue + handler);
    (
        Outcome {
            operations: result.ops,
            action,
            timing: Timing { total, queue, handler },
            stream: None,
            upgrade: None,
        },
        transport,
    )
}
