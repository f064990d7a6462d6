//! What the I/O thread does with a WebSocket: the gateway's frames go in, frames for it come out.

use super::*;

impl Socket {
    /// WS_OPEN: from now on credit counts.
    pub(in crate::worker) fn open(self: &Arc<Self>, credit: Credit, chunk: usize) {
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
    pub(in crate::worker) fn refuse(&self, error: SocketError) {
        self.end(Err(error.clone()));
        let verdict = lock(&self.inner).verdict.take();
        if let Some(verdict) = verdict {
            verdict(Err(error));
        }
    }

    pub(in crate::worker) fn grant(&self, bytes: u32) {
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
    pub(in crate::worker) fn outgoing(&self) -> VecDeque<Outgoing> {
        std::mem::take(&mut lock(&self.inner).out.ready)
    }

    /// A call is done, or has failed. False if there is no such call.
    pub(in crate::worker) fn settle(&self, id: u32, result: Result<(), SocketError>) -> bool {
        let (call, closed) = {
            let mut inner = lock(&self.inner);
            let calls = &mut inner.out.calls;
            let Some(index) = calls.iter().position(|call| call.id == id) else { return false };
            (calls.swap_remove(index), inner.incoming.end.is_some())
        };
        // The client left while the join was on its way: not the gateway's refusal, but that is what has happened.
        (call.done)(if closed && call.joins { result.map_err(|_| SocketError::Closed) } else { result });
        true
    }

    /// A piece of a message is here. Returns what may be granted again with it; `None` if the message is too long.
    pub(in crate::worker) fn push(&self, kind: DataKind, piece: &Bytes, more: bool) -> Option<u64> {
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
    pub(in crate::worker) fn taken(&self) -> u64 {
        std::mem::take(&mut lock(&self.inner).incoming.taken)
    }

    /// WS_ERROR: WS_CLOSED follows.
    pub(in crate::worker) fn failed(&self, text: String) {
        lock(&self.inner).incoming.error = Some(text);
    }

    /// WS_CLOSED. Messages that are here can still be received. Returns the credit that is left in both directions.
    pub(in crate::worker) fn closed(&self, code: u16, reason: String) -> (Credit, u64) {
        let error = lock(&self.inner).incoming.error.take();
        self.end(Ok(Closure { code, reason, error }));
        let mut inner = lock(&self.inner);
        let left: u64 = inner.incoming.messages.iter().map(|(_, cost)| cost).sum();
        let left = left + std::mem::take(&mut inner.incoming.partial_cost) + std::mem::take(&mut inner.incoming.taken);
        (inner.out.credit.unwrap_or(Credit::new(0)), left)
    }

    /// The session is over.
    pub(in crate::worker) fn abort(&self, reason: AbortReason) {
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
        calls.into_iter().for_each(|call| (call.done)(Err(error.clone())));
        if let Some(waiter) = waiter {
            waiter(Ok(()));
        }
    }
}
