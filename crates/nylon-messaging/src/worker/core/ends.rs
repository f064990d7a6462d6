//! How a session ends before its handlers have.

use super::*;

impl Core {
    /// A probe found nobody: every session of that gateway thread is over.
    pub(super) fn on_no_responders(&mut self, headers: Option<&HeaderMap>) {
        let Some(subject) = headers.and_then(|headers| headers.get("Nats-Subject")) else {
            tracing::debug!("a probe found nobody, but the server does not say where (it is older than 2.10)");
            return;
        };
        let Some(gateway) = subject.as_str().rsplit_once('.').map(|(gateway, _)| gateway.to_owned()) else { return };
        let lost: Vec<_> =
            self.live.iter().filter(|(_, live)| live.gateway() == gateway).map(|(session, _)| *session).collect();
        if !lost.is_empty() {
            tracing::warn!(gateway, sessions = lost.len(), "a gateway is gone");
        }
        for session in lost {
            self.count(|c| &c.gateway_lost);
            self.cancel(session, AbortReason::GatewayShutdown);
        }
    }

    /// Tells the gateway that a session is over, and ends it.
    pub(super) fn break_off(&mut self, session: SessionId, reason: AbortReason) {
        if let Some((reply, header, _)) = self.next_header(session) {
            self.emit(reply, |out| AbortFrame { header, reason, text: None, ext: Default::default() }.encode(out));
        }
        self.cancel(session, reason);
    }

    /// Ends a session: its handler is told, its calls fail.
    pub(super) fn cancel(&mut self, session: SessionId, reason: AbortReason) {
        let Some(live) = self.remove(session) else { return };
        // Who waits in a stream learns why before he is cancelled.
        if let Some(writer) = &live.writer {
            writer.close(&WriteError::Cancelled(reason));
        }
        if let Some(socket) = &live.socket {
            socket.abort(reason);
        }
        if let Some(run) = live.run.as_ref().filter(|_| live.lasts() || live.upload.is_some()) {
            run.taken_again(Instant::now());
        }
        for call in &live.calls {
            if let Then::Pieces(reader) = &call.then {
                reader.finish(Err(FetchError::Cancelled(reason)));
            }
        }
        if let Some(run) = &live.run {
            run.cancel(reason);
        }
        self.close_calls(live, reason);
    }

    /// Forgets a session; what user code still does with it is remembered until it is done.
    pub(super) fn remove(&mut self, session: SessionId) -> Option<Box<Live>> {
        let mut live = self.live.remove(&session)?;
        self.set_busy_of(&mut live, false);
        if let Some(run) = &live.run {
            if run.retract() {
                self.taken_back = true;
            } else if run.stage() == Stage::Taken {
                self.abandoned.push(run.clone());
            }
        }
        if self.init.lost(session) {
            self.judge_waiting(Instant::now());
        }
        Some(live)
    }
}
