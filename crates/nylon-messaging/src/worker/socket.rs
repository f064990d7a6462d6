//! A WebSocket as user code holds it: messages out wait for the gateway's credit, messages in give credit back when they
//! are taken (rules §8).

use std::{collections::VecDeque, sync::Arc, sync::Mutex};

use bytes::{Bytes, BytesMut};
use nylon_wire::{AbortReason, Credit, DataKind, WsOperation};

use super::{
    outbox::Event,
    run::{Run, lock},
    shared::Shared,
};

/// So much may have been taken before the I/O thread hears of it, in bytes: less would wake it for every message.
const TELL_AFTER: u64 = 4 << 10;

/// A whole message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// UTF-8.
    Text(Bytes),
    /// Any bytes.
    Binary(Bytes),
}

/// How a WebSocket has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closure {
    /// RFC 6455, 7.4; 1005 without a code, 1006 without a close frame.
    pub code: u16,
    /// What the close frame said.
    pub reason: String,
    /// What went wrong, if it was no orderly close.
    pub error: Option<String>,
}

/// Why a WebSocket does not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SocketError {
    /// The request is no handshake: in the gateway's words. The response is still the handler's.
    #[error("upgrading to a websocket: {0}")]
    NotWebSocket(String),
    /// It is closed, or about to be.
    #[error("the websocket is closed")]
    Closed,
    /// The session ended meanwhile.
    #[error("the session was aborted ({0:?})")]
    Cancelled(AbortReason),
    /// Not possible here.
    #[error("{0}")]
    NotAvailable(String),
}

/// Called once with the gateway's verdict.
pub type OnVerdict = Box<dyn FnOnce(Result<Arc<Socket>, SocketError>) + Send>;

/// Called once: what was sent is on its way, or a room is joined.
pub type OnDone = Box<dyn FnOnce(Result<(), SocketError>) + Send>;

/// What goes to the gateway, in order.
pub(super) enum Outgoing {
    Piece { kind: DataKind, bytes: Bytes, more: bool },
    Operation { call: u32, operation: WsOperation },
}

enum Waiting {
    Message { kind: DataKind, bytes: Bytes, done: Option<OnDone> },
    Operation { call: u32, operation: WsOperation },
}

#[derive(Default)]
struct Out {
    /// None until WS_OPEN.
    credit: Option<Credit>,
    chunk: usize,
    waiting: VecDeque<Waiting>,
    /// Paid for; the I/O thread takes it from here.
    ready: VecDeque<Outgoing>,
    calls: Vec<(u32, OnDone)>,
    last_call: u32,
    closing: bool,
}

impl Out {
    /// Pays for as much as credit covers. Returns whose messages are through.
    fn advance(&mut self) -> Vec<OnDone> {
        let mut through = Vec::new();
        let Some(credit) = &mut self.credit else { return through };
        while let Some(first) = self.waiting.front_mut() {
            let (kind, bytes, done) = match first {
                Waiting::Message { kind, bytes, done } => (*kind, bytes, done),
                Waiting::Operation { .. } => {
                    if let Some(Waiting::Operation { call, operation }) = self.waiting.pop_front() {
                        self.ready.push_back(Outgoing::Operation { call, operation });
                    }
                    continue;
                }
            };
            let length = credit.allowance(bytes.len().min(self.chunk));
            if (length == 0 && !bytes.is_empty()) || !credit.take(length) {
                break;
            }
            let piece = bytes.split_to(length);
            let more = !bytes.is_empty();
            self.ready.push_back(Outgoing::Piece { kind, bytes: piece, more });
            if !more {
                through.extend(done.take());
                self.waiting.pop_front();
            }
        }
        through
    }
}

#[derive(Default)]
struct In {
    messages: VecDeque<(Message, u64)>,
    partial: BytesMut,
    /// What the partial message has cost and was not given back.
    partial_cost: u64,
    waiter: Option<OnDone>,
    /// Cost of what was taken and not told yet.
    taken: u64,
    error: Option<String>,
    end: Option<Result<Closure, SocketError>>,
}

#[derive(Default)]
struct Inner {
    /// Who waits for the gateway's verdict.
    verdict: Option<OnVerdict>,
    opened: bool,
    out: Out,
    incoming: In,
}

/// One WebSocket of a handler.
pub struct Socket {
    shared: Arc<Shared>,
    run: Arc<Run>,
    max_message: usize,
    inner: Mutex<Inner>,
}

