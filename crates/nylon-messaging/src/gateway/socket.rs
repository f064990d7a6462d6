//! A WebSocket of a worker: messages both ways, each direction within its credit; rooms.

use std::{
    rc::Rc,
    task::{Context, Poll},
};

use bytes::Bytes;
use nylon_plugin::{MessageKind, PluginError, PluginErrorKind, PluginSocket, SocketEnd, SocketOrder};
use nylon_wire::{
    AbortFrame, AbortReason, DataFrame, DataKind, Ext, Frame, Limits, WsClosedFrame, WsErrorFrame, WsOpenFrame,
    WsOperation, failure,
};

use super::{
    entry::Entry,
    long_phase::LongPhase,
    rooms::member::Member,
    slots::{Event, Signal},
    stream::Home,
    talk::Talk,
};
use crate::Clock;

/// The one connection of a session; nothing else of the session has this id, which workers count up from 1.
const CONNECTION: u32 = u32::MAX;

/// RFC 6455, 7.4.1.
const GOING_AWAY: u16 = 1001;
const INTERNAL: u16 = 1011;
const TRY_AGAIN: u16 = 1013;

/// A WebSocket of a worker.
pub(super) struct NatsSocket {
    phase: LongPhase,
    /// `None` once it has ended.
    talk: Option<Box<Talk>>,
    home: Rc<Home>,
    /// A message of the client that is not all sent.
    inbound: Option<(DataKind, Bytes)>,
    /// The worker is in the middle of a message: nothing of a room may come between.
    midway: bool,
    member: Option<Member>,
    /// Its worker has spoken to a room, which may be its own.
    spoken: bool,
    /// The close that waits until that has come.
    parting: Option<SocketOrder>,
    /// How long the handler may take behind the close, and until when, once it is closed. Milliseconds.
    span: u64,
    closed: Option<u64>,
}

impl NatsSocket {
    pub(super) fn new(entry: Rc<Entry>, mut talk: Box<Talk>, home: Rc<Home>, span: u64) -> Self {
        let phase = LongPhase::new(entry, &mut talk, "websocket");
        let talk = Some(talk);
        let (inbound, member, parting, closed) = (None, None, None, None);
        let (midway, spoken) = (false, false);
        Self { phase, talk, home, inbound, midway, member, spoken, parting, span, closed }
    }

    fn send(&mut self, frame: impl FnOnce(nylon_wire::Header) -> Frame) {
        let Some(talk) = &self.talk else { return };
        if let Err(error) = talk.lease.send(frame) {
            // The gap that this leaves ends the socket at the worker.
            tracing::debug!(%error, "a frame of a websocket was not sent");
        }
    }

    /// Sends what credit allows of the client's message.
    fn pump(&mut self) {
        while let (Some((kind, rest)), Some(talk)) = (&mut self.inbound, &mut self.talk) {
            let link = &talk.lease.link;
            let length = talk.credit.allowance(rest.len().min(Limits::chunk(link.max_payload())));
            // Without a connection it waits: sockets go on after a reconnect (rules §2).
            if (length == 0 && !rest.is_empty()) || !link.is_connected() || !talk.credit.take(length) {
                return;
            }
            let (kind, bytes) = (*kind, rest.split_to(length));
            let more = !rest.is_empty();
            if !more {
                self.inbound = None;
            }
            self.send(|header| Frame::Data(DataFrame { header, id: CONNECTION, bytes, more, kind, ext: Ext::empty() }));
        }
    }

    /// A frame of the worker.
    fn frame(&mut self, frame: Frame) -> Option<SocketOrder> {
        let talk = self.talk.as_mut()?;
        if !matches!(frame, Frame::Probe(_)) {
            self.phase.heard();
        }
        match frame {
            Frame::Data(data) => return self.data(data),
            Frame::Result(_) if self.closed.is_some() => {
                talk.lease.set_waiting(false);
                talk.lease.set_restless(true);
                self.home.set(self.talk.take());
            }
            Frame::Credit(credit) => {
                talk.credit.grant(credit.bytes);
                self.pump();
            }
            Frame::WsOp(op) => return self.operation(op.call_id, op.operation),
            Frame::Fetch(fetch) => {
                let refused = talk.refuse(fetch.call_id, failure::NOT_FOUND, "there is no such thing in a websocket");
                return refused.err().map(|error| self.broken(INTERNAL, error));
            }
            Frame::Probe(probe) => {
                let lost = LongPhase::probed(talk, probe.header.seq);
                return lost.err().map(|error| self.broken(INTERNAL, error));
            }
            Frame::Accept(_) => {}
            Frame::Abort(abort) => return Some(self.aborted(&abort)),
            Frame::Error(error) => {
                let message = format!("the worker: {}: {}", error.code, error.text);
                return Some(self.broken(INTERNAL, PluginError::new(PluginErrorKind::Handler, message)));
            }
            other => {
                let error = talk.protocol(format!("a worker may not send {:?} in a websocket", other.kind()));
                return Some(self.broken(INTERNAL, error));
            }
        }
        None
    }

