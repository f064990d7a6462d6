//! What happens because time passes. Coarse: the ticker comes every 10 ms.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use nylon_wire::{AbortFrame, AbortReason, BusyReason, ProbeFrame, SessionId};

use crate::connection::SETTLING;

use super::{ACCEPT_AFTER, Core, IDLE_LIMIT, Life, Live, PROBE_AFTER, PROBE_AGAIN, Wait};
use crate::worker::{
    JobKind, Lane,
    run::{Run, Stage},
};

/// Idle sessions are looked at this often.
const SURVEY_EVERY: Duration = Duration::from_millis(240);

#[derive(Clone, Copy)]
enum Due {
    Accept,
    GiveBack(BusyReason),
    Timeout,
    Probe,
    Idle,
}

fn due(live: &Live, wait_limit: Duration, now: Instant) -> Option<Due> {
    let stage = live.run.as_ref().map(|run| run.stage());
    if live.busy && now >= live.deadline {
        return Some(Due::Timeout);
    }
    // Nothing has been said yet: the open may still go elsewhere.
    let unanswered = !live.first_sent && !live.silent;
    if unanswered && now.duration_since(live.received) >= wait_limit {
        if live.wait == Wait::Init {
            return Some(Due::GiveBack(BusyReason::Initializing));
        }
        if stage == Some(Stage::Queued) {
            return Some(Due::GiveBack(BusyReason::Full));
        }
    }
    if unanswered {
        let taken = live.run.as_ref().and_then(|run| run.taken());
        if taken.is_some_and(|taken| now.saturating_duration_since(taken) >= ACCEPT_AFTER) {
            return Some(Due::Accept);
        }
    }
    // Nobody waits for what a handler does behind its stream.
    let attended = !(live.silent || live.tail && live.closed);
    if attended && now.duration_since(live.probed) >= PROBE_AFTER {
        return Some(Due::Probe);
    }
    (!live.busy && now.duration_since(live.heard) >= IDLE_LIMIT).then_some(Due::Idle)
}

impl Core {
    /// Looks at everything that waits.
    pub fn tick(&mut self, connected: bool, now: Instant) {
        if !connected {
            self.settled_at = now + SETTLING;
        }
        let may_probe = now >= self.settled_at;
        self.ages.look(now);
        self.retry_config(now);
        for lane in [Lane::Threads, Lane::Loop] {
            let waiting = self.waiting(lane);
            self.pace(lane).look(waiting, now);
        }
        for (session, due) in self.all_due(now) {
            match due {
                Due::Accept => self.accept(session),
                Due::GiveBack(reason) => self.give_back_if_waiting(session, reason),
                Due::Timeout => {
                    self.count(|c| &c.timeouts);
                    self.cancel(session, AbortReason::Timeout);
                }
                Due::Probe if may_probe => self.probe(session, now),
                Due::Probe => {}
                Due::Idle => {
                    self.count(|c| &c.idle);
                    self.break_off(session, AbortReason::Stale);
                }
            }
        }
        self.retire_sockets(now);
        if std::mem::take(&mut self.taken_back) {
            self.shared.threads.sweep();
            self.shared.looped.sweep();
        }
    }

    /// What is due: of the hot sessions at every tick, of all of them four times a second.
    fn all_due(&mut self, now: Instant) -> Vec<(SessionId, Due)> {
        let mut found = Vec::new();
        let wait_limit = self.shared.options.wait_limit;
        let live = &mut self.live;
        self.hot.retain(|session| {
            let Some(live) = live.get_mut(session) else { return false };
            found.extend(due(live, wait_limit, now).map(|due| (*session, due)));
            live.hot = live.busy;
            live.hot
        });
        if now.saturating_duration_since(self.surveyed) >= SURVEY_EVERY {
            self.surveyed = now;
            let idle = self.live.iter().filter(|(_, live)| !live.hot);
            found.extend(idle.filter_map(|(session, live)| Some((*session, due(live, wait_limit, now)?))));
        }
        found
    }

