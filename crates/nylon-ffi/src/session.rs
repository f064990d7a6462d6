//! One request as one entry of a library sees it: the gateway thread's side.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Instant,
};

use bytes::{Bytes, BytesMut};
use futures_util::future::LocalBoxFuture;
use http::StatusCode;
use nylon_plugin::{
    Action, BodyError, BodyMode, BodyStream, Call, Exchange, Operation, Outcome, Phase, PhaseMask, Piece, PluginError,
    PluginErrorKind, ResponseBody, Session, StreamError, Timing, Upgrade,
};
use nylon_wire::{ResponseBody as WireBody, Text};
use tokio::time::{Sleep, sleep_until};

use crate::{
    library::Library,
    plugin::{FfiPlugin, body_mode},
    shared::{EntryName, Event, Shared, Stage},
    socket::FfiSocket,
    stream::FfiStream,
    table::TABLE,
    view::{RequestView, ResponseView},
};

/// A session in a library.
pub(crate) struct FfiSession {
    library: &'static Library,
    entry: Arc<EntryName>,
    max_body: usize,
    /// Once it has begun.
    shared: Option<Arc<Shared>>,
    phases: Option<PhaseMask>,
}

/// A phase while somebody waits for it. Dropped before its end, it gives the session up.
struct Waiting<'a> {
    shared: &'a Arc<Shared>,
    over: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.over {
            self.shared.abandon();
        }
    }
}

impl FfiSession {
    pub(crate) fn new(plugin: &FfiPlugin) -> Self {
        Self {
            library: plugin.library,
            entry: Arc::clone(&plugin.entry),
            max_body: plugin.max_body,
            shared: None,
            phases: None,
        }
    }

    fn begin(&self, call: &Call<'_>) -> Arc<Shared> {
        TABLE.insert(|sid| {
            let request = RequestView::new(&call.exchange.request, call.headers);
            Arc::new(Shared::new(sid, self.library, Arc::clone(&self.entry), request, self.max_body))
        })
    }

    async fn phase(&mut self, call: Call<'_>) -> Result<Outcome, PluginError> {
        let started = Instant::now();
        let shared = match &self.shared {
            Some(shared) => Arc::clone(shared),
            None => Arc::clone(self.shared.insert(self.begin(&call))),
        };
        let response = ResponseView::new(call.exchange, call.phase);
        if !shared.begin(call.phase, response, call.payload.cloned(), None) {
            return Err(PluginError::new(PluginErrorKind::Lost, "the session is over"));
        }
        let mut waiting = Waiting { shared: &shared, over: false };
        let result = self.outcome(&shared, call, started).await;
        waiting.over = result.is_ok();
        drop(waiting);
        result
    }

    async fn outcome(
        &mut self,
        shared: &Arc<Shared>,
        call: Call<'_>,
        started: Instant,
    ) -> Result<Outcome, PluginError> {
        let mut deadline = pin!(sleep_until(call.deadline.into()));
        let exchange = call.exchange;
        let (action, stream, upgrade) = loop {
            let event = poll_fn(|cx| match shared.poll_event(cx) {
                Poll::Ready(event) => Poll::Ready(Some(event)),
                Poll::Pending => deadline.as_mut().poll(cx).map(|()| None),
            });
            match event.await {
                Some(Event::Done(action)) => break (action, None, None),
                Some(Event::Failed(error)) => return Err(error),
                Some(Event::RequestBody) => self.read_request(shared, exchange, deadline.as_mut()).await?,
                Some(Event::ResponseBody) => self.read_response(shared, exchange, deadline.as_mut()).await?,
                Some(Event::Stream) => {
                    let stream: Box<dyn BodyStream> = Box::new(FfiStream::new(Arc::clone(shared)));
                    break (Action::Next, Some(stream), None);
                }
                Some(Event::Upgrade) => match upgrade(shared, exchange, self.max_body) {
                    Ok(upgrade) => break (Action::End, None, Some(upgrade)),
                    Err(why) => return Ok(refused(shared, why)),
                },
                Some(other) => {
                    let what = format!("{other:?} in the middle of a phase");
                    return Err(PluginError::new(PluginErrorKind::Protocol, what));
                }
                None => {
                    let what = format!("the handler is over its deadline in the {}", call.phase.name());
                    shared.complain(format_args!("{what}"));
                    return Err(PluginError::new(PluginErrorKind::Timeout, what));
                }
            }
        };
        self.phases = shared.mask();
        let operations = shared.take_operations();
        let sets_body = operations.iter().any(|operation| matches!(operation, Operation::SetResponseBody(_)));
        if call.phase == Phase::ResponseBodyFilter
            && sets_body
            && let Some(error) = exchange.unfilterable()
        {
            return Err(error);
        }
        let total = started.elapsed();
        let queue = shared.begun().map_or(total, |begun| begun.saturating_duration_since(started));
        let timing = Timing { total, queue, handler: total.saturating_sub(queue) };
        Ok(Outcome { operations, action, timing, stream, upgrade })
    }