    fn data(&mut self, data: DataFrame) -> Option<SocketOrder> {
        let talk = self.talk.as_mut()?;
        let kind = match data.kind {
            DataKind::Text if data.id == CONNECTION => MessageKind::Text,
            DataKind::Binary if data.id == CONNECTION => MessageKind::Binary,
            kind => {
                let error = talk.protocol(format!("DATA of kind {kind:?} with id {} in a websocket", data.id));
                return Some(self.broken(INTERNAL, error));
            }
        };
        if let Err(error) = talk.receive(&data) {
            return Some(self.broken(INTERNAL, error));
        }
        self.midway = data.more;
        Some(SocketOrder::Send { kind, bytes: data.bytes, more: data.more })
    }

    fn operation(&mut self, call: u32, operation: WsOperation) -> Option<SocketOrder> {
        let link = self.talk.as_ref()?.lease.link.clone();
        let plugin = self.phase.entry.shared.options.name.clone();
        let (room, kind, message) = match operation {
            WsOperation::Close { code, reason } => {
                return self.part(SocketOrder::Close { code, reason: reason.as_str().into() });
            }
            WsOperation::Join { .. } if self.closed.is_some() => {
                self.refuse(call, "the websocket is closed");
                return None;
            }
            WsOperation::Join { room } => {
                let member = self.member.get_or_insert_with(|| Member::new(&link));
                if let Err(error) = member.join(&plugin, &room, call) {
                    self.refuse(call, &error.to_string());
                }
                return None;
            }
            WsOperation::Leave { room } => {
                let undone = self.member.as_mut().map(|member| member.leave(&plugin, &room));
                for call in undone.into_iter().flatten() {
                    self.refuse(call, "the room was left before the join was done");
                }
                return None;
            }
            WsOperation::BroadcastText { room, message } => (room, MessageKind::Text, message),
            WsOperation::BroadcastBinary { room, message } => (room, MessageKind::Binary, message),
        };
        self.spoken = true;
        match link.broadcast(&plugin, &room, kind, &message) {
            Ok(()) => self.answer(call),
            Err(error) => self.refuse(call, &error.to_string()),
        }
        None
    }

    /// Closes, behind what the worker has said before in the client's own rooms (SPEC 14.12).
    fn part(&mut self, close: SocketOrder) -> Option<SocketOrder> {
        match &self.member {
            Some(member) if self.spoken && !self.midway => {
                if self.parting.is_none() {
                    self.parting = Some(close);
                    member.settle();
                }
                None
            }
            _ => Some(close),
        }
    }

    /// Says that a call has been done.
    fn answer(&mut self, id: u32) {
        let (bytes, more, kind) = (Bytes::new(), false, DataKind::Body);
        self.send(|header| Frame::Data(DataFrame { header, id, bytes, more, kind, ext: Ext::empty() }));
    }

    fn refuse(&mut self, call: u32, text: &str) {
        if let Some(talk) = &self.talk
            && let Err(error) = talk.refuse(call, failure::NOT_FOUND, text)
        {
            tracing::debug!(%error, "a refusal was not sent");
        }
    }

    fn aborted(&mut self, abort: &AbortFrame) -> SocketOrder {
        let text = abort.text.as_deref().unwrap_or("no reason given");
        let (kind, code) = match abort.reason {
            AbortReason::Protocol => (PluginErrorKind::Protocol, INTERNAL),
            AbortReason::WorkerShutdown => (PluginErrorKind::Lost, GOING_AWAY),
            _ => (PluginErrorKind::Lost, INTERNAL),
        };
        let message = format!("the worker aborts the websocket ({:?}): {text}", abort.reason);
        self.broken(code, PluginError::new(kind, message))
    }

    fn signal(&mut self, signal: Signal) -> Option<SocketOrder> {
        let talk = self.talk.as_ref()?;
        let result = if signal == Signal::Due { self.look() } else { self.phase.signal(talk, signal) };
        let code = if signal == Signal::Shutdown { GOING_AWAY } else { INTERNAL };
        result.err().map(|error| self.broken(code, error))
    }

