//! Waiting for a phase's result: deadlines, probes, and everything that a worker may say meanwhile.

mod fetching;

use std::time::{Duration, Instant};

use nylon_plugin::{BodyMode, Exchange, Phase, PluginError, PluginErrorKind};
use nylon_wire::{AbortFrame, AbortReason, Credit, ErrorFrame, Ext, First, Frame, ProbeFrame, failure};

use super::{
    known::{InFlight, mask_of},
    session::NatsSession,
    slots::{Event, Signal},
    talk::Talk,
    upgrade,
    waiting::{Answer, NotRun, Stop, Wait},
};
use crate::Clock;

/// While a phase is pending, its worker is looked for so often. Milliseconds.
const PROBE_EVERY_MS: u64 = 50;

/// A worker may end a session at its deadline this long before we see ours: its clock and its ticks are not ours.
/// Milliseconds.
const DEADLINE_SLACK_MS: u64 = 20;

impl NatsSession {
    /// Waits for the result of the phase that was just sent. `exchange` answers what the worker fetches.
    pub(super) async fn answer(
        &mut self,
        talk: &mut Talk,
        mut exchange: Option<&mut Exchange>,
        mut wait: Wait,
    ) -> Result<Answer, Stop> {
        loop {
            talk.pump()?;
            let frame = match talk.deferred.pop_front() {
                Some(frame) => frame,
                None => match talk.next(|talk| wait.due(talk)).await? {
                    Event::Frame(payload) => match talk.decode(&payload)? {
                        Some(frame) => frame,
                        None => continue,
                    },
                    Event::Signal(signal) => {
                        self.signal(talk, signal, &mut wait)?;
                        continue;
                    }
                },
            };
            talk.heard = None;
            self.greet(talk, &frame)?;
            match frame {
                Frame::Result(mut result) => {
                    talk.resolve(&mut result.ops)?;
                    return Ok(Answer::Result(result));
                }
                Frame::Stream(stream) => return Ok(Answer::Stream(stream)),
                // In any other phase it is no refusal but a protocol failure, which our caller makes of it.
                Frame::Upgrade(upgrade) if wait.phase != Phase::RequestFilter => return Ok(Answer::Upgrade(upgrade)),
                Frame::Upgrade(upgrade) => match upgrade::refusal(exchange.as_deref(), &upgrade) {
                    None => return Ok(Answer::Upgrade(upgrade)),
                    Some(why) => talk.refuse(None, failure::NOT_WEBSOCKET, &why)?,
                },
                Frame::Fetch(fetch) => self.fetch(talk, exchange.as_deref_mut(), fetch, &mut wait).await?,
                Frame::Data(data) => talk.collect(data, self.entry().shared.options.max_body_bytes)?,
                Frame::Credit(credit) => talk.credit.grant(credit.bytes),
                Frame::Accept(_) | Frame::Probe(_) => {}
                Frame::Busy(busy) => {
                    talk.lease.set_restless(false);
                    talk.lease.link.stats.busy.add();
                    if talk.accepted {
                        return Err(PluginError::new(PluginErrorKind::Busy, "the worker is busy").into());
                    }
                    return Err(Stop::NotRun(NotRun::Busy {
                        worker: busy.worker.as_str().into(),
                        reason: busy.reason,
                        retry_after: (busy.retry_after_ms > 0)
                            .then(|| Duration::from_millis(u64::from(busy.retry_after_ms))),
                    }));
                }
                Frame::Error(error) => return Err(self.failed(talk, error).into()),
                Frame::Abort(abort) => return Err(aborted(talk, &abort, &wait)),
                other => {
                    let message = format!("a worker may not send {:?}", other.kind());
                    return Err(talk.protocol(message).into());
                }
            }
        }
    }

    /// Learns from a first answer who the worker is.
    fn greet(&mut self, talk: &mut Talk, frame: &Frame) -> Result<(), PluginError> {
        if talk.accepted {
            return Ok(());
        }
        let first = match frame {
            Frame::Accept(frame) => &frame.first,
            Frame::Result(frame) => &frame.first,
            Frame::Fetch(frame) => &frame.first,
            Frame::Error(frame) => &frame.first,
            Frame::Stream(frame) => &frame.first,
            Frame::Upgrade(frame) => &frame.first,
            Frame::Busy(_) | Frame::Abort(_) | Frame::Probe(_) => return Ok(()),
            _ => &None,
        };
        match first {
            Some(first) => self.accept(talk, first),
            None => Err(talk.protocol(format!("the first answer, {:?}, does not name its worker", frame.kind()))),
        }
    }

    fn accept(&mut self, talk: &mut Talk, first: &First) -> Result<(), PluginError> {
        let heard = Instant::now();
        talk.heard = Some(heard);
        let now = Clock::ms(heard);
        match &talk.worker {
            Some(worker) if worker.id() == first.worker.as_str() => worker.answered(now),
            Some(_) => return Err(talk.protocol(format!("worker {} answers for another one", first.worker))),
            None => {
                let group = &self.entry().shared.group;
                let worker = match group.worker(&first.worker, now) {
                    Ok(worker) => worker,
                    Err(error) => return Err(talk.protocol(format!("the worker's name: {error}"))),
                };
                worker.answered(now);
                talk.lease.set_worker(&worker);
                talk.in_flight = Some(InFlight::new(&worker));
                talk.worker = Some(worker);
            }
        }
        talk.accepted = true;
        talk.lease.set_restless(talk.probed);
        talk.credit = Credit::new(first.credit);
        let mode = match first.body_mode {
            nylon_wire::BodyMode::Buffered => BodyMode::Buffered,
            nylon_wire::BodyMode::Streaming => BodyMode::Streaming,
        };
        self.registered(mask_of(first.mask), mode);
        Ok(())
    }

