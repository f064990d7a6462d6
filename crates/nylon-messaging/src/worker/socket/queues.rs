//! What waits on a WebSocket, each way.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use nylon_wire::{Credit, DataKind, WsOperation};

use super::{Closure, Message, OnDone, OnVerdict, SocketError};

/// What goes to the gateway, in order.
pub(in crate::worker) enum Outgoing {
    Piece { kind: DataKind, bytes: Bytes, more: bool },
    Operation { call: u32, operation: WsOperation },
}

pub(super) enum Waiting {
    Message { kind: DataKind, bytes: Bytes, done: Option<OnDone> },
    Operation { call: u32, operation: WsOperation },
}

impl Waiting {
    /// Whether it is the operation of this call.
    pub(super) fn asks(&self, id: u32) -> bool {
        matches!(self, Self::Operation { call, .. } if *call == id)
    }
}

/// Something that the gateway is asked for.
pub(super) struct Call {
    pub(super) id: u32,
    /// A socket that is closed cannot join; it can still speak to rooms.
    pub(super) joins: bool,
    pub(super) done: OnDone,
}

#[derive(Default)]
pub(super) struct Out {
    /// None until WS_OPEN.
    pub(super) credit: Option<Credit>,
    pub(super) chunk: usize,
    pub(super) waiting: VecDeque<Waiting>,
    /// Paid for; the I/O thread takes it from here.
    pub(super) ready: VecDeque<Outgoing>,
    pub(super) calls: Vec<Call>,
    pub(super) last_call: u32,
    pub(super) closing: bool,
}

impl Out {
    /// Pays for as much as credit covers. Returns whose messages are through.
    pub(super) fn advance(&mut self) -> Vec<OnDone> {
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
pub(super) struct In {
    pub(super) messages: VecDeque<(Message, u64)>,
    pub(super) partial: BytesMut,
    /// What the partial message has cost and was not given back.
    pub(super) partial_cost: u64,
    pub(super) waiter: Option<OnDone>,
    /// Cost of what was taken and not told yet.
    pub(super) taken: u64,
    pub(super) error: Option<String>,
    pub(super) end: Option<Result<Closure, SocketError>>,
}

#[derive(Default)]
pub(super) struct Inner {
    /// Who waits for the gateway's verdict.
    pub(super) verdict: Option<OnVerdict>,
    pub(super) opened: bool,
    /// The handler has: nobody is waited for any more that it has left behind.
    pub(super) returned: bool,
    pub(super) out: Out,
    pub(super) incoming: In,
}

impl Inner {
    /// Why the operation is not possible. A room can be left and spoken to until the handler returns.
    pub(super) fn silent(&self, operation: &WsOperation) -> Option<SocketError> {
        match &self.incoming.end {
            Some(Err(error)) => Some(error.clone()),
            Some(Ok(_)) if matches!(operation, WsOperation::Join { .. }) => Some(SocketError::Closed),
            _ if !self.opened || self.returned => Some(SocketError::Closed),
            _ => None,
        }
    }

    /// Why nothing can be sent.
    pub(super) fn shut(&self) -> Option<SocketError> {
        match &self.incoming.end {
            Some(Err(error)) => Some(error.clone()),
            Some(Ok(_)) => Some(SocketError::Closed),
            None if self.out.closing || !self.opened => Some(SocketError::Closed),
            None => None,
        }
    }
}

pub(super) fn tell_waiting(waiting: VecDeque<Waiting>, error: &SocketError) {
    for waiting in waiting {
        if let Waiting::Message { done: Some(done), .. } = waiting {
            done(Err(error.clone()));
        }
    }
}
