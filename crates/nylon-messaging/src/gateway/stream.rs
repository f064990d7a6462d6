//! A body that a worker sends piece by piece, and what it reads meanwhile: one flow per direction, each within its
//! credit.

use std::{
    cell::Cell,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use nylon_plugin::{BodyStream, Piece, PluginError, PluginErrorKind, RequestBody, StreamError};
use nylon_wire::{AbortFrame, AbortReason, DataFrame, DataKind, FetchFrame, FetchKind, Frame, Outcome, failure};

use super::{
    entry::Entry,
    long_phase::LongPhase,
    slots::{Event, Signal},
    talk::Talk,
};
use crate::Clock;

/// A piece up to this long is copied: it may wait for a slow client, and must not keep the whole buffer that it was read
/// into, which has pieces of others in it. Bytes.
const COPIED: usize = 16 << 10;

/// Where an ended stream leaves the session for its later phases.
pub(super) type Home = Cell<Option<Box<Talk>>>;

/// What the handler of a stream may read.
pub(super) enum Input {
    /// The request that it answers.
    Request(Box<dyn RequestBody>),
    /// The answer that it filters, until it asks for it; its trailers are passed on.
    Response(Option<Box<dyn BodyStream>>),
}

/// A stream of a worker.
pub(super) struct NatsStream {
    phase: LongPhase,
    /// `None` once it has ended.
    talk: Option<Box<Talk>>,
    home: Rc<Home>,
    id: u32,
    input: Input,
    /// When anything last moved. Milliseconds of our clock.
    moved: u64,
}

impl NatsStream {
    pub(super) fn new(entry: Rc<Entry>, mut talk: Box<Talk>, home: Rc<Home>, id: u32, input: Input) -> Self {
        let phase = LongPhase::new(entry, &mut talk, "stream");
        Self { phase, talk: Some(talk), home, id, input, moved: Clock::now_ms() }
    }

    /// A frame of the worker. `Ready` when it says something about the body.
    fn frame(&mut self, frame: Frame) -> Poll<Option<Result<Piece, StreamError>>> {
        let Some(talk) = &mut self.talk else { return Poll::Ready(None) };
        if !matches!(frame, Frame::Probe(_)) {
            self.moved = Clock::now_ms();
            self.phase.heard();
        }
        match frame {
            Frame::Data(data) => return self.data(data),
            Frame::StreamEnd(end) => {
                let filters = matches!(self.input, Input::Response(_));
                self.input = Input::Response(None);
                let trailers = talk.trailers.take().filter(|_| filters);
                talk.stop_feeding();
                talk.lease.set_waiting(false);
                self.home.set(self.talk.take());
                return match end.outcome {
                    Outcome::Ok => Poll::Ready(trailers.map(|trailers| Ok(Piece::Trailers(trailers)))),
                    Outcome::Abort => {
                        Poll::Ready(Some(Err(
                            PluginError::new(PluginErrorKind::Handler, "the handler cut it short").into()
                        )))
                    }
                };
            }
            Frame::Credit(credit) => talk.credit.grant(credit.bytes),
            Frame::Fetch(fetch) => {
                if let Err(error) = self.fetch(&fetch) {
                    return self.broken(error);
                }
            }
            Frame::Probe(probe) => {
                if let Err(error) = LongPhase::probed(talk, probe.header.seq) {
                    return self.broken(error);
                }
            }
            Frame::Accept(_) => {}
            Frame::Abort(abort) => return self.aborted(&abort),
            Frame::Error(error) => {
                let message = format!("the worker: {}: {}", error.code, error.text);
                return self.broken(PluginError::new(PluginErrorKind::Handler, message));
            }
            other => {
                let error = talk.protocol(format!("a worker may not send {:?} in a stream", other.kind()));
                return self.broken(error);
            }
        }
        Poll::Pending
    }

    fn data(&mut self, data: DataFrame) -> Poll<Option<Result<Piece, StreamError>>> {
        let Some(talk) = &mut self.talk else { return Poll::Ready(None) };
        if data.kind != DataKind::Stream || data.id != self.id {
            let error = talk.protocol(format!("DATA of kind {:?} with id {} in a stream", data.kind, data.id));
            return self.broken(error);
        }
        if let Err(error) = talk.receive(&data) {
            return self.broken(error);
        }
        let bytes = if data.bytes.len() <= COPIED { Bytes::copy_from_slice(&data.bytes) } else { data.bytes };
        if bytes.is_empty() { Poll::Pending } else { Poll::Ready(Some(Ok(Piece::Data(bytes)))) }
    }

    fn fetch(&mut self, fetch: &FetchFrame) -> Result<(), PluginError> {
        let Some(talk) = &mut self.talk else { return Ok(()) };
        let options = &self.phase.entry.shared.options;
        let limit = match fetch.what {
            FetchKind::RequestBody => fetch.max_bytes.min(options.max_body_bytes as u64),
            _ => fetch.max_bytes,
        };
        let body = match (fetch.what, &mut self.input) {
            (FetchKind::RequestBody | FetchKind::RequestStream, Input::Request(body)) => {
                body.stream(options.kept_body()).map_err(|error| error.to_string())
            }
            (FetchKind::ResponseStream, Input::Response(body)) => {
                body.take().ok_or_else(|| "the response body has been taken".to_owned())
            }
            _ => Err("there is no such thing in this stream".to_owned()),
        };
        match body {
            Ok(body) => talk.answer_as_it_comes(fetch.call_id, body, limit),
            Err(text) => talk.refuse(fetch.call_id, failure::NOT_FOUND, &text)?,
        }
        Ok(())
    }

    fn aborted(&mut self, abort: &AbortFrame) -> Poll<Option<Result<Piece, StreamError>>> {
        let text = abort.text.as_deref().unwrap_or("no reason given");
        let kind = match abort.reason {
            AbortReason::Protocol => PluginErrorKind::Protocol,
            AbortReason::Timeout => PluginErrorKind::Timeout,
            _ => PluginErrorKind::Lost,
        };
        self.broken(PluginError::new(kind, format!("the worker aborts the stream ({:?}): {text}", abort.reason)))
    }

    fn signal(&mut self, signal: Signal) -> Result<(), PluginError> {
        let Some(talk) = &self.talk else { return Ok(()) };
        if signal == Signal::Due {
            let idle = u64::try_from(self.phase.entry.shared.options.stream_idle.as_millis()).unwrap_or(u64::MAX);
            if Clock::now_ms().saturating_sub(self.moved) >= idle {
                return Err(talk.fail(PluginErrorKind::Timeout, AbortReason::Timeout, "the stream stands still"));
            }
        }
        self.phase.signal(talk, signal)
    }

    fn broken(&mut self, error: PluginError) -> Poll<Option<Result<Piece, StreamError>>> {
        self.talk = None;
        self.input = Input::Response(None);
        self.phase.entry.times.failed.add();
        Poll::Ready(Some(Err(error.into())))
    }
}

impl BodyStream for NatsStream {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, StreamError>>> {
        loop {
            let Some(talk) = &mut self.talk else { return Poll::Ready(None) };
            // What was asked for before the stream began may still be on its way.
            if let Err(error) = talk.pump().map_err(StreamError::from).and_then(|()| talk.feed(cx)) {
                if let StreamError::Source(what) = &error {
                    // Its input is not whole, so what it makes of it cannot be.
                    drop(talk.fail(PluginErrorKind::ClientGone, AbortReason::ClientGone, what.clone()));
                }
                self.talk = None;
                return Poll::Ready(Some(Err(error)));
            }
            let frame = match talk.deferred.pop_front() {
                Some(frame) => Some(frame),
                None => match ready!(talk.lease.poll(LongPhase::next_look(), cx)) {
                    Event::Frame(payload) => match talk.decode(&payload) {
                        Ok(frame) => frame,
                        Err(error) => return self.broken(error),
                    },
                    Event::Signal(signal) => {
                        if let Err(error) = self.signal(signal) {
                            return self.broken(error);
                        }
                        None
                    }
                },
            };
            if let Some(frame) = frame
                && let Poll::Ready(piece) = self.frame(frame)
            {
                return Poll::Ready(piece);
            }
        }
    }

    fn moved_on(&mut self) {
        let Some(talk) = &mut self.talk else { return };
        self.moved = Clock::now_ms();
        if let Err(error) = talk.moved_on(self.id) {
            // The gap that this leaves ends the stream at the worker.
            tracing::debug!(%error, "credit was not sent");
        }
    }
}

impl Drop for NatsStream {
    fn drop(&mut self) {
        if let Some(talk) = &self.talk {
            talk.lease.abort(AbortReason::ClientGone, None);
        }
    }
}
