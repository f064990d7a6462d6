//! Opens and later phases: from the frame to the handler's queue.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_nats::Subject;
use nylon_wire::{
    AbortReason, Action, BodyMode, BusyFrame, BusyReason, Credit, ErrorFrame, FetchKind, First, Header, OpenFrame,
    Phase, PhaseFrame, PhaseMask, ResultFrame, SessionId, Text, Timing, failure,
};

use super::{Core, IDLE_FACTOR, Life, PROBE_AFTER};
use crate::{
    lock::lock,
    worker::{
        JobKind, Session,
        init::Verdict,
        live::{Live, Then, Wait},
        run::Run,
    },
};

/// Why an open is not taken.
enum Refusal {
    Busy(BusyReason, u32),
    Unknown,
}

impl Core {
    pub(super) fn on_open(&mut self, mut open: Box<OpenFrame>, now: Instant) {
        self.count(|c| &c.opens);
        let session = open.header.session;
        if !self.is_reply(&open.reply) {
            tracing::warn!(%session, reply = %open.reply, "an open names a reply subject that is none");
            return self.count(|c| &c.protocol);
        }
        if self.live.contains_key(&session) {
            tracing::warn!(%session, "an open came twice");
            self.count(|c| &c.gaps);
            return self.break_off(session, AbortReason::Gap);
        }
        let gateway = open.reply.rfind('.').unwrap_or_default();
        let age = self.ages.age(open.reply.get(..gateway).unwrap_or_default(), open.mono_ms, now);
        let remaining = Duration::from_millis(open.remaining_ms);
        let silent = open.phase == Phase::Logging;
        if age >= remaining {
            tracing::warn!(%session, ?age, ?remaining, "dropping an open that is older than its deadline");
            return self.count(|c| &c.expired);
        }
        let Ok(reply) = Subject::try_from(open.reply.bytes().clone()) else { return };
        let Some(&entry) = self.entries.get(open.entry.as_str()) else {
            return self.turn_away(&open, reply, Refusal::Unknown);
        };
        if self.life == Life::Draining {
            return self.turn_away(&open, reply, Refusal::Busy(BusyReason::Draining, 0));
        }
        let most = self.shared.options.max_sessions;
        if self.load() >= most || self.live.len() >= most.saturating_mul(IDLE_FACTOR) {
            // The next moment one may be done: it does not say when to come back.
            return self.turn_away(&open, reply, Refusal::Busy(BusyReason::Full, 0));
        }
        let lane = self.shared.options.entries.get(entry).map(|entry| entry.lane(open.phase));
        if !silent && lane.is_some_and(|lane| self.is_behind(lane)) {
            return self.turn_away(&open, reply, Refusal::Busy(BusyReason::Full, 100));
        }
        let Some(name) = self.names.get(entry).cloned() else { return };
        self.numbers += 1;
        let body = open.body.take();
        let shared = Session::new(session, self.numbers, (entry, name), open.snapshot.clone(), body);
        let mut live = Box::new(Live {
            session: Arc::new(shared),
            generation: open.header.generation,
            reply,
            gateway,
            next_in: open.header.seq.wrapping_add(1),
            next_out: 0,
            phase_seq: open.header.phase_seq,
            first_sent: false,
            silent,
            attended: silent && open.credit > 0,
            busy: false,
            hot: false,
            wait: Wait::No,
            open: None,
            run: None,
            credit: Credit::new(open.credit),
            granted: Credit::new(self.shared.options.credit),
            window: self.shared.options.credit,
            owed: 0,
            kept: 0,
            received: now,
            deadline: now + remaining.saturating_sub(age),
            heard: now,
            probed: now,
            asked: now,
            patience: PROBE_AFTER,
            calls: Vec::new(),
            upload: None,
            next_id: 0,
            sending: None,
            writer: None,
            socket: None,
            connection: 0,
            tail: false,
            returned: false,
            held: None,
            again: false,
            repeats: false,
            closed: false,
            span: remaining,
        });
        self.set_busy_of(&mut live, true);
        if open.more {
            live.wait = Wait::Rest;
            self.live.insert(session, live);
            let max = self.shared.options.max_body;
            return self.call(session, FetchKind::OpenRest, max, Then::Open);
        }
        if self.init.judge(open.revision.as_ref()) == Verdict::Serve {
            self.live.insert(session, live);
            return self.run_open(session, &mut open, now);
        }
        live.open = Some(open);
        live.wait = Wait::Init;
        self.live.insert(session, live);
        self.judge(session, now);
    }

    /// The rest of an open that did not fit is here: the whole frame.
    pub(super) fn on_rest(&mut self, session: SessionId, whole: Box<OpenFrame>, now: Instant) {
        let Some(live) = self.live.get_mut(&session) else { return };
        let same = whole.header.session == session && whole.entry.as_str() == &*live.session.name;
        if !same || whole.reply.as_str() != live.reply.as_str() {
            self.count(|c| &c.protocol);
            return self.break_off(session, AbortReason::Protocol);
        }
        let entry = (live.session.entry, live.session.name.clone());
        let number = live.session.number;
        live.session = Arc::new(Session::new(session, number, entry, whole.snapshot.clone(), whole.body.clone()));
        live.wait = Wait::Init;
        live.open = Some(whole);
        self.judge(session, now);
    }

    /// Lets a waiting open run, or says what it waits for.
    pub(super) fn judge(&mut self, session: SessionId, now: Instant) {
        let Some(live) = self.live.get_mut(&session).filter(|live| live.wait == Wait::Init) else { return };
        let Some(open) = &live.open else { return };
        match self.init.judge(open.revision.as_ref()) {
            Verdict::Serve => {
                live.wait = Wait::No;
                if let Some(mut open) = live.open.take() {
                    self.run_open(session, &mut open, now);
                }
            }
            Verdict::Wait => {}
            Verdict::Take => self.take_config(session, now),
            Verdict::Failed => {
                let text = self.init.last_error.clone().unwrap_or_default();
                self.send_error(session, failure::INIT_FAILED, text, None);
                self.cancel(session, AbortReason::Stale);
            }
        }
    }