impl Socket {
    pub(super) fn new(shared: Arc<Shared>, run: Arc<Run>, max_message: usize, verdict: OnVerdict) -> Arc<Self> {
        let inner = Inner { verdict: Some(verdict), ..Inner::default() };
        Arc::new(Self { shared, run, max_message, inner: Mutex::new(inner) })
    }

    fn tell(&self) {
        self.shared.outbox.push(Event::Socket(self.run.clone()));
    }

    /// Calls back when [`Socket::take`] has something to say: at once, or from the I/O thread, where it must not block. One
    /// at a time; an earlier one that still waits is refused.
    pub fn ready(&self, done: OnDone) {
        let mut inner = lock(&self.inner);
        let incoming = &mut inner.incoming;
        if !incoming.messages.is_empty() || incoming.end.is_some() {
            drop(inner);
            return done(Ok(()));
        }
        let before = incoming.waiter.replace(done);
        drop(inner);
        if let Some(before) = before {
            before(Err(SocketError::NotAvailable("another receive has taken its place".to_owned())));
        }
    }

    /// The next message; none when the socket is closed.
    ///
    /// # Errors
    /// [`SocketError::NotAvailable`] if none is here now, else why none will come.
    pub fn take(&self) -> Result<Option<Message>, SocketError> {
        let mut inner = lock(&self.inner);
        let incoming = &mut inner.incoming;
        let Some((message, cost)) = incoming.messages.pop_front() else {
            return match &incoming.end {
                Some(Ok(_)) => Ok(None),
                Some(Err(error)) => Err(error.clone()),
                None => Err(SocketError::NotAvailable("somebody else has taken the message".to_owned())),
            };
        };
        incoming.taken += cost;
        if incoming.messages.is_empty() {
            incoming.taken += std::mem::take(&mut incoming.partial_cost);
        }
        let tell = incoming.end.is_none() && (incoming.taken >= TELL_AFTER || incoming.messages.is_empty());
        drop(inner);
        if tell {
            self.tell();
        }
        Ok(Some(message))
    }

    /// Sends a message; calls back when all of it is on its way: at once, or from the I/O thread, where it must not block.
    pub fn send(&self, message: Message, done: OnDone) {
        let (kind, bytes) = match message {
            Message::Text(bytes) => (DataKind::Text, bytes),
            Message::Binary(bytes) => (DataKind::Binary, bytes),
        };
        let (through, flush) = {
            let mut inner = lock(&self.inner);
            if let Some(error) = inner.shut() {
                drop(inner);
                return done(Err(error));
            }
            inner.out.waiting.push_back(Waiting::Message { kind, bytes, done: Some(done) });
            (inner.out.advance(), !inner.out.ready.is_empty())
        };
        if flush {
            self.tell();
        }
        through.into_iter().for_each(|done| done(Ok(())));
    }

    /// Joins a room, leaves it, or speaks to it; calls back when the gateway has done so. Leaving calls back at once.
    pub fn operate(&self, operation: WsOperation, done: OnDone) {
        let answered = !matches!(operation, WsOperation::Leave { .. } | WsOperation::Close { .. });
        let (at_once, through) = {
            let mut inner = lock(&self.inner);
            let size = match &operation {
                WsOperation::BroadcastText { message, .. } | WsOperation::BroadcastBinary { message, .. } => {
                    message.len()
                }
                _ => 0,
            };
            let refused = match inner.silent(&operation) {
                // The kind stands before it, one byte (SPEC 14.12).
                None if size > inner.out.chunk.saturating_sub(1) => {
                    let most = inner.out.chunk.saturating_sub(1);
                    Some(SocketError::NotAvailable(format!("{size} bytes are too many for a room, {most} may be")))
                }
                shut => shut,
            };
            if let Some(error) = refused {
                drop(inner);
                return done(Err(error));
            }
            let out = &mut inner.out;
            // Counted apart from the session's other ids: the connection's namespace is the socket's.
            out.last_call += 1;
            let call = CALLS | out.last_call;
            out.waiting.push_back(Waiting::Operation { call, operation });
            let at_once = if answered {
                out.calls.push((call, done));
                None
            } else {
                Some(done)
            };
            (at_once, out.advance())
        };
        self.tell();
        through.into_iter().for_each(|done| done(Ok(())));
        if let Some(done) = at_once {
            done(Ok(()));
        }
    }

