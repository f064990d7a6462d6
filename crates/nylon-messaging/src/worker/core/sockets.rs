//! WebSockets of handlers: the gateway's frames about them, and what user code wants of them.

use std::{sync::Arc, time::Instant};

use nylon_wire::{
    AbortReason, Action, Credit, DataFrame, DataKind, ErrorFrame, Operation, SessionId, Text, Timing, UpgradeFrame,
    WsClosedFrame, WsOpFrame, WsOpenFrame, failure,
};

use super::{Core, flows::NEVER};
use crate::worker::{Socket, SocketError, run::Run, socket::Outgoing};

/// RFC 6455, 7.4.1.
const NORMAL: u16 = 1000;
const GOING_AWAY: u16 = 1001;
const INTERNAL: u16 = 1011;

impl Core {
    /// User code wants a WebSocket.
    pub(super) fn on_upgrade(
        &mut self,
        run: &Arc<Run>,
        socket: Arc<Socket>,
        ops: Vec<Operation>,
        subprotocol: Option<Text>,
    ) {
        let chunk = self.chunk();
        let size: usize = ops.iter().map(Operation::size).sum();
        let live = match self.speaking(run) {
            Ok(live) => live,
            Err(reason) => return socket.refuse(SocketError::Cancelled(reason)),
        };
        if live.socket.is_some() || live.writer.is_some() || live.tail {
            return socket.refuse(SocketError::NotAvailable("the response has begun before".to_owned()));
        }
        if size > chunk {
            return socket.refuse(SocketError::NotAvailable(format!("the head has {size} bytes, which is too much")));
        }
        let max_message_bytes = socket.max_message() as u64;
        live.socket = Some(socket);
        let session = live.session.id;
        if let Some((reply, header, first)) = self.next_header(session) {
            let ext = Default::default();
            let frame = UpgradeFrame { header, ops, max_message_bytes, subprotocol, first, ext };
            self.emit(reply, |out| frame.encode(out));
        }
    }

    pub(super) fn on_ws_open(&mut self, session: SessionId, frame: &WsOpenFrame, now: Instant) {
        let chunk = self.chunk();
        let Some(live) = self.live.get_mut(&session) else { return };
        let Some(socket) = live.socket.clone().filter(|socket| !socket.is_open()) else {
            self.count(|c| &c.protocol);
            return self.break_off(session, AbortReason::Protocol);
        };
        live.connection = frame.connection_id;
        live.deadline = now + NEVER;
        // The session's credit is the socket's until its end.
        let credit = std::mem::replace(&mut live.credit, Credit::new(0));
        socket.open(credit, chunk);
    }

    pub(super) fn on_ws_closed(&mut self, session: SessionId, frame: WsClosedFrame, now: Instant) {
        let Some(live) = self.live.get_mut(&session) else { return };
        let Some(socket) = live.socket.clone().filter(|socket| socket.is_open()) else {
            self.count(|c| &c.protocol);
            return self.break_off(session, AbortReason::Protocol);
        };
        let (credit, left) = socket.closed(frame.code, frame.reason.to_string());
        live.credit = credit;
        live.owed = live.owed.saturating_add(u32::try_from(left).unwrap_or(u32::MAX));
        // The handler may have something left to do, as long as a phase may take.
        live.deadline = now + live.span;
        if let Some(run) = &live.run {
            run.taken_again(now);
        }
        self.flush_socket(session);
        self.finish_socket(session, now);
    }

    /// Ends the phase when the socket is closed, its handler has returned, and what that has asked of it is answered.
    fn finish_socket(&mut self, session: SessionId, now: Instant) {
        let Some(live) = self.live.get_mut(&session).filter(|live| live.returned) else { return };
        if live.socket.take_if(|socket| socket.is_done()).is_none() {
            return;
        }
        live.returned = false;
        self.emit_result(session, Vec::new(), Action::End, Timing::default(), now);
    }