    /// Looks whether the worker is there, and the handler done.
    fn look(&mut self) -> Result<(), PluginError> {
        let Some(talk) = &self.talk else { return Ok(()) };
        if self.closed.is_some_and(|until| Clock::now_ms() >= until) {
            let what = "the handler does not return although its websocket is closed";
            return Err(talk.fail(PluginErrorKind::Timeout, AbortReason::Timeout, what));
        }
        self.phase.look(talk)?;
        // A pause of the connection may have kept it waiting.
        self.pump();
        Ok(())
    }

    fn broken(&mut self, code: u16, error: PluginError) -> SocketOrder {
        self.talk = None;
        self.member = None;
        self.inbound = None;
        self.phase.entry.times.failed.add();
        SocketOrder::Fail { code, error }
    }

    /// What the rooms have for this socket.
    fn next_of_rooms(&mut self, cx: &mut Context<'_>) -> Option<SocketOrder> {
        loop {
            let member = self.member.as_mut()?;
            if let Some(call) = member.joined() {
                self.answer(call);
                continue;
            }
            if member.overflown() {
                let reason = "the client takes the room's messages too slowly";
                return Some(SocketOrder::Close { code: TRY_AGAIN, reason: reason.into() });
            }
            if self.midway {
                return None;
            }
            return match member.poll(cx) {
                Poll::Ready((kind, bytes)) => Some(SocketOrder::Send { kind, bytes, more: false }),
                Poll::Pending if member.is_settled() => self.parting.take(),
                Poll::Pending => None,
            };
        }
    }
}

impl PluginSocket for NatsSocket {
    fn open(&mut self) {
        self.send(|header| Frame::WsOpen(WsOpenFrame { header, connection_id: CONNECTION, ext: Ext::empty() }));
    }

    fn poll_order(&mut self, cx: &mut Context<'_>) -> Poll<SocketOrder> {
        loop {
            let Some(talk) = &mut self.talk else { return Poll::Pending };
            let order = match talk.lease.poll(LongPhase::next_look(), cx) {
                Poll::Pending => {
                    let room = self.next_of_rooms(cx);
                    return room.map_or(Poll::Pending, Poll::Ready);
                }
                Poll::Ready(Event::Frame(payload)) => match talk.decode(&payload) {
                    Ok(Some(frame)) => self.frame(frame),
                    Ok(None) => None,
                    Err(error) => Some(self.broken(INTERNAL, error)),
                },
                Poll::Ready(Event::Signal(signal)) => self.signal(signal),
            };
            if let Some(order) = order {
                return Poll::Ready(order);
            }
        }
    }

    fn moved_on(&mut self) {
        if let Some(member) = &mut self.member {
            member.moved_on();
        }
        let Some(talk) = &mut self.talk else { return };
        if let Err(error) = talk.moved_on(CONNECTION) {
            tracing::debug!(%error, "credit was not sent");
        }
    }

    fn is_ready(&self) -> bool {
        self.inbound.is_none()
    }

    fn offer(&mut self, kind: MessageKind, bytes: Bytes) {
        let kind = match kind {
            MessageKind::Text => DataKind::Text,
            MessageKind::Binary => DataKind::Binary,
        };
        self.inbound = Some((kind, bytes));
        self.pump();
    }

    fn close(&mut self, end: SocketEnd) {
        let undone = self.member.take().map(Member::end);
        self.inbound = None;
        if let Some(text) = &end.error {
            self.send(|header| Frame::WsError(WsErrorFrame { header, text: text.as_str().into(), ext: Ext::empty() }));
        }
        self.send(|header| {
            let reason = end.reason.as_str().into();
            Frame::WsClosed(WsClosedFrame { header, code: end.code, reason, ext: Ext::empty() })
        });
        // Behind the close, which is why. A handler that waits for its join must hear of it.
        for call in undone.into_iter().flatten() {
            self.refuse(call, "the websocket is closed");
        }
        self.closed = Some(Clock::now_ms() + self.span);
    }

    fn poll_done(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.talk.is_some() {
            match self.poll_order(cx) {
                // Its messages came too late, but what they cost may be spent again.
                Poll::Ready(_) => self.moved_on(),
                Poll::Pending if self.talk.is_some() => return Poll::Pending,
                Poll::Pending => {}
            }
        }
        Poll::Ready(())
    }
}

impl Drop for NatsSocket {
    fn drop(&mut self) {
        if let Some(talk) = &self.talk {
            talk.lease.abort(AbortReason::ClientGone, None);
        }
    }
}
