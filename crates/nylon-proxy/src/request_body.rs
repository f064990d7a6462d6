//! The client's body: read when somebody asks, kept for the upstream.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    error::Error,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker, ready},
};

use bytes::{Bytes, BytesMut};
use futures_util::future::LocalBoxFuture;
use http::HeaderMap;
use http_body::{Body, Frame};
use hyper::body::Incoming;
use nylon_plugin::{BodyError, BodyStream, RequestBody};
use nylon_wire::ErrorCode;

pub(crate) use self::pieces::Passage;
use self::pieces::Pieces;

mod pieces;

/// How much of a body that nobody wants is read so that the connection can carry another request, bytes.
pub(crate) const DRAIN_LIMIT: u64 = 256 * 1024;

/// Up to this length a body is looked for in what has come with the head, bytes.
const SMALL: usize = 64 * 1024;

/// The client's body. Clones share it.
#[derive(Clone)]
pub(crate) struct ClientBody(Rc<Shared>);

struct Shared {
    reading: RefCell<Reading>,
    /// As declared.
    length: Option<u64>,
    /// The client waits for `100 Continue`.
    expects: bool,
    asked: Cell<bool>,
    limit: u64,
    failure: Cell<Option<ErrorCode>>,
    /// Up to this length it stays whole although somebody reads it piece by piece.
    keep: Cell<Option<u64>>,
    /// Somebody reads it piece by piece, and it is longer.
    taken: Cell<bool>,
    /// It is on its way to the upstream: what comes wakes only the upload, which wakes the one who is waiting.
    passing: Cell<bool>,
    waiting: Cell<Option<Waker>>,
}

struct Reading {
    incoming: Incoming,
    /// Read, and not taken by an upload yet.
    kept: VecDeque<Bytes>,
    kept_length: usize,
    trailers: Option<HeaderMap>,
    received: u64,
    ended: bool,
}

impl ClientBody {
    /// `limit` is the most bytes that any client may send.
    pub(crate) fn new(incoming: Incoming, length: Option<u64>, expects: bool, limit: Option<u64>) -> Self {
        let reading =
            Reading { incoming, kept: VecDeque::new(), kept_length: 0, trailers: None, received: 0, ended: false };
        Self(Rc::new(Shared {
            reading: RefCell::new(reading),
            length,
            expects,
            asked: Cell::new(false),
            limit: limit.unwrap_or(u64::MAX),
            failure: Cell::new(None),
            keep: Cell::new(None),
            taken: Cell::new(false),
            passing: Cell::new(false),
            waiting: Cell::new(None),
        }))
    }

    /// Its declared length.
    pub(crate) fn length(&self) -> Option<u64> {
        self.0.length
    }

    /// What the client did wrong while the body was read, if it did.
    pub(crate) fn failure(&self) -> Option<ErrorCode> {
        self.0.failure.get()
    }

    /// Whether it is too long for anybody but him who has read it piece by piece. Reads on until that is known.
    pub(crate) async fn is_taken(&self) -> bool {
        if self.0.keep.get().is_some() && self.0.length.is_none() {
            std::future::poll_fn(|cx| {
                let mut reading = self.0.reading.borrow_mut();
                while !self.0.taken.get() && !reading.ended {
                    // A client that fails does so once more for him who wants its body.
                    if ready!(self.poll_more(&mut reading, cx)).is_err() {
                        break;
                    }
                }
                Poll::Ready(())
            })
            .await;
        }
        self.0.taken.get()
    }

    /// Whether nothing more will come.
    pub(crate) fn is_done(&self) -> bool {
        self.0.failure.get().is_some() || self.0.reading.borrow().ended
    }

    /// All of it for the upstream, if all of it is here: that spares an upload of its own.
    pub(crate) fn whole_by_now(&self) -> Option<Bytes> {
        self.clone().ready(SMALL);
        let mut reading = self.0.reading.borrow_mut();
        (reading.ended && reading.trailers.is_none()).then(|| reading.join())
    }

