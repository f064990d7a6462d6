//! Bodies that are streamed: from user code to the gateway, and the other way round.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use nylon_wire::{
    AbortReason, Credit, DataFrame, DataKind, FetchKind, Limits, Operation, Phase, SessionId, StreamEndFrame,
    StreamFrame,
};

use super::{Core, Live};
use crate::worker::{Body, BodyReader, FetchError, StreamWriter, WriteError, live::Then, run::Run};

/// A stream has no deadline, nor has an upload; this one never comes.
pub(super) const NEVER: Duration = Duration::from_secs(10 * 365 * 86_400);

impl Core {
    /// The session in which the handler of this run may still say something.
    pub(super) fn speaking(&mut self, run: &Arc<Run>) -> Result<&mut Live, AbortReason> {
        let session = run.session.as_ref().map(|session| session.id);
        let live = session.and_then(|session| self.live.get_mut(&session));
        let live = live.filter(|live| !live.silent && live.run.as_ref().is_some_and(|own| Arc::ptr_eq(own, run)));
        live.map(Box::as_mut).ok_or(run.cancel_reason().unwrap_or(AbortReason::Stale))
    }

    /// User code begins to stream.
    pub(super) fn on_stream(&mut self, run: &Arc<Run>, writer: Arc<StreamWriter>, ops: Vec<Operation>, now: Instant) {
        let chunk = self.chunk();
        let size: usize = ops.iter().map(Operation::size).sum();
        let live = match self.speaking(run) {
            Ok(live) => live,
            Err(reason) => return writer.close(&WriteError::Cancelled(reason)),
        };
        if live.writer.is_some() || live.tail {
            return writer.close(&WriteError::NotAvailable("it has begun before"));
        }
        if size > chunk {
            return writer.close(&WriteError::HeadTooLarge(size));
        }
        let stream_id = live.new_id();
        live.deadline = now + NEVER;
        // The session's credit is the stream's until its end.
        let credit = std::mem::replace(&mut live.credit, Credit::new(0));
        live.writer = Some(writer.clone());
        let session = live.session.id;
        if let Some((reply, header, first)) = self.next_header(session) {
            let ext = Default::default();
            self.emit(reply, |out| StreamFrame { header, ops, stream_id, first, ext }.encode(out));
        }
        writer.open(stream_id, credit, chunk);
        self.flush(session, now);
    }

    /// User code has written something, or has ended the stream.
    pub(super) fn on_write(&mut self, run: &Arc<Run>, now: Instant) {
        if let Ok(live) = self.speaking(run) {
            let session = live.session.id;
            self.flush(session, now);
        }
    }

    /// Sends what credit covers.
    pub(super) fn flush(&mut self, session: SessionId, now: Instant) {
        let Some(writer) = self.live.get(&session).and_then(|live| live.writer.clone()) else { return };
        let (id, pieces, end) = writer.take();
        for bytes in pieces {
            let Some((reply, header, _)) = self.next_header(session) else { return };
            let (more, kind, ext) = (true, DataKind::Stream, Default::default());
            self.emit(reply, |out| DataFrame { header, id, bytes, more, kind, ext }.encode(out));
        }
        let Some((outcome, credit)) = end else { return };
        let Some((reply, header, _)) = self.next_header(session) else { return };
        self.emit(reply, |out| StreamEndFrame { header, outcome, ext: Default::default() }.encode(out));
        self.count(|c| &c.results);
        let Some(live) = self.live.get_mut(&session) else { return };
        live.writer = None;
        live.credit = credit;
        // The handler may have something left to do: the next phase waits for it, as long as a phase may take.
        live.tail = true;
        live.deadline = now + live.span;
        let Some(run) = live.run.clone() else { return };
        run.taken_again(now);
        if live.returned {
            self.after_stream(session, &run, now);
        }
    }

    /// The handler of a stream has returned. False if this session does not stream.
    pub(super) fn stream_returned(&mut self, session: SessionId, run: &Arc<Run>, now: Instant) -> bool {
        let Some(live) = self.live.get_mut(&session).filter(|live| live.writer.is_some() || live.tail) else {
            return false;
        };
        live.returned = true;
        if live.tail {
            self.after_stream(session, run, now);
        } else if let Some(writer) = live.writer.clone()
            // An end that waits for credit is an end; without one it must not look whole.
            && !writer.is_over()
            && writer.end(nylon_wire::Outcome::Abort).is_ok()
        {
            self.flush(session, now);
        }
        true
    }

    fn after_stream(&mut self, session: SessionId, run: &Arc<Run>, now: Instant) {
        let phase = run.phase().unwrap_or(Phase::RequestFilter);
        let Some(live) = self.live.get_mut(&session) else { return };
        live.tail = false;
        live.returned = false;
        // The rest of the chain does not see a request that a stream has answered.
        live.again = false;
        let (held, closed) = (live.held.take(), live.closed);
        self.after_phase(session, phase, now);
        if closed {
            self.cancel(session, AbortReason::Stale);
        } else if let Some(frame) = held {
            self.on_phase(*frame, now);
        }
    }

    /// User code wants a body as it comes.
    pub(super) fn on_read(&mut self, run: &Arc<Run>, body: Body, reader: Arc<BodyReader>, now: Instant) {
        let session = match self.speaking(run) {
            Ok(live) => live.session.id,
            Err(reason) => return reader.finish(Err(FetchError::Cancelled(reason))),
        };
        self.count(|c| &c.fetches);
        let what = match body {
            Body::Request => FetchKind::RequestStream,
            Body::Response => FetchKind::ResponseStream,
        };
        let most = usize::try_from(Limits::MAX_SAFE - 1).unwrap_or(usize::MAX);
        self.call(session, what, most, Then::Pieces(reader));
        if body == Body::Request
            && let Some(live) = self.live.get_mut(&session)
            && live.upload.is_none()
            && !live.tail
        {
            live.upload = live.calls.last().map(|call| call.id);
            live.deadline = now + NEVER;
        }
    }

    /// User code has taken pieces.
    pub(super) fn on_took(&mut self, run: &Arc<Run>, reader: &Arc<BodyReader>) {
        let Ok(live) = self.speaking(run) else { return };
        let call = live.calls.iter().find(|call| matches!(&call.then, Then::Pieces(own) if Arc::ptr_eq(own, reader)));
        let Some(id) = call.map(|call| call.id) else { return };
        let session = live.session.id;
        self.owe(session, id, reader.taken());
    }

    /// Notes credit to be given back, and gives it when it is enough.
    pub(super) fn owe(&mut self, session: SessionId, id: u32, cost: u64) {
        let Some(live) = self.live.get_mut(&session) else { return };
        live.owed = live.owed.saturating_add(u32::try_from(cost).unwrap_or(u32::MAX));
        self.grant(session, id);
    }

    /// The phase is over: nobody reads its bodies any more, and what of them is here counts as taken.
    pub(super) fn close_readers(live: &mut Live) {
        for call in &live.calls {
            if let Then::Pieces(reader) = &call.then {
                live.owed = live.owed.saturating_add(u32::try_from(reader.close()).unwrap_or(u32::MAX));
            }
        }
    }
}
