//! Answers of user code, and how they leave.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use nylon_wire::{
    AbortReason, Action, ErrorFrame, Limits, Operation, Phase, ResponseBody, ResultFrame, SessionId, Text, Timing,
    failure,
};

use super::Core;
use crate::worker::{JobKind, live::Sending, outbox::Outcome, run::Run};

fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

impl Core {
    pub(super) fn on_finished(&mut self, run: &Arc<Run>, outcome: Outcome, handler: Duration, now: Instant) {
        let phase = match &run.kind {
            JobKind::Phase(phase) => *phase,
            JobKind::Initialize { config, .. } => return self.on_initialized(config.clone(), outcome, now),
            JobKind::Shutdown => {
                self.shutdown_done = true;
                return;
            }
        };
        let Some(shared) = &run.session else { return };
        let session = shared.id;
        if let Some(lane) = self.shared.options.entries.get(shared.entry).map(|entry| entry.lane(phase)) {
            self.pace(lane).finished();
        }
        if let Some(counts) = self.entry_counts.get_mut(shared.entry) {
            counts.requests += 1;
            counts.handling += handler;
            if let Outcome::Failed { text, .. } = &outcome {
                counts.errors += 1;
                counts.last_error = shortened(text.clone());
            }
        }
        let current =
            self.live.get(&session).is_some_and(|live| live.run.as_ref().is_some_and(|own| Arc::ptr_eq(own, run)));
        if !current {
            self.abandoned.retain(|other| !Arc::ptr_eq(other, run));
            return self.count(|c| &c.late);
        }
        let failed = matches!(outcome, Outcome::Failed { .. });
        if self.stream_returned(session, run, now) || self.socket_returned(session, failed, now) {
            if failed {
                self.count(|c| &c.errors);
            }
            return;
        }
        let silent = self.live.get(&session).is_some_and(|live| live.silent);
        match outcome {
            Outcome::Failed { code, text, log_id } => {
                self.count(|c| &c.errors);
                if !silent {
                    self.send_error(session, &code, text, log_id);
                }
                // The session is over after an error. The handler is done, so nothing is cancelled.
                self.finish_session(session);
            }
            Outcome::Result { .. } if silent => {
                self.count(|c| &c.results);
                self.after_phase(session, phase, now);
            }
            Outcome::Result { operations, action } => {
                let timing = Timing { queue_us: micros(run.wait()), handler_us: micros(handler) };
                self.send_result(session, operations, action, timing, now);
            }
        }
    }

    /// Sends a result; a body that does not fit into a frame goes before it.
    fn send_result(
        &mut self,
        session: SessionId,
        mut operations: Vec<Operation>,
        action: Action,
        timing: Timing,
        now: Instant,
    ) {
        let total: usize = operations.iter().map(Operation::size).sum();
        if total > self.chunk() {
            let Some(body) = take_body(&mut operations) else {
                return self.result_too_large(session, total);
            };
            let rest: usize = operations.iter().map(Operation::size).sum();
            if rest > self.max_payload.saturating_sub(Limits::FRAME_OVERHEAD) {
                return self.result_too_large(session, rest);
            }
            if body.len() > self.shared.options.max_body {
                return self.result_too_large(session, body.len());
            }
            let Some(live) = self.live.get_mut(&session) else { return };
            let id = live.new_id();
            for operation in &mut operations {
                if let Operation::SetResponseBody(place) = operation {
                    *place = ResponseBody::Data { id, total: body.len() as u64 };
                }
            }
            live.sending = Some(Box::new(Sending { id, body, sent: 0, operations, action, timing, stalled: false }));
            return self.pump(session, now);
        }
        self.emit_result(session, operations, action, timing, now);
    }

    /// The last frame of a phase.
    pub(super) fn emit_result(
        &mut self,
        session: SessionId,
        ops: Vec<Operation>,
        action: Action,
        timing: Timing,
        now: Instant,
    ) {
        let Some((reply, header, first)) = self.next_header(session) else { return };
        let (timing, ext) = (Some(timing), Default::default());
        self.emit(reply, |out| ResultFrame { header, ops, action, first, timing, ext }.encode(out));
        self.count(|c| &c.results);
        let phase = self.live.get(&session).and_then(|live| match live.run.as_ref()?.kind {
            JobKind::Phase(phase) => Some(phase),
            _ => None,
        });
        if let Some(phase) = phase {
            self.after_phase(session, phase, now);
        }
    }

    /// A phase is over: the session waits for the next one, if its entry has any.
    pub(super) fn after_phase(&mut self, session: SessionId, phase: Phase, now: Instant) {
        let Some(mut live) = self.live.remove(&session) else { return };
        self.set_busy_of(&mut live, false);
        live.run = None;
        Self::close_readers(&mut live);
        live.hear(now);
        let entry = self.shared.options.entries.get(live.session.entry);
        let again = std::mem::take(&mut live.again) && phase != Phase::Logging;
        let more = again || entry.is_some_and(|entry| entry.phases.any_after(phase));
        if more {
            self.keep_body(&mut live);
            self.live.insert(session, live);
        } else {
            self.close_calls(live, AbortReason::Stale);
        }
    }

    /// Ends a session whose handler is done.
    pub(super) fn finish_session(&mut self, session: SessionId) {
        if let Some(live) = self.live.get_mut(&session) {
            live.run = None;
        }
        self.cancel(session, AbortReason::Stale);
    }

    fn result_too_large(&mut self, session: SessionId, bytes: usize) {
        let Some(live) = self.live.get(&session) else { return };
        let id = live.session.snapshot.request_id().to_owned();
        self.count(|c| &c.errors);
        let text = format!("the result is too large: {bytes} bytes");
        tracing::error!(%session, %id, bytes, "sending a result: it is too large");
        self.send_error(session, failure::BODY_TOO_LARGE, text, Some(id));
        self.finish_session(session);
    }

    /// Answers that the phase failed.
    pub(super) fn send_error(&mut self, session: SessionId, code: &str, text: String, log_id: Option<String>) {
        if let Some((reply, header, first)) = self.next_header(session) {
            let text = Text::from(shortened(text));
            let (code, log_id) = (Text::from(code), log_id.map(Text::from));
            let (call_id, ext) = (None, Default::default());
            self.emit(reply, |out| ErrorFrame { header, call_id, code, text, log_id, first, ext }.encode(out));
        }
    }
}

/// The full story is in the worker's log; a frame must stay small.
pub(super) fn shortened(mut text: String) -> String {
    const MOST: usize = 1_024;
    if text.len() > MOST {
        let end = (0..=MOST).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
    }
    text
}

/// Takes the body that counts, the last one, out of the operations; earlier ones are dropped.
fn take_body(operations: &mut Vec<Operation>) -> Option<bytes::Bytes> {
    let is_body = |operation: &Operation| matches!(operation, Operation::SetResponseBody(_));
    let last = operations.iter().rposition(is_body)?;
    let mut index = 0;
    operations.retain(|operation| {
        index += 1;
        index - 1 == last || !is_body(operation)
    });
    operations.iter_mut().find_map(|operation| match operation {
        Operation::SetResponseBody(ResponseBody::Inline(bytes)) => Some(std::mem::take(bytes)),
        _ => None,
    })
}