    /// Its way to the upstream, for which the same holds as for an entry that reads it piece by piece: up to `keep` bytes it
    /// stays whole, also for later phases. More than that is gone.
    pub(crate) fn pass_on(&self, keep: usize) -> Passage {
        let mut reading = self.0.reading.borrow_mut();
        let in_memory = reading.ended;
        // Pieces that are kept and looked up again and again would cost their square: clients choose how many there are.
        if in_memory || reading.kept_length <= keep {
            reading.join();
        }
        drop(reading);
        Passage::new(self.pieces(if in_memory { usize::MAX } else { keep }))
    }

    fn pieces(&self, keep: usize) -> Pieces {
        let first = self.0.keep.get().is_none();
        if first {
            self.0.keep.set(Some(keep as u64));
            let known = self.0.length.unwrap_or_default().max(self.0.reading.borrow().received);
            self.0.taken.set(known > keep as u64);
        }
        Pieces::new(self.clone(), first)
    }

    /// The next piece, which is kept no more: first what was kept.
    fn poll_piece(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, BodyError>>> {
        let mut reading = self.0.reading.borrow_mut();
        if let Some(piece) = reading.kept.pop_front() {
            reading.kept_length -= piece.len();
            return Poll::Ready(Some(Ok(Piece::Data(piece))));
        }
        if !reading.ended {
            match ready!(self.poll_more(&mut reading, cx)) {
                Ok(true) => {
                    if let Some(piece) = reading.kept.pop_front() {
                        reading.kept_length -= piece.len();
                        return Poll::Ready(Some(Ok(Piece::Data(piece))));
                    }
                }
                Ok(false) => {}
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
        Poll::Ready(reading.trailers.take().map(|trailers| Ok(Piece::Trailers(trailers))))
    }

    /// Reads one more piece into `kept`; `false` at the end.
    fn poll_more(&self, reading: &mut Reading, cx: &mut Context<'_>) -> Poll<Result<bool, BodyError>> {
        if let Some(code) = self.0.failure.get() {
            return Poll::Ready(Err(BodyError::Client(code.message().to_owned())));
        }
        if self.0.passing.get() {
            self.0.waiting.set(Some(cx.waker().clone()));
            return Poll::Pending;
        }
        self.0.asked.set(true);
        loop {
            let Some(frame) = ready!(Pin::new(&mut reading.incoming).poll_frame(cx)) else {
                reading.ended = true;
                return Poll::Ready(Ok(false));
            };
            match frame.map(Frame::into_data) {
                Ok(Ok(data)) => {
                    reading.received += data.len() as u64;
                    if reading.received > self.0.limit {
                        self.0.failure.set(Some(ErrorCode::RequestBodyTooLarge));
                        return Poll::Ready(Err(BodyError::TooLarge(
                            usize::try_from(self.0.limit).unwrap_or(usize::MAX),
                        )));
                    }
                    if self.0.keep.get().is_some_and(|keep| reading.received > keep) {
                        self.0.taken.set(true);
                    }
                    reading.ended = reading.incoming.is_end_stream();
                    if data.is_empty() {
                        continue;
                    }
                    reading.kept_length += data.len();
                    reading.kept.push_back(data);
                    return Poll::Ready(Ok(true));
                }
                Ok(Err(frame)) => {
                    if let Ok(trailers) = frame.into_trailers() {
                        reading.trailers = Some(trailers);
                    }
                }
                Err(error) => {
                    let (code, error) = describe(&error);
                    self.0.failure.set(Some(code));
                    return Poll::Ready(Err(BodyError::Client(error)));
                }
            }
        }
    }

    /// Whether the rest, if nobody wants it, can be read and thrown away.
    pub(crate) fn is_drainable(&self) -> bool {
        let waiting = self.0.expects && !self.0.asked.get();
        let left = self.0.length.map_or(0, |length| length.saturating_sub(self.0.reading.borrow().received));
        self.is_done() || (!waiting && self.failure().is_none() && left <= DRAIN_LIMIT)
    }

    /// Reads the rest and throws it away, up to a limit.
    pub(crate) async fn drain(self) {
        let mut drained = 0;
        while drained <= DRAIN_LIMIT {
            match std::future::poll_fn(|cx| self.poll_piece(cx)).await {
                Some(Ok(Piece::Data(data))) => drained += data.len() as u64,
                Some(Ok(Piece::Trailers(_))) => {}
                Some(Err(_)) | None => return,
            }
        }
    }
}

/// A part of a body.
pub(crate) enum Piece {
    Data(Bytes),
    Trailers(HeaderMap),
}

impl Reading {
    fn join(&mut self) -> Bytes {
        if self.kept.len() > 1 {
            let mut whole = BytesMut::with_capacity(self.kept_length);
            for piece in self.kept.drain(..) {
                whole.extend_from_slice(&piece);
            }
            self.kept.push_back(whole.freeze());
        }
        self.kept.front().cloned().unwrap_or_default()
    }

    /// What is kept from there on, as far as it lies in one piece.
    fn kept_from(&self, start: usize) -> Option<Bytes> {
        let mut end = self.kept_length;
        // From behind, where those are who read as it comes: clients choose how many pieces there are.
        for piece in self.kept.iter().rev() {
            let begin = end - piece.len();
            if begin <= start {
                return (start < end).then(|| piece.slice(start - begin..));
            }
            end = begin;
        }
        None
    }

    /// Keeps its first bytes no more.
    fn forget(&mut self, mut bytes: usize) {
        while let Some(piece) = self.kept.front_mut() {
            let part = bytes.min(piece.len());
            self.kept_length -= part;
            bytes -= part;
            if part < piece.len() {
                bytes::Buf::advance(piece, part);
                return;
            }
            self.kept.pop_front();
        }
    }
}

fn describe(error: &hyper::Error) -> (ErrorCode, String) {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return match error.kind() {
                io::ErrorKind::TimedOut => (ErrorCode::RequestTimeout, "the client stalled".to_owned()),
                io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe => (ErrorCode::ClientGone, "the client left".to_owned()),
                _ => (ErrorCode::BadRequest, error.to_string()),
            };
        }
        source = error.source();
    }
    if error.is_incomplete_message() || error.is_canceled() {
        (ErrorCode::ClientGone, "the client left".to_owned())
    } else {
        (ErrorCode::BadRequest, error.to_string())
    }
}

impl RequestBody for ClientBody {
    fn read_all(&mut self, limit: usize) -> LocalBoxFuture<'_, Result<Bytes, BodyError>> {
        Box::pin(async move {
            if self.0.taken.get() {
                return Err(BodyError::Taken);
            }
            if self.0.length.is_some_and(|length| length > limit as u64) {
                return Err(BodyError::TooLarge(limit));
            }
            std::future::poll_fn(|cx| {
                let mut reading = self.0.reading.borrow_mut();
                loop {
                    if self.0.taken.get() {
                        return Poll::Ready(Err(BodyError::Taken));
                    }
                    if reading.kept_length > limit {
                        return Poll::Ready(Err(BodyError::TooLarge(limit)));
                    }
                    if reading.ended || !ready!(self.poll_more(&mut reading, cx))? {
                        if reading.kept_length > limit {
                            return Poll::Ready(Err(BodyError::TooLarge(limit)));
                        }
                        return Poll::Ready(Ok(reading.join()));
                    }
                }
            })
            .await
        })
    }

    fn ready(&mut self, limit: usize) -> Option<Bytes> {
        if self.0.taken.get()
            || self.0.length.is_some_and(|length| length > limit as u64)
            || (self.0.expects && !self.0.asked.get())
        {
            return None;
        }
        let mut reading = self.0.reading.borrow_mut();
        let mut cx = Context::from_waker(std::task::Waker::noop());
        while !reading.ended && reading.kept_length <= limit && !self.0.passing.get() {
            match self.poll_more(&mut reading, &mut cx) {
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(_)) | Poll::Pending => return None,
            }
        }
        (reading.ended && reading.kept_length <= limit && !self.0.taken.get()).then(|| reading.join())
    }

    fn is_empty(&self) -> bool {
        false
    }

    fn stream(&mut self, keep: usize) -> Result<Box<dyn BodyStream>, BodyError> {
        if self.0.taken.get() {
            return Err(BodyError::Taken);
        }
        Ok(Box::new(self.pieces(keep)))
    }

    fn share(&self) -> Box<dyn RequestBody> {
        Box::new(self.clone())
    }
}
