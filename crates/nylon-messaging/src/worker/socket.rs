//! A WebSocket as user code holds it: messages out wait for the gateway's credit, messages in give credit back when they
//! are taken (rules §8).

mod gateway_side;
mod queues;
mod terms;

use std::{collections::VecDeque, sync::Arc, sync::Mutex};

use bytes::Bytes;
use nylon_wire::{AbortReason, Credit, DataKind, WsOperation};

use super::{outbox::Event, run::Run, shared::Shared};
use crate::lock::lock;

pub(super) use self::queues::Outgoing;
use self::queues::{Call, Inner, Waiting, tell_waiting};
pub use self::terms::{Closure, Message, OnDone, OnVerdict, SocketError};

/// So much may have been taken before the I/O thread hears of it, in bytes: less would wake it for every message.
const TELL_AFTER: u64 = 4 << 10;

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
            let joins = matches!(operation, WsOperation::Join { .. });
            out.waiting.push_back(Waiting::Operation { call, operation });
            let at_once = if answered {
                out.calls.push(Call { id: call, joins, done });
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
        let (dropped, calls) = {
            let mut inner = lock(&self.inner);
            if inner.incoming.end.is_some() || inner.out.closing && inner.out.waiting.is_empty() {
                return;
            }
            let out = &mut inner.out;
            out.closing = true;
            let dropped = std::mem::take(&mut out.waiting);
            // What the gateway is never asked for it does not answer.
            let calls = out.calls.extract_if(.., |call| dropped.iter().any(|waiting| waiting.asks(call.id)));
            let calls: Vec<_> = calls.collect();
            let operation = WsOperation::Close { code, reason: reason.into() };
            out.ready.push_back(Outgoing::Operation { call: 0, operation });
            (dropped, calls)
        };
        tell_waiting(dropped, &SocketError::Closed);
        calls.into_iter().for_each(|call| (call.done)(Err(SocketError::Closed)));
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

    /// The handler has returned: what it has asked for is still answered, and nothing more can be.
    pub(super) fn returned(&self) {
        lock(&self.inner).returned = true;
    }

    /// Whether WS_CLOSED has come.
    pub(super) fn is_closed(&self) -> bool {
        lock(&self.inner).incoming.end.is_some()
    }

    /// Whether nothing more will come for it: it is closed, and what the gateway was asked for is answered.
    pub(super) fn is_done(&self) -> bool {
        let inner = lock(&self.inner);
        inner.incoming.end.is_some() && inner.out.calls.is_empty()
    }

    /// The longest message that it takes.
    pub(super) fn max_message(&self) -> usize {
        self.max_message
    }
}

/// Calls of a socket are numbered from here on.
const CALLS: u32 = 1 << 31;