    /// Reads the request's body for the library, unless the phase ends before.
    async fn read_request(
        &self,
        shared: &Arc<Shared>,
        exchange: &mut Exchange,
        mut deadline: Pin<&mut Sleep>,
    ) -> Result<(), PluginError> {
        let mut reading = exchange.request_body.read_all(self.max_body);
        let read = poll_fn(|cx| {
            if let Poll::Ready(body) = reading.as_mut().poll(cx) {
                return Poll::Ready(Some(body));
            }
            // A phase that ends needs its body no more; one that is late is told so by the caller.
            let over = shared.poll_any(cx).is_ready() || deadline.as_mut().poll(cx).is_ready();
            if over { Poll::Ready(None) } else { Poll::Pending }
        });
        match read.await {
            Some(Ok(body)) => shared.supply_request_body(body),
            Some(Err(BodyError::Taken)) => shared.supply_request_body(Bytes::new()),
            Some(Err(error @ BodyError::TooLarge(_))) => {
                return Err(PluginError::new(PluginErrorKind::RequestBodyTooLarge, error.to_string()));
            }
            Some(Err(error @ BodyError::Client(_))) => {
                return Err(PluginError::new(PluginErrorKind::ClientGone, error.to_string()));
            }
            None => {}
        }
        Ok(())
    }

    /// Reads the answer's body for a library that asks for it. If that fails, what has come of it stays in the answer.
    async fn read_response(
        &self,
        shared: &Arc<Shared>,
        exchange: &mut Exchange,
        mut deadline: Pin<&mut Sleep>,
    ) -> Result<(), PluginError> {
        if let Some(error) = exchange.unfilterable() {
            return Err(error);
        }
        let mut stream = match std::mem::take(&mut exchange.response.body) {
            ResponseBody::Stream(stream) => stream,
            other => {
                shared.supply_response_body(other.full().cloned().unwrap_or_default());
                exchange.response.body = other;
                return Ok(());
            }
        };
        let mut whole = BytesMut::new();
        let rest = loop {
            let piece = poll_fn(|cx| match stream.poll_piece(cx) {
                Poll::Ready(piece) => Poll::Ready(Some(piece)),
                Poll::Pending => deadline.as_mut().poll(cx).map(|()| None),
            });
            match piece.await {
                Some(None) => break Ok(()),
                Some(Some(Ok(Piece::Data(data)))) => {
                    whole.extend_from_slice(&data);
                    if whole.len() > self.max_body {
                        let what = format!("the response body is longer than {} bytes", self.max_body);
                        break Err(Ok(PluginError::new(PluginErrorKind::ResponseBodyTooLarge, what)));
                    }
                    stream.moved_on();
                }
                // There is a length now.
                Some(Some(Ok(Piece::Trailers(_)))) => {}
                Some(Some(Err(error))) => break Err(Err(error)),
                None => {
                    let what = "the body has not come before the deadline";
                    break Err(Ok(PluginError::new(PluginErrorKind::Timeout, what)));
                }
            }
        };
        let whole = whole.freeze();
        match rest {
            Ok(()) => {
                exchange.response.body = ResponseBody::Full(whole.clone());
                shared.supply_response_body(whole);
                Ok(())
            }
            Err(Ok(error)) => {
                exchange.response.body = ResponseBody::Stream(Box::new(Resumed { first: whole, rest: Ok(stream) }));
                Err(error)
            }
            Err(Err(error)) => {
                let broken = Resumed { first: whole, rest: Err(Some(error.clone())) };
                exchange.response.body = ResponseBody::Stream(Box::new(broken));
                Err(match error {
                    StreamError::Plugin(error) => error,
                    StreamError::Source(what) => PluginError::new(PluginErrorKind::Lost, what),
                })
            }
        }
    }

