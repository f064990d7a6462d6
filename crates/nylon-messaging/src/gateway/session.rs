//! One request as one entry sees it, over NATS: open, later phases, retries, the end.

use std::{
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::LocalBoxFuture;
use nylon_plugin::{
    Action, BodyMode, Call, Outcome, Phase, PhaseMask, PluginError, PluginErrorKind, ResponseBody, Session, Timing,
    Upgrade,
};
use nylon_wire::{AbortReason, BusyReason, ResultFrame, SessionId, StreamFrame, UpgradeFrame};

use super::{
    answer::{Answer, NotRun, Stop, Wait, close},
    encode::{self, Opening},
    group::{Choice, Target},
    known::{InFlight, KnownWorker},
    lease::Lease,
    options::Balance,
    plugin::Entry,
    slots::{Event, Signal},
    socket::NatsSocket,
    stream::{Home, NatsStream},
    talk::Talk,
};
use crate::{Clock, PublishError};

/// How often an open may go elsewhere without being counted, because it has certainly not run.
const UNCOUNTED_MAX: u32 = 32;
/// After BUSY(initializing) an open is tried again this late, or as soon as a worker says that it is ready.
const HOLD_MS: u64 = 100;
/// How long a logging open is attended so that its worker may fetch the configuration.
const ATTENDED: Duration = Duration::from_secs(1);
/// A worker that is behind is left alone for as long as it says, but no longer, so that it never runs out of work.
const FULL_MAX: Duration = Duration::from_millis(10);
/// How often a held open looks at the worker table. Milliseconds.
const HOLD_LOOK_MS: u64 = 10;

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

/// What has been tried for one open.
#[derive(Default)]
struct Attempts {
    counted: u32,
    uncounted: u32,
    avoid: Option<Arc<KnownWorker>>,
    no_exploring: bool,
    holding: bool,
}

impl Attempts {
    /// Takes one of the retries that are not counted, because the open has certainly not run.
    fn uncounted(&mut self) -> bool {
        self.uncounted += 1;
        self.uncounted <= UNCOUNTED_MAX
    }
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
                ResponseBody::Stream(body) => Some(body),
                other => {
                    call.exchange.response.body = other;
                    self.over = true;
                    return Err(talk.protocol("the body filter streams, its workers had not said so"));
                }
            }
        } else {
            call.exchange.request_body.stream().ok()
        };
        let home = Rc::new(Home::default());
        self.streamed = Some(home.clone());
        let stream = NatsStream::new(self.entry.clone(), talk, home, frame.stream_id, input, filters);
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

    /// Takes a slot and sends the OPEN.
    fn send_open(&self, call: &mut Call<'_>, attempts: &Attempts, now: Instant) -> Result<Box<Talk>, PluginError> {
        let entry = &*self.entry;
        let link = &entry.link;
        if link.is_closing() || !link.is_connected() {
            return Err(PluginError::new(PluginErrorKind::Unavailable, "there is no connection to nats"));
        }
        let worker = match self.target(attempts, now) {
            Target::Worker(worker) => Some(worker),
            Target::Queue => None,
            Target::Full => return Err(full()),
        };
        let options = &entry.shared.options;
        let body = (call.phase == Phase::RequestFilter).then(|| entry.body_to_send(call.exchange)).flatten();
        let body = body.filter(|body| body.len() <= link.max_payload() / 2);
        let lease = Lease::take(link, entry.shared.group.name())?;
        let Some((reply, header)) = lease.first() else {
            return Err(PluginError::new(PluginErrorKind::Unavailable, "the slot was lost"));
        };
        let credit = link.first_credit();
        let mut talk = Box::new(Talk::new(lease, credit, now));
        talk.sent_body = body.is_some();
        let opening = Opening {
            header,
            reply: reply.as_str(),
            entry: &entry.name,
            revision: options.revision.as_ref(),
            credit,
            body: body.as_deref(),
        };
        let mut frame = encode::open(link, call, &opening, now);
        if frame.len() > link.max_payload() {
            talk.whole_open = Some(frame);
            frame = encode::short_open(link, call, &opening, now);
        }
        talk.lease.set_waiting(true);
        let sent = match worker {
            Some(worker) => {
                talk.lease.set_worker(&worker);
                talk.in_flight = Some(InFlight::new(&worker));
                let worker = talk.worker.insert(worker);
                link.post(worker.subject(), Some((reply, header.generation)), frame)
            }
            // Each by itself: a batch would land on one worker.
            None => link.publish(entry.open.clone(), Some(reply), frame),
        };
        sent.map_err(unavailable)?;
        talk.lease.set_restless(true);
        link.stats.opens.add();
        entry.shared.group.opened(Clock::remaining_ms(call.deadline, now));
        Ok(talk)
    }

    fn target(&self, attempts: &Attempts, now: Instant) -> Target {
        let now = Clock::ms(now);
        let choice = Choice {
            balance: self.entry.shared.options.balance,
            entry_bit: self.entry.bit,
            now,
            avoid: attempts.avoid.as_deref(),
            configured: self.entry.shared.options.revision.is_some(),
            // The queue group may lead back to whoever has just refused.
            explore: !attempts.no_exploring && attempts.avoid.is_none(),
        };
        let (group, random) = (&self.entry.shared.group, &mut self.entry.link.random.borrow_mut());
        let first = attempts.counted == 0 && attempts.uncounted == 0;
        if first
            && let Some(most) = self.entry.quickness.most()
            && !self.entry.quickness.looks_around(now, random)
            && let Some(worker) = group.pack(&choice, most, random)
        {
            return Target::Worker(worker);
        }
        group.pick(&choice, random)
    }

    /// Decides what follows an open that was not run (rules §3). `Ok`: try again.
    async fn after(
        &self,
        talk: Box<Talk>,
        why: NotRun,
        call: &Call<'_>,
        attempts: &mut Attempts,
    ) -> Result<(), PluginError> {
        let group = &self.entry.shared.group;
        let stats = &self.entry.link.stats;
        attempts.avoid = talk.worker.clone();
        match why {
            NotRun::NoResponders { certain: true } => {
                // A worker that is gone is out of the table now: the next choice is another one. Nobody behind the
                // queue group is final, unless workers are heard of (they drain, or only the direct way is open).
                let direct = self.entry.shared.options.balance != Balance::Queue;
                let elsewhere = talk.worker.is_some() || (direct && group.any_fit(self.entry.bit, Clock::now_ms()));
                attempts.no_exploring = true;
                if elsewhere && attempts.uncounted() {
                    stats.retries.add();
                    return Ok(());
                }
                if attempts.holding {
                    return self.hold(talk, call, HOLD_MS).await;
                }
                Err(PluginError::new(PluginErrorKind::Unavailable, "no worker of the group is there"))
            }
            NotRun::NoResponders { certain: false } | NotRun::NotAccepted => {
                if attempts.counted >= call.retry {
                    return Err(PluginError::new(PluginErrorKind::Timeout, "no worker accepted the open in time"));
                }
                self.count(attempts)
            }
            NotRun::Busy { worker, reason, retry_after } => {
                let known = group.worker(&worker, Clock::now_ms()).ok();
                attempts.avoid = known.or(attempts.avoid.take());
                let mut error = PluginError::new(PluginErrorKind::Busy, format!("worker {worker} is busy: {reason:?}"));
                error.retry_after = retry_after.or(error.retry_after);
                if let (BusyReason::Full, Some(worker), Some(pause)) = (reason, &attempts.avoid, retry_after) {
                    let pause = u64::try_from(pause.min(FULL_MAX).as_millis()).unwrap_or_default();
                    worker.set_full(Clock::now_ms() + pause);
                }
                match reason {
                    BusyReason::Full if attempts.counted >= call.retry.max(1) => Err(error),
                    BusyReason::Full => self.count(attempts),
                    BusyReason::Draining => {
                        if let Some(worker) = &attempts.avoid {
                            worker.set_draining();
                        }
                        stats.retries.add();
                        if attempts.uncounted() { Ok(()) } else { Err(error) }
                    }
                    BusyReason::Initializing => {
                        stats.retries.add();
                        attempts.holding = true;
                        let pause = retry_after.map_or(HOLD_MS, |pause| {
                            u64::try_from(pause.as_millis()).unwrap_or(HOLD_MS).clamp(HOLD_LOOK_MS, 1_000)
                        });
                        self.hold(talk, call, pause).await
                    }
                }
            }
        }
    }

    fn count(&self, attempts: &mut Attempts) -> Result<(), PluginError> {
        let stats = &self.entry.link.stats;
        if !self.entry.shared.group.take_retry() {
            stats.over_budget.add();
            return Err(PluginError::new(PluginErrorKind::Busy, "the group's retry budget is used up"));
        }
        attempts.counted += 1;
        stats.retries.add();
        Ok(())
    }

    /// Waits until a worker of the group is ready, or it is time to ask again (rules §8).
    async fn hold(&self, mut talk: Box<Talk>, call: &Call<'_>, pause_ms: u64) -> Result<(), PluginError> {
        let deadline = Clock::ms(call.deadline);
        let begun = Clock::now_ms();
        let again = begun + pause_ms;
        talk.in_flight = None;
        loop {
            let now = Clock::now_ms();
            if now >= deadline {
                return Err(PluginError::new(PluginErrorKind::Unavailable, "no worker of the group became ready"));
            }
            // Beats may say *ready* for a moment longer than it is true.
            let ready = now >= begun + HOLD_LOOK_MS && self.entry.shared.group.any_fit(self.entry.bit, now);
            if now >= again || ready {
                return Ok(());
            }
            match talk.lease.next((now + HOLD_LOOK_MS).min(deadline)).await {
                Event::Signal(Signal::Due | Signal::NoResponders) | Event::Frame(_) => {}
                Event::Signal(_) => {
                    return Err(PluginError::new(PluginErrorKind::Unavailable, "the connection to nats is lost"));
                }
            }
        }
    }

    /// Opens a session for logging that nobody waits for.
    fn open_logging(&self, call: &mut Call<'_>) -> Result<(), PluginError> {
        let entry = &*self.entry;
        let link = &entry.link;
        let target = self.target(&Attempts::default(), call.started);
        let options = &entry.shared.options;
        // A worker without the configuration must be able to fetch it: one open at a time stays for that.
        let may_fetch = options.config.is_some()
            && match &target {
                Target::Worker(worker) => !worker.serves(options.revision.as_ref()),
                Target::Queue | Target::Full => true,
            };
        if may_fetch && !entry.attending.replace(true) {
            return self.open_logging_attended(call);
        }
        let session = link.random.borrow_mut().session().unwrap_or(SessionId([0; 16]));
        let opening = Opening {
            header: nylon_wire::Header { session, ..Default::default() },
            reply: &link.no_reply,
            entry: &entry.name,
            revision: options.revision.as_ref().filter(|_| options.config.is_some()),
            credit: 0,
            body: None,
        };
        let frame = encode::open(link, call, &opening, call.started);
        let sent = match &target {
            Target::Worker(worker) => link.post(worker.subject(), None, frame),
            Target::Queue | Target::Full => link.publish(entry.open.clone(), None, frame),
        };
        sent.map_err(unavailable)?;
        link.stats.opens.add();
        Ok(())
    }

    /// The same for a worker that may have to fetch the configuration first: the slot is kept for that while.
    fn open_logging_attended(&self, call: &mut Call<'_>) -> Result<(), PluginError> {
        let sent = self.send_open(call, &Attempts::default(), call.started);
        let mut talk = sent.inspect_err(|_| self.entry.attending.set(false))?;
        talk.silent = true;
        let wait = Wait::new(call.phase, call.started, call.deadline.min(call.started + ATTENDED), None);
        let mut session = Self::new(self.entry.clone());
        tokio::task::spawn_local(async move {
            // Whatever ends this, nobody waits for it.
            let _ = session.answer(&mut talk, None, wait).await;
            session.entry.attending.set(false);
        });
        Ok(())
    }

    fn logged(&mut self, call: &mut Call<'_>) -> Result<(), PluginError> {
        let open = self.take_talk().filter(|_| !self.over);
        match open {
            Some(talk) => {
                let Some((_, header)) = talk.lease.next_phase() else { return Ok(()) };
                let Some(worker) = &talk.worker else { return Ok(()) };
                let link = &self.entry.link;
                let frame = encode::phase(link, call, header, link.max_payload(), call.started);
                link.post(worker.subject(), None, frame).map_err(unavailable)
            }
            None => self.open_logging(call),
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
            close(&talk);
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
        if worker.lost(Clock::ms(call.started), group.grace()) {
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

fn full() -> PluginError {
    PluginError::new(PluginErrorKind::Busy, "every worker of the group is behind")
}

fn unavailable(error: PublishError) -> PluginError {
    PluginError::new(PluginErrorKind::Unavailable, error.to_string())
}