    fn give_back_if_waiting(&mut self, session: SessionId, reason: BusyReason) {
        // User code may have taken it since: then it has run, and BUSY would be a lie.
        let run = self.live.get(&session).and_then(|live| live.run.clone());
        if run.is_none_or(|run| run.retract()) {
            self.taken_back = true;
            self.give_back(session, reason);
        }
    }

    /// Asks whether the gateway is there, unless another session has just asked that thread. Its `seq` is not counted.
    fn probe(&mut self, session: SessionId, now: Instant) {
        let Some(live) = self.live.get_mut(&session) else { return };
        live.probed = now;
        let thread = self.asked.get_mut(live.gateway());
        let answered = thread.as_ref().is_some_and(|asked| now.saturating_duration_since(**asked) < PROBE_AFTER);
        if answered && now.saturating_duration_since(live.asked) < live.patience {
            return;
        }
        match thread {
            Some(asked) => *asked = now,
            None => {
                self.asked.retain(|_, asked| now.saturating_duration_since(*asked) < PROBE_AGAIN);
                self.asked.insert(live.gateway().into(), now);
            }
        }
        (live.asked, live.patience) = (now, (live.patience * 2).min(PROBE_AGAIN));
        let header =
            nylon_wire::Header { session, generation: live.generation, seq: live.next_out, phase_seq: live.phase_seq };
        let (to, back) = (live.reply.clone(), self.subject.clone());
        self.count(|c| &c.probes);
        self.out.alone(to, Some(back), |out| ProbeFrame { header, ext: Default::default() }.encode(out));
    }

    /// Ages of the oldest running handler and of the oldest open that waits, for beats.
    pub(super) fn oldest(&self, now: Instant) -> (Duration, Duration) {
        let mut oldest = (Duration::ZERO, Duration::ZERO);
        // A stream, a WebSocket or an upload may last: its age says nothing.
        let live = self.live.values().filter(|live| !live.lasts());
        let runs = live.filter_map(|live| Some((live.run.as_ref()?, live.deadline.checked_sub(live.span))));
        for (run, since) in runs.chain(self.abandoned.iter().map(|run| (run, None))) {
            match run.stage() {
                Stage::Queued => oldest.1 = oldest.1.max(now.saturating_duration_since(run.queued)),
                Stage::Taken => {
                    // Once it is over, the phase's time begins anew.
                    if let Some(begun) = run.taken().max(since) {
                        oldest.0 = oldest.0.max(now.saturating_duration_since(begun));
                    }
                }
                Stage::Done | Stage::Retracted => {}
            }
        }
        oldest
    }

    /// Says from now on that this worker drains.
    pub fn leave(&mut self) {
        if self.life == Life::Serving {
            self.life = Life::Leaving;
            self.leaving = Some(Instant::now());
            self.shared.gauges.draining.store(true, std::sync::atomic::Ordering::Relaxed);
        }
    }

    /// Opens that were on their way are here; from now on they are turned away.
    pub fn shut_the_door(&mut self) {
        self.leave();
        self.life = Life::Draining;
    }

    /// Ends what did not end by itself. What has not reached user code may go elsewhere; what has, is told so.
    pub fn abort_all(&mut self) {
        for session in self.live.keys().copied().collect::<Vec<_>>() {
            let Some(live) = self.live.get(&session) else { continue };
            if !live.first_sent && !live.silent {
                if live.run.as_ref().is_none_or(|run| run.retract()) {
                    self.taken_back = true;
                    self.give_back(session, BusyReason::Draining);
                    continue;
                }
                self.accept(session);
            }
            if let Some((reply, header, _)) = self.next_header(session) {
                let (reason, text, ext) = (AbortReason::WorkerShutdown, None, Default::default());
                self.emit(reply, |out| AbortFrame { header, reason, text, ext }.encode(out));
            }
            self.cancel(session, AbortReason::WorkerShutdown);
        }
    }

    /// Queues the last job.
    pub fn shut_down(&mut self, now: Instant) {
        let options = &self.shared.options;
        let (lane, limit) = (options.lifecycle_lane, options.shutdown_timeout);
        let run = Arc::new(Run::new(JobKind::Shutdown, now, now + limit));
        self.lane_of(lane).push(run);
    }
}