    /// Ends what there is of a session; whether it can still log.
    fn usable(&self) -> Option<&Arc<Shared>> {
        let shared = self.shared.as_ref()?;
        if shared.state().stage == Stage::Idle {
            return Some(shared);
        }
        shared.abandon();
        None
    }
}

/// A body of which the beginning has been read.
struct Resumed {
    first: Bytes,
    rest: Result<Box<dyn BodyStream>, Option<StreamError>>,
}

impl BodyStream for Resumed {
    fn poll_piece(&mut self, cx: &mut std::task::Context<'_>) -> Poll<Option<Result<Piece, StreamError>>> {
        if !self.first.is_empty() {
            return Poll::Ready(Some(Ok(Piece::Data(std::mem::take(&mut self.first)))));
        }
        match &mut self.rest {
            Ok(stream) => stream.poll_piece(cx),
            Err(error) => Poll::Ready(error.take().map(Err)),
        }
    }

    fn moved_on(&mut self) {
        if let Ok(stream) = &mut self.rest {
            stream.moved_on();
        }
    }
}

/// Makes the request a WebSocket.
///
/// # Errors
/// Why it cannot be one.
fn upgrade(shared: &Arc<Shared>, exchange: &Exchange, max_body: usize) -> Result<Box<Upgrade>, &'static str> {
    exchange.request.websocket_key()?;
    if !exchange.request_body.is_empty() {
        return Err("it has a body");
    }
    {
        let mut state = shared.state();
        if state.stage == Stage::Upgrading {
            state.stage = Stage::Socket;
            state.had_socket = true;
        }
    }
    let socket = Box::new(FfiSocket::new(Arc::clone(shared)));
    Ok(Box::new(Upgrade { max_message_bytes: max_body, subprotocol: None, socket }))
}

/// The library is not told that there is no WebSocket, so the gateway answers.
fn refused(shared: &Arc<Shared>, why: &str) -> Outcome {
    let mut state = shared.state();
    if state.stage == Stage::Upgrading {
        state.stage = Stage::Idle;
        state.events.clear();
    }
    let text = |name: &'static str, value: &'static str| Operation::SetResponseHeader {
        name: Text::from_static(name),
        value: Bytes::from_static(value.as_bytes()),
    };
    let body = format!("this request cannot become a websocket: {why}\n");
    Outcome {
        operations: vec![
            Operation::SetResponseStatus(StatusCode::BAD_REQUEST.as_u16()),
            text("content-type", "text/plain; charset=utf-8"),
            Operation::SetResponseBody(WireBody::Inline(body.into())),
        ],
        action: Action::End,
        timing: Timing::default(),
        stream: None,
        upgrade: None,
    }
}

impl Session for FfiSession {
    fn phases(&self) -> Option<PhaseMask> {
        self.phases
    }

    fn body_mode(&self) -> BodyMode {
        body_mode(self.library)
    }

    fn run<'a>(&'a mut self, call: Call<'a>) -> LocalBoxFuture<'a, Result<Outcome, PluginError>> {
        Box::pin(self.phase(call))
    }

    fn log(&mut self, call: Call<'_>) {
        if self.phases.is_some_and(|phases| !phases.has(Phase::Logging)) {
            self.close(false);
            return;
        }
        let response = ResponseView::new(call.exchange, Phase::Logging);
        let shared = self.usable().cloned().unwrap_or_else(|| self.begin(&call));
        self.shared = None;
        if !shared.begin(Phase::Logging, response, call.payload.cloned(), Some(call.deadline)) {
            shared.abandon();
        }
    }

    fn close(&mut self, _client_gone: bool) {
        // A phase that still runs was given up when its future was dropped.
        if let Some(shared) = self.usable() {
            shared.close();
        }
        self.shared = None;
    }
}

impl Drop for FfiSession {
    fn drop(&mut self) {
        self.close(false);
    }
}
