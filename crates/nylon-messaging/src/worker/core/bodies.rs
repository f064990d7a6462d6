//! Bodies in both directions, within credit (rules §8).

use std::{sync::Arc, time::Instant};

use bytes::{Bytes, BytesMut};
use nylon_wire::{
    AbortReason, AcceptFrame, Credit, CreditFrame, DataFrame, DataKind, ErrorFrame, FetchFrame, FetchKind, Frame,
    Limits, SessionId, failure,
};

use super::{Core, Live};
use crate::{
    lock::lock,
    worker::{
        Body, FetchError, OnBody,
        live::{Call, Then},
        run::Run,
    },
};

/// A session's window grows up to this, in bytes.
const WINDOW_LIMIT: u32 = 1 << 20;

impl Core {
    /// User code asks for a body.
    pub(super) fn on_fetch(&mut self, run: &Arc<Run>, body: Body, max: usize, callback: OnBody, _now: Instant) {
        let Some(session) = run.session.as_ref().map(|session| session.id) else {
            return callback(Err(FetchError::NotAvailable));
        };
        let Some(live) =
            self.live.get(&session).filter(|live| live.run.as_ref().is_some_and(|own| Arc::ptr_eq(own, run)))
        else {
            return callback(Err(FetchError::Cancelled(run.cancel_reason().unwrap_or(AbortReason::Stale))));
        };
        if live.silent {
            return callback(Err(FetchError::NotAvailable));
        }
        self.count(|c| &c.fetches);
        self.call(session, body.what(), max, Then::Body(callback));
    }

    /// Asks the gateway for bytes.
    pub(super) fn call(&mut self, session: SessionId, what: FetchKind, max: usize, then: Then) {
        let Some(live) = self.live.get_mut(&session) else { return };
        let id = live.new_id();
        live.calls.push(Call { id, what, max, got: BytesMut::new(), then });
        if let Some((reply, header, first)) = self.asking_header(session) {
            let (call_id, max_bytes, ext) = (id, max as u64, Default::default());
            self.emit(reply, |out| FetchFrame { header, call_id, what, max_bytes, first, ext }.encode(out));
        }
    }

    pub(super) fn on_data(&mut self, session: SessionId, data: DataFrame, now: Instant) {
        let Some(live) = self.live.get_mut(&session) else { return };
        let index = live.calls.iter().position(|call| call.id == data.id);
        let paid = live.granted.take(data.bytes.len());
        let Some((index, call)) = index.and_then(|index| Some((index, live.calls.get_mut(index)?))).filter(|_| paid)
        else {
            tracing::warn!(%session, id = data.id, paid, "data that was not asked for, or beyond its credit");
            self.count(|c| &c.protocol);
            return self.break_off(session, AbortReason::Protocol);
        };
        if let Then::Pieces(reader) = &call.then {
            let (reader, id, more) = (reader.clone(), data.id, data.more);
            let taken = reader.push(data.bytes);
            self.owe(session, id, taken);
            if !more {
                let _ended = self.end_call(session, index, now);
                reader.finish(Ok(()));
            }
            return;
        }
        if call.got.len() + data.bytes.len() > call.max {
            // The gateway knows the limit and had to answer with an error.
            let max = call.max;
            if let Some(call) = self.end_call(session, index, now) {
                self.settle_call(session, call, Err(FetchError::TooLarge(max)), now);
            }
            self.count(|c| &c.protocol);
            return self.break_off(session, AbortReason::Protocol);
        }
        let cost = u32::try_from(Credit::cost(data.bytes.len())).unwrap_or(u32::MAX);
        live.owed = live.owed.saturating_add(cost);
        if data.more {
            call.got.extend_from_slice(&data.bytes);
            return self.grant(session, data.id);
        }
        self.grant(session, data.id);
        let Some(mut call) = self.end_call(session, index, now) else { return };
        let whole = if call.got.is_empty() {
            data.bytes
        } else {
            call.got.extend_from_slice(&data.bytes);
            call.got.split().freeze()
        };
        self.settle_call(session, call, Ok(whole), now);
    }

    /// Gives credit back in quarters of the window, and more while it flows and the connection's share allows.
    pub(super) fn grant(&mut self, session: SessionId, id: u32) {
        let Some(live) = self.live.get_mut(&session) else { return };
        if live.owed < live.window / 4 {
            return;
        }
        let mut bytes = std::mem::take(&mut live.owed);
        let more = live.window.min(WINDOW_LIMIT.saturating_sub(live.window));
        if self.granted + u64::from(more) <= Limits::MAX_CONNECTION_CREDIT {
            live.window += more;
            self.granted += u64::from(more);
            bytes = bytes.saturating_add(more);
        }
        live.granted.grant(bytes);
        if let Some((reply, header, _)) = self.asking_header(session) {
            self.emit(reply, |out| CreditFrame { header, id, bytes, ext: Default::default() }.encode(out));
        }
    }