    /// Closes it behind what was sent. The first close counts.
    pub fn close(&self, code: u16, reason: &str) {
        let through = {
            let mut inner = lock(&self.inner);
            if inner.shut().is_some() {
                return;
            }
            inner.out.closing = true;
            let operation = WsOperation::Close { code, reason: reason.into() };
            inner.out.waiting.push_back(Waiting::Operation { call: 0, operation });
            inner.out.advance()
        };
        self.tell();
        through.into_iter().for_each(|done| done(Ok(())));
    }

    /// Closes it at once; what still waits for credit is dropped.
    pub(super) fn close_now(&self, code: u16, reason: &str) {
        let dropped = {
            let mut inner = lock(&self.inner);
            if inner.incoming.end.is_some() || inner.out.closing && inner.out.waiting.is_empty() {
                return;
            }
            inner.out.closing = true;
            let dropped = std::mem::take(&mut inner.out.waiting);
            let operation = WsOperation::Close { code, reason: reason.into() };
            inner.out.ready.push_back(Outgoing::Operation { call: 0, operation });
            dropped
        };
        tell_waiting(dropped, &SocketError::Closed);
    }

    /// How it has ended, once it has.
    #[must_use]
    pub fn closure(&self) -> Option<Closure> {
        lock(&self.inner).incoming.end.as_ref().and_then(|end| end.as_ref().ok().cloned())
    }

    /// Whether it is closed, or about to be, because user code has said so.
    #[must_use]
    pub fn is_closed_here(&self) -> bool {
        lock(&self.inner).out.closing
    }

    /// Whether the gateway has upgraded the request.
    pub(super) fn is_open(&self) -> bool {
        lock(&self.inner).opened
    }

    /// Whether the session's credit is the socket's.
    pub(super) fn takes_credit(&self) -> bool {
        let inner = lock(&self.inner);
        inner.opened && inner.incoming.end.is_none()
    }

    /// Whether WS_CLOSED has come.
    pub(super) fn is_closed(&self) -> bool {
        lock(&self.inner).incoming.end.is_some()
    }

    /// The longest message that it takes.
    pub(super) fn max_message(&self) -> usize {
        self.max_message
    }

    /// WS_OPEN: from now on credit counts.
    pub(super) fn open(self: &Arc<Self>, credit: Credit, chunk: usize) {
        let verdict = {
            let mut inner = lock(&self.inner);
            inner.opened = true;
            (inner.out.credit, inner.out.chunk) = (Some(credit), chunk);
            inner.verdict.take()
        };
        if let Some(verdict) = verdict {
            verdict(Ok(self.clone()));
        }
    }

    /// The gateway does not upgrade the request.
    pub(super) fn refuse(&self, error: SocketError) {
        self.end(Err(error.clone()));
        let verdict = lock(&self.inner).verdict.take();
        if let Some(verdict) = verdict {
            verdict(Err(error));
        }
    }

    pub(super) fn grant(&self, bytes: u32) {
        let through = {
            let mut inner = lock(&self.inner);
            if let Some(credit) = &mut inner.out.credit {
                credit.grant(bytes);
            }
            inner.out.advance()
        };
        through.into_iter().for_each(|done| done(Ok(())));
    }

    /// What is to be sent now.
    pub(super) fn outgoing(&self) -> VecDeque<Outgoing> {
        std::mem::take(&mut lock(&self.inner).out.ready)
    }

    /// A call is done, or has failed. False if there is no such call.
    pub(super) fn settle(&self, call: u32, result: Result<(), SocketError>) -> bool {
        let found = {
            let mut inner = lock(&self.inner);
            let calls = &mut inner.out.calls;
            calls.iter().position(|(id, _)| *id == call).map(|index| calls.swap_remove(index).1)
        };
        match found {
            Some(done) => {
                done(result);
                true
            }
            None => false,
        }
    }