    /// A message of the client, or the answer to a call. False if it is neither.
    pub(super) fn on_socket_data(&mut self, session: SessionId, data: &DataFrame, now: Instant) -> bool {
        let Some(live) = self.live.get_mut(&session) else { return false };
        let Some(socket) = live.socket.clone() else { return false };
        if data.kind == DataKind::Body {
            // It costs no credit (SPEC 14.5).
            return data.bytes.is_empty() && self.settle_socket(session, &socket, data.id, Ok(()), now);
        }
        let ours = data.id == live.connection && matches!(data.kind, DataKind::Text | DataKind::Binary);
        if !ours || !live.granted.take(data.bytes.len()) {
            return false;
        }
        let text = data.kind == DataKind::Text;
        match socket.push(data.kind, &data.bytes, data.more) {
            Some(taken) => {
                self.owe(session, data.id, taken);
                true
            }
            None => {
                let id = live.session.snapshot.request_id();
                tracing::warn!(%session, id, text, "a message is longer than the gateway may let through");
                false
            }
        }
    }

    /// The gateway refuses an upgrade or a call of a socket. False if there is no such thing.
    pub(super) fn on_socket_error(&mut self, session: SessionId, error: &ErrorFrame, now: Instant) -> bool {
        let Some(live) = self.live.get_mut(&session) else { return false };
        let Some(socket) = live.socket.clone() else { return false };
        match error.call_id {
            None if !socket.is_open() && error.code.as_str() == failure::NOT_WEBSOCKET => {
                live.socket = None;
                socket.refuse(SocketError::NotWebSocket(error.text.to_string()));
                true
            }
            None => false,
            Some(call) => {
                let refused = Err(SocketError::NotAvailable(error.text.to_string()));
                self.settle_socket(session, &socket, call, refused, now)
            }
        }
    }

    /// A call of a socket is answered, which may be what the phase has waited for. False if there is no such call.
    fn settle_socket(
        &mut self,
        session: SessionId,
        socket: &Socket,
        call: u32,
        result: Result<(), SocketError>,
        now: Instant,
    ) -> bool {
        let known = socket.settle(call, result);
        if known {
            self.finish_socket(session, now);
        }
        known
    }

    /// User code has sent or taken something.
    pub(super) fn on_socket(&mut self, run: &Arc<Run>) {
        if let Ok(live) = self.speaking(run) {
            let session = live.session.id;
            self.flush_socket(session);
        }
    }

    /// Sends what credit covers, and gives back credit for what was taken.
    pub(super) fn flush_socket(&mut self, session: SessionId) {
        let Some(live) = self.live.get(&session) else { return };
        let (Some(socket), id) = (live.socket.clone(), live.connection) else { return };
        for outgoing in socket.outgoing() {
            let Some((reply, header, _)) = self.next_header(session) else { return };
            let ext = Default::default();
            match outgoing {
                Outgoing::Piece { kind, bytes, more } => {
                    self.emit(reply, |out| DataFrame { header, id, bytes, more, kind, ext }.encode(out));
                }
                Outgoing::Operation { call, operation } => {
                    self.emit(reply, |out| WsOpFrame { header, call_id: call, operation, ext }.encode(out));
                }
            }
        }
        let taken = socket.taken();
        if taken > 0 {
            self.owe(session, id, taken);
        }
    }

    /// The handler of a WebSocket has returned. False if this session has none.
    pub(super) fn socket_returned(&mut self, session: SessionId, failed: bool, now: Instant) -> bool {
        let Some(live) = self.live.get_mut(&session) else { return false };
        let Some(socket) = live.socket.clone() else { return false };
        live.returned = true;
        socket.returned();
        if socket.is_closed() {
            self.finish_socket(session, now);
        } else if !socket.is_open() {
            // It did not wait for the verdict: nobody would hold the socket.
            self.break_off(session, AbortReason::Protocol);
        } else if failed {
            socket.close_now(INTERNAL, "the handler failed");
            self.flush_socket(session);
        } else {
            socket.close(NORMAL, "");
            self.flush_socket(session);
        }
        true
    }

    /// Closes the sockets of a worker that drains, spread over half the time that it has.
    pub(super) fn retire_sockets(&mut self, now: Instant) {
        let Some(began) = self.leaving else { return };
        let span = self.shared.options.drain_timeout / 2;
        let due: Vec<_> = self
            .live
            .values()
            .filter_map(|live| {
                let socket = live.socket.as_ref().filter(|socket| socket.is_open())?;
                let share = u32::from(live.session.id.0[0]);
                (now >= began + span * share / 256).then(|| (live.session.id, socket.clone()))
            })
            .collect();
        for (session, socket) in due {
            socket.close_now(GOING_AWAY, "the worker shuts down");
            self.flush_socket(session);
        }
    }
}