    fn end_call(&mut self, session: SessionId, index: usize, now: Instant) -> Option<Call> {
        let live = self.live.get_mut(&session)?;
        let call = (index < live.calls.len()).then(|| live.calls.swap_remove(index))?;
        if live.upload == Some(call.id) && !live.tail && !live.lasts() {
            live.deadline = now + live.span;
        }
        Some(call)
    }

    /// The gateway refuses a call, or the phase as a whole.
    pub(super) fn on_call_error(&mut self, session: SessionId, error: &ErrorFrame, now: Instant) {
        let Some(live) = self.live.get(&session) else { return };
        let index = error.call_id.and_then(|id| live.calls.iter().position(|call| call.id == id));
        let Some(call) = index.and_then(|index| self.end_call(session, index, now)) else {
            self.count(|c| &c.protocol);
            return self.break_off(session, AbortReason::Protocol);
        };
        let cause = match error.code.as_str() {
            failure::BODY_TOO_LARGE => FetchError::TooLarge(call.max),
            code => FetchError::Failed { code: code.to_owned(), text: error.text.to_string() },
        };
        self.settle_call(session, call, Err(cause), now);
    }

    fn settle_call(&mut self, session: SessionId, call: Call, result: Result<Bytes, FetchError>, now: Instant) {
        match call.then {
            Then::Body(callback) => {
                if let (Ok(bytes), Some(live)) = (&result, self.live.get(&session)) {
                    if call.what == FetchKind::RequestBody {
                        *lock(&live.session.request_body) = Some(bytes.clone());
                    } else if let Some(run) = &live.run {
                        *lock(&run.response_body) = Some(bytes.clone());
                    }
                }
                callback(result);
            }
            Then::Pieces(reader) => reader.finish(result.map(drop)),
            Then::Config(revision) => self.on_config(session, revision, result, now),
            Then::Open => match result.ok().map(|bytes| Frame::decode(&bytes)) {
                Some(Ok(Frame::Open(open))) => self.on_rest(session, open, now),
                _ => {
                    self.count(|c| &c.protocol);
                    self.break_off(session, AbortReason::Protocol);
                }
            },
        }
    }

    /// Fails the calls of a session that is not here any more, and takes its share of credit back.
    pub(super) fn close_calls(&mut self, live: Box<Live>, reason: AbortReason) {
        self.granted = self.granted.saturating_sub(u64::from(live.window.saturating_sub(self.shared.options.credit)));
        self.kept_bytes = self.kept_bytes.saturating_sub(live.kept);
        for call in live.calls {
            if let Then::Body(callback) = call.then {
                callback(Err(FetchError::Cancelled(reason)));
            }
        }
    }

    /// Sends as much of a large body as credit allows, and the result behind its last byte.
    pub(super) fn pump(&mut self, session: SessionId, now: Instant) {
        let chunk = self.chunk();
        loop {
            let Some(live) = self.live.get_mut(&session) else { return };
            let Some(sending) = live.sending.as_mut() else { return };
            if sending.sent == sending.body.len() {
                break;
            }
            let left = sending.body.len() - sending.sent;
            let piece = live.credit.allowance(left.min(chunk));
            if piece == 0 || !live.credit.take(piece) {
                if !std::mem::replace(&mut sending.stalled, true) {
                    self.count(|c| &c.credit_stalls);
                }
                return;
            }
            sending.stalled = false;
            let bytes = sending.body.slice(sending.sent..sending.sent + piece);
            sending.sent += piece;
            let (id, more) = (sending.id, sending.sent < sending.body.len());
            if !live.first_sent {
                self.accept(session);
            }
            let Some((reply, header, _)) = self.next_header(session) else { return };
            let (kind, ext) = (DataKind::Body, Default::default());
            self.emit(reply, |out| DataFrame { header, id, bytes, more, kind, ext }.encode(out));
        }
        let sending = self.live.get_mut(&session).and_then(|live| live.sending.take());
        if let Some(sending) = sending {
            self.emit_result(session, sending.operations, sending.action, sending.timing, now);
        }
    }

    /// Tells the gateway that user code has the open.
    pub(super) fn accept(&mut self, session: SessionId) {
        if let Some((reply, header, first)) = self.next_header(session) {
            self.count(|c| &c.accepts);
            self.emit(reply, |out| AcceptFrame { header, first, ext: Default::default() }.encode(out));
        }
    }
}