    /// A piece of a message is here. Returns what may be granted again with it; `None` if the message is too long.
    pub(super) fn push(&self, kind: DataKind, piece: &Bytes, more: bool) -> Option<u64> {
        let cost = Credit::cost(piece.len());
        let mut inner = lock(&self.inner);
        let incoming = &mut inner.incoming;
        if incoming.partial.len() + piece.len() > self.max_message {
            return None;
        }
        if incoming.end.is_some() {
            return Some(cost);
        }
        if more {
            incoming.partial.extend_from_slice(piece);
            // The only message may be longer than the window; it is in memory as a whole anyway. Behind others it waits.
            if incoming.messages.is_empty() {
                return Some(cost);
            }
            incoming.partial_cost += cost;
            return Some(0);
        }
        let bytes = if incoming.partial.is_empty() {
            piece.clone()
        } else {
            incoming.partial.extend_from_slice(piece);
            incoming.partial.split().freeze()
        };
        let cost = cost + std::mem::take(&mut incoming.partial_cost);
        let message = if kind == DataKind::Text { Message::Text(bytes) } else { Message::Binary(bytes) };
        incoming.messages.push_back((message, cost));
        let waiter = incoming.waiter.take();
        drop(inner);
        if let Some(waiter) = waiter {
            waiter(Ok(()));
        }
        Some(0)
    }

    /// Cost of what was taken since the last call.
    pub(super) fn taken(&self) -> u64 {
        std::mem::take(&mut lock(&self.inner).incoming.taken)
    }

    /// WS_ERROR: WS_CLOSED follows.
    pub(super) fn failed(&self, text: String) {
        lock(&self.inner).incoming.error = Some(text);
    }

    /// WS_CLOSED. Messages that are here can still be received. Returns the credit that is left in both directions.
    pub(super) fn closed(&self, code: u16, reason: String) -> (Credit, u64) {
        let error = lock(&self.inner).incoming.error.take();
        self.end(Ok(Closure { code, reason, error }));
        let mut inner = lock(&self.inner);
        let left: u64 = inner.incoming.messages.iter().map(|(_, cost)| cost).sum();
        let left = left + std::mem::take(&mut inner.incoming.partial_cost) + std::mem::take(&mut inner.incoming.taken);
        (inner.out.credit.unwrap_or(Credit::new(0)), left)
    }

    /// The session is over.
    pub(super) fn abort(&self, reason: AbortReason) {
        lock(&self.inner).incoming.messages.clear();
        self.refuse(SocketError::Cancelled(reason));
    }

    fn end(&self, end: Result<Closure, SocketError>) {
        let (waiter, calls, waiting) = {
            let mut inner = lock(&self.inner);
            inner.incoming.end.get_or_insert_with(|| end.clone());
            let out = &mut inner.out;
            let (mut calls, mut waiting) = (Vec::new(), std::mem::take(&mut out.waiting));
            if end.is_ok() {
                // What rooms are told goes on; only messages come too late.
                let (operations, messages) =
                    waiting.into_iter().partition(|waiting| matches!(waiting, Waiting::Operation { .. }));
                (out.waiting, waiting) = (operations, messages);
                let _none = out.advance();
            } else {
                calls = std::mem::take(&mut out.calls);
                out.ready.clear();
            }
            (inner.incoming.waiter.take(), calls, waiting)
        };
        let error = end.clone().err().unwrap_or(SocketError::Closed);
        tell_waiting(waiting, &error);
        calls.into_iter().for_each(|(_, done)| done(Err(error.clone())));
        if let Some(waiter) = waiter {
            waiter(Ok(()));
        }
    }
}

/// Calls of a socket are numbered from here on.
const CALLS: u32 = 1 << 31;

impl Inner {
    /// Why the operation is not possible. A room can be left and spoken to until the handler returns.
    fn silent(&self, operation: &WsOperation) -> Option<SocketError> {
        match &self.incoming.end {
            Some(Err(error)) => Some(error.clone()),
            Some(Ok(_)) if matches!(operation, WsOperation::Join { .. }) => Some(SocketError::Closed),
            _ if !self.opened => Some(SocketError::Closed),
            _ => None,
        }
    }

    /// Why nothing can be sent.
    fn shut(&self) -> Option<SocketError> {
        match &self.incoming.end {
            Some(Err(error)) => Some(error.clone()),
            Some(Ok(_)) => Some(SocketError::Closed),
            None if self.out.closing || !self.opened => Some(SocketError::Closed),
            None => None,
        }
    }
}

fn tell_waiting(waiting: VecDeque<Waiting>, error: &SocketError) {
    for waiting in waiting {
        if let Waiting::Message { done: Some(done), .. } = waiting {
            done(Err(error.clone()));
        }
    }
}