    /// Something happened that is no frame.
    fn signal(&self, talk: &mut Talk, signal: Signal, wait: &mut Wait) -> Result<(), Stop> {
        let gone = |talk: &Talk, what: &str| {
            let kind = if talk.accepted { PluginErrorKind::Lost } else { PluginErrorKind::Unavailable };
            Err(PluginError::new(kind, what).into())
        };
        match signal {
            Signal::Shutdown => gone(talk, "the gateway shuts down"),
            Signal::Disconnected => gone(talk, "the connection to nats is lost"),
            Signal::Rubbish => {
                Err(talk.protocol("a message for this session is no frame, or there are too many").into())
            }
            Signal::NoResponders => {
                talk.lease.set_restless(false);
                if let Some(worker) = &talk.worker {
                    self.entry().shared.group.gone(worker, Clock::now_ms());
                }
                if talk.accepted {
                    return gone(talk, "the worker is gone: nobody listens on its subject");
                }
                Err(Stop::NotRun(NotRun::NoResponders { certain: !talk.probed }))
            }
            Signal::Due => self.due(talk, wait),
        }
    }

    fn due(&self, talk: &mut Talk, wait: &mut Wait) -> Result<(), Stop> {
        let now = Clock::now_ms();
        if now >= wait.deadline(talk) {
            let what = if talk.accepted { "the handler is over its deadline" } else { "nobody accepted in time" };
            return Err(talk.fail(PluginErrorKind::Timeout, AbortReason::Timeout, what).into());
        }
        if !talk.accepted && wait.accept_by.is_some_and(|accept_by| now >= accept_by) {
            if let Some(worker) = &talk.worker {
                self.entry().shared.group.eject(worker, wait.sent, now);
                // Should it wake up, it need not run what somebody else does.
                talk.lease.abort(AbortReason::Timeout, Some("not accepted in time"));
            }
            talk.lease.link.stats.not_accepted.add();
            return Err(Stop::NotRun(NotRun::NotAccepted));
        }
        let Some(worker) = &talk.worker else { return Ok(()) };
        if now < wait.probe_at {
            return Ok(());
        }
        wait.probe_at = now + PROBE_EVERY_MS;
        if self.entry().shared.group.lost(worker, now) {
            if talk.accepted {
                return Err(PluginError::new(PluginErrorKind::Lost, "the worker is gone or silent").into());
            }
            return Err(Stop::NotRun(NotRun::NoResponders { certain: false }));
        }
        if worker.probe_turn(now, PROBE_EVERY_MS) {
            self.probe(talk);
        }
        Ok(())
    }

    fn probe(&self, talk: &mut Talk) {
        let (Some(worker), Some((reply, header))) = (&talk.worker, talk.lease.probe()) else { return };
        let link = &talk.lease.link;
        let frame = link.encode(|out| ProbeFrame { header, ext: Ext::empty() }.encode(out));
        // A probe that is not sent is a probe later; the deadline stands.
        if link.post(worker.subject(), Some((reply, header.generation)), frame).is_ok() {
            link.stats.probes.add();
            talk.probed = true;
            talk.lease.set_restless(true);
        }
    }

    /// What an ERROR frame means for the phase.
    fn failed(&self, talk: &Talk, error: ErrorFrame) -> PluginError {
        let log_id = error.log_id.as_deref().unwrap_or("none");
        let worker = talk.worker.as_ref().map_or("?", |worker| worker.id());
        let message = format!("worker {worker}: {}: {} (log id {log_id})", error.code, error.text);
        if error.call_id.is_some() {
            return talk.protocol(format!("ERROR for a call that was not made; {message}"));
        }
        talk.close();
        let kind = match error.code.as_str() {
            failure::INIT_FAILED => PluginErrorKind::Unavailable,
            failure::PROTOCOL => PluginErrorKind::Protocol,
            failure::BODY_TOO_LARGE => PluginErrorKind::ResponseBodyTooLarge,
            _ => PluginErrorKind::Handler,
        };
        PluginError::new(kind, message)
    }
}

fn aborted(talk: &Talk, abort: &AbortFrame, wait: &Wait) -> Stop {
    let text = abort.text.as_deref().unwrap_or("no reason given");
    let kind = match abort.reason {
        AbortReason::Timeout => PluginErrorKind::Timeout,
        // To a probe, by a worker that has ended the session at its deadline a moment before us.
        AbortReason::Stale if Clock::now_ms() + DEADLINE_SLACK_MS >= wait.deadline(talk) => PluginErrorKind::Timeout,
        // To a probe, by a worker that the open has not reached: an answer of its own would have come before.
        AbortReason::Stale if !talk.accepted => return Stop::NotRun(NotRun::NotAccepted),
        AbortReason::Protocol => PluginErrorKind::Protocol,
        _ if talk.accepted => PluginErrorKind::Lost,
        _ => PluginErrorKind::Unavailable,
    };
    PluginError::new(kind, format!("the worker aborts the session ({:?}): {text}", abort.reason)).into()
}