    fn run_open(&mut self, session: SessionId, open: &mut OpenFrame, now: Instant) {
        if let Some(live) = self.live.get_mut(&session).filter(|_| !open.ext.is_empty()) {
            live.again = open.ext.is_again();
            live.repeats = live.again;
        }
        self.start_run(session, open.phase, (open.payload.take(), open.response.take(), None), now);
    }

    pub(super) fn on_phase(&mut self, frame: PhaseFrame, now: Instant) {
        self.count(|c| &c.phases);
        let session = frame.header.session;
        let Some(live) = self.live.get_mut(&session) else { return };
        // Phases of a session are sequential: a gateway that sends the next one has the answer to the last.
        if live.tail && live.held.is_none() {
            live.held = Some(Box::new(frame));
            return;
        }
        if live.busy || live.open.is_some() {
            self.count(|c| &c.protocol);
            return self.break_off(session, AbortReason::Protocol);
        }
        live.phase_seq = frame.header.phase_seq;
        live.received = now;
        let gateway = live.gateway().to_owned();
        let age = self.ages.age(&gateway, frame.mono_ms, now);
        let remaining = Duration::from_millis(frame.remaining_ms).saturating_sub(age);
        if remaining.is_zero() {
            self.count(|c| &c.expired);
            return self.cancel(session, AbortReason::Timeout);
        }
        let Some(mut live) = self.live.remove(&session) else { return };
        live.deadline = now + remaining;
        live.span = remaining;
        live.upload = None;
        live.again = frame.ext.is_again();
        live.repeats |= live.again;
        live.silent |= frame.phase == Phase::Logging;
        self.set_busy_of(&mut live, true);
        self.live.insert(session, live);
        self.start_run(session, frame.phase, (frame.payload, frame.response, frame.body), now);
    }

    /// Queues the handler of a phase, or answers for it where the entry has none.
    fn start_run(
        &mut self,
        session: SessionId,
        phase: Phase,
        (payload, response, body): (Option<bytes::Bytes>, Option<nylon_wire::ResponsePart>, Option<bytes::Bytes>),
        now: Instant,
    ) {
        let shared = self.shared.clone();
        let Some(live) = self.live.get_mut(&session) else { return };
        let Some(entry) = shared.options.entries.get(live.session.entry) else { return };
        if !entry.phases.contains(phase) {
            if let Some((reply, header, first)) = self.next_header(session) {
                let timing = Some(Timing::default());
                let (ops, action, ext) = (Vec::new(), Action::Next, Default::default());
                self.emit(reply, |out| ResultFrame { header, ops, action, first, timing, ext }.encode(out));
            }
            return self.after_phase(session, phase, now);
        }
        let lane = entry.lane(phase);
        let mut run = Run::new(JobKind::Phase(phase), live.received, live.deadline);
        run.session = Some(live.session.clone());
        run.repeats = live.repeats;
        run.payload = payload;
        run.response = response;
        *lock(&run.response_body) = body;
        let run = Arc::new(run);
        live.run = Some(run.clone());
        self.lane_of(lane).push(run);
    }

    /// Answers an open for which no session is made.
    fn turn_away(&mut self, open: &OpenFrame, reply: Subject, why: Refusal) {
        let header = Header { seq: 0, ..open.header };
        if let Refusal::Busy(reason, _) = why {
            self.count_busy(reason);
        }
        // Logging is never answered, and so never tried again.
        if open.phase == Phase::Logging {
            return;
        }
        match why {
            Refusal::Busy(reason, retry_after_ms) => self.emit_busy(reply, header, reason, retry_after_ms),
            Refusal::Unknown => {
                self.count(|c| &c.errors);
                let text = Text::from(format!("the worker has no entry {:?}", open.entry.as_str()));
                let code = Text::from_static(failure::UNKNOWN_ENTRY);
                // A first frame says who answers (SPEC 9.1), also one that has no phases to announce.
                let (worker, credit) = (self.worker.clone(), self.shared.options.credit);
                let first = Some(First { worker, mask: PhaseMask::default(), body_mode: BodyMode::Buffered, credit });
                let (call_id, log_id, ext) = (None, None, Default::default());
                self.emit(reply, |out| ErrorFrame { header, call_id, code, text, log_id, first, ext }.encode(out));
            }
        }
    }

    /// Gives an open back that has not reached user code.
    pub(super) fn give_back(&mut self, session: SessionId, reason: BusyReason) {
        self.count_busy(reason);
        let Some(live) = self.live.get_mut(&session) else { return };
        // BUSY names the worker itself.
        live.first_sent = true;
        if let Some((reply, header, _)) = self.next_header(session) {
            self.emit_busy(reply, header, reason, 100);
        }
        self.cancel(session, AbortReason::Stale);
    }

    fn count_busy(&self, reason: BusyReason) {
        self.count(|c| match reason {
            BusyReason::Full => &c.busy_full,
            BusyReason::Draining => &c.busy_draining,
            BusyReason::Initializing => &c.busy_initializing,
        });
    }

    fn emit_busy(&mut self, reply: Subject, header: Header, reason: BusyReason, retry_after_ms: u32) {
        let (worker, ext) = (self.worker.clone(), Default::default());
        self.emit(reply, |out| BusyFrame { header, worker, reason, retry_after_ms, ext }.encode(out));
    }
}
