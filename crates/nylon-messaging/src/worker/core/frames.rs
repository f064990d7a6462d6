//! What comes in from gateways: each frame goes to its session, and what fits nothing is refused.

use super::*;

impl Core {
    /// A message of one of the session subscriptions.
    pub fn on_message(&mut self, message: Message, now: Instant) {
        self.ages.look(now);
        if message.status == Some(StatusCode::NO_RESPONDERS) {
            self.on_no_responders(message.headers.as_ref());
            return;
        }
        for frame in session_frames(message.payload) {
            match frame {
                Ok(frame) => self.on_bytes(&owned(frame), message.reply.as_ref(), now),
                Err(error) => {
                    tracing::warn!(%error, "reading a gateway's batch");
                    self.count(|c| &c.protocol);
                }
            }
        }
    }

    pub(super) fn on_bytes(&mut self, bytes: &Bytes, reply: Option<&Subject>, now: Instant) {
        match Frame::decode(bytes) {
            Ok(frame) => self.on_frame(frame, reply, now),
            Err(error) => {
                tracing::warn!(%error, "reading a gateway's frame");
                self.count(|c| &c.protocol);
                if let Ok(header) = peek_refused(bytes) {
                    self.refuse(&header, reply, AbortReason::Protocol);
                }
            }
        }
    }

    pub(super) fn on_frame(&mut self, frame: Frame, reply: Option<&Subject>, now: Instant) {
        let header = match (&frame, frame.header()) {
            (_, Some(header)) => *header,
            (_, None) => return self.count(|c| &c.protocol),
        };
        if let Frame::Open(open) = frame {
            return self.on_open(open, now);
        }
        let Some(live) = self.live.get_mut(&header.session) else {
            return self.on_stranger(&header, frame.kind(), reply);
        };
        live.hear(now);
        if matches!(frame, Frame::Probe(_)) {
            // The number that its next frame will have shows what a stream has missed (SPEC 14.6).
            if (live.writer.is_some() || live.socket.is_some()) && header.seq != live.next_in {
                self.count(|c| &c.gaps);
                self.break_off(header.session, AbortReason::Gap);
            }
            return;
        }
        if let Frame::Abort(abort) = &frame {
            // It has no place in the order (SPEC 6.3).
            self.count(|c| &c.aborted);
            return self.cancel(header.session, abort.reason);
        }
        if header.seq != live.next_in {
            tracing::warn!(session = %header.session, expected = live.next_in, found = header.seq, "a frame is missing or repeated");
            self.count(|c| &c.gaps);
            return self.break_off(header.session, AbortReason::Gap);
        }
        live.next_in = live.next_in.wrapping_add(1);
        let session = header.session;
        match frame {
            Frame::Phase(phase) => self.on_phase(phase, now),
            Frame::Data(data) if live.socket.is_some() => {
                if !self.on_socket_data(session, &data, now) {
                    self.on_data(session, data, now);
                }
            }
            Frame::Data(data) => self.on_data(session, data, now),
            Frame::Credit(credit) if live.socket.as_ref().is_some_and(|socket| socket.takes_credit()) => {
                if let Some(socket) = &live.socket {
                    socket.grant(credit.bytes);
                    self.flush_socket(session);
                }
            }
            Frame::Credit(credit) => match &live.writer {
                Some(writer) => {
                    writer.grant(credit.bytes);
                    self.flush(session, now);
                }
                None => {
                    live.credit.grant(credit.bytes);
                    self.pump(session, now);
                }
            },
            Frame::Error(error) if live.socket.is_some() => {
                if !self.on_socket_error(session, &error, now) {
                    self.on_call_error(session, &error, now);
                }
            }
            Frame::Error(error) => self.on_call_error(session, &error, now),
            Frame::WsOpen(open) => self.on_ws_open(session, &open, now),
            Frame::WsClosed(closed) => self.on_ws_closed(session, closed, now),
            Frame::WsError(error) if live.socket.is_some() => {
                if let Some(socket) = &live.socket {
                    socket.failed(error.text.to_string());
                }
            }
            // What a handler does behind the end of its stream is no concern of the gateway's.
            Frame::Close(_) if live.tail => live.closed = true,
            Frame::Close(_) => self.cancel(session, AbortReason::ClientGone),
            _ => {
                self.count(|c| &c.protocol);
                self.break_off(session, AbortReason::Protocol);
            }
        }
    }

    /// A frame for a session that is not here (any more).
    pub(super) fn on_stranger(&mut self, header: &Header, kind: FrameType, reply: Option<&Subject>) {
        // What merely ends a session, or was on its way when it ended, needs no answer.
        if matches!(kind, FrameType::Phase | FrameType::Probe) {
            self.count(|c| &c.stale);
            self.refuse(header, reply, AbortReason::Stale);
        }
    }

    /// Tells a gateway that the frame fits nothing here, and ends the session if there is one.
    pub(super) fn refuse(&mut self, header: &Header, reply: Option<&Subject>, reason: AbortReason) {
        if self.live.get(&header.session).is_some_and(|live| live.generation == header.generation) {
            return self.break_off(header.session, reason);
        }
        if let Some(reply) = reply.filter(|reply| self.is_reply(reply.as_str())).cloned() {
            let header = Header { seq: 0, ..*header };
            self.emit(reply, |out| AbortFrame { header, reason, text: None, ext: Default::default() }.encode(out));
        }
    }

    /// Whether a subject is one that gateways listen on. Nothing else is ever published to: a frame must not make this
    /// worker speak elsewhere, nor break the protocol of the connection.
    pub(super) fn is_reply(&self, subject: &str) -> bool {
        let token = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'=' | b'.');
        subject.len() <= subject::MAX_LENGTH && subject.starts_with(&self.reply_prefix) && subject.bytes().all(token)
    }
}
