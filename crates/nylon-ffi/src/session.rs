//! One request as one entry of a library sees it: the gateway thread's side.

use std::{
    borrow::Cow,
    future::poll_fn,
    pin::pin,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use http::StatusCode;
use nylon_plugin::{
    Action, BodyMode, BodyStream, Call, Exchange, KEPT_BODY, Operation, Outcome, Phase, PhaseMask, PluginError,
    PluginErrorKind, ResponseBody, Session, Timing, Upgrade, Whole,
};
use nylon_wire::{ResponseBody as WireBody, Text};
use tokio::time::sleep_until;

use crate::{
    bodies::{Upload, read_piece, read_request, read_response},
    courier,
    library::{Executor, Library},
    shared::{EntryName, Shared},
    socket::FfiSocket,
    state::{Event, How, Stage, Wish},
    stream::FfiStream,
    table::TABLE,
    view::{RequestView, ResponseView},
};

/// How long a library may take to hear that a session is over. Nobody waits for it.
const CLOSE: Duration = Duration::from_secs(1);

/// A session in a library.
pub(crate) struct FfiSession {
    library: &'static Library,
    entry: Arc<EntryName>,
    max_body: usize,
    executor: Executor,
    /// Once it has begun.
    shared: Option<Arc<Shared>>,
    phases: Option<PhaseMask>,
    streams_body: bool,
    /// From its begin until it streams, or is a WebSocket: those live long.
    request: Option<courier::Request>,
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
    pub(crate) fn new(library: &'static Library, entry: Arc<EntryName>, max_body: usize, executor: Executor) -> Self {
        let (shared, phases, request) = (None, None, None);
        Self { library, entry, max_body, executor, shared, phases, streams_body: false, request }
    }

    fn begin(&self, call: &Call<'_>) -> Arc<Shared> {
        TABLE.insert(|sid| {
            let request = RequestView::new(&call.exchange.request, call.headers);
            Arc::new(Shared::new(sid, self.library, Arc::clone(&self.entry), request, self.max_body, courier::inbox()))
        })
    }

    async fn phase(&mut self, call: Call<'_>) -> Result<Outcome, PluginError> {
        let started = Instant::now();
        if self.library.pool.hangs() {
            return Err(PluginError::new(PluginErrorKind::Busy, "no thread of the library returns"));
        }
        self.request.get_or_insert_with(courier::Request::begin);
        let shared = match &self.shared {
            Some(shared) => Arc::clone(shared),
            None => Arc::clone(self.shared.insert(self.begin(&call))),
        };
        if call.exchange.request_body.is_empty() {
            shared.state().request_body.get_or_insert_default();
        }
        let response = ResponseView::new(call.exchange, call.phase);
        let how = self.how(&call, &shared, &response);
        if !shared.begin(call.phase, response, call.payload.cloned(), how) {
            return Err(PluginError::new(PluginErrorKind::Lost, "the session is over"));
        }
        let mut waiting = Waiting { shared: &shared, over: false };
        let result = self.outcome(&shared, call, started).await;
        waiting.over = result.is_ok();
        drop(waiting);
        if result.as_ref().is_ok_and(|outcome| outcome.stream.is_some() || outcome.upgrade.is_some()) {
            self.request = None;
        }
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
        if self.executor == Executor::Inline && Instant::now() >= call.deadline {
            return Err(late(shared, call.phase));
        }
        let span = call.deadline.saturating_duration_since(call.started);
        let mut upload: Option<Upload> = None;
        let (action, stream, upgrade) = loop {
            let event = poll_fn(|cx| match shared.poll_event(cx) {
                Poll::Ready(event) => Poll::Ready(Some(event)),
                Poll::Pending => deadline.as_mut().poll(cx).map(|()| None),
            });
            match event.await {
                Some(Event::Done(action)) => break (action, None, None),
                Some(Event::Failed(error)) => return Err(error),
                Some(Event::RequestBody) => read_request(shared, exchange, upload.is_some(), deadline.as_mut()).await?,
                Some(Event::Piece) => read_piece(shared, exchange, &mut upload, deadline.as_mut(), span).await?,
                Some(Event::ResponseBody) => read_response(shared, exchange, deadline.as_mut()).await?,
                Some(Event::Stream) if call.phase == Phase::ResponseBodyFilter => {
                    let body = match std::mem::take(&mut exchange.response.body) {
                        ResponseBody::Stream(body) => body,
                        // It has read all of it before.
                        other => Box::new(Whole(other.full().cloned().unwrap_or_default())),
                    };
                    let stream = FfiStream::new(Arc::clone(shared), Some(body), false, true);
                    break (Action::Next, Some(Box::new(stream) as Box<dyn BodyStream>), None);
                }
                Some(Event::Stream) => {
                    // Whoever streams an answer is the last to read the request.
                    let begun = upload.is_some();
                    let body = upload.map(|upload| upload.body);
                    let body = body.or_else(|| exchange.request_body.stream(KEPT_BODY).ok());
                    let stream: Box<dyn BodyStream> = Box::new(FfiStream::new(Arc::clone(shared), body, begun, false));
                    break (Action::Next, Some(stream), None);
                }
                Some(Event::Upgrade(wish)) => {
                    let answered = wish.answered;
                    match upgrade(shared, exchange, wish, self.max_body) {
                        Ok(upgrade) => break (Action::End, None, Some(upgrade)),
                        Err(why) if answered => shared.refuse(why),
                        Err(why) => return Ok(refused(shared, &why)),
                    }
                }
                Some(other) => {
                    let what = format!("{other:?} in the middle of a phase");
                    return Err(PluginError::new(PluginErrorKind::Protocol, what));
                }
                None => return Err(late(shared, call.phase)),
            }
        };
        self.phases = shared.mask();
        self.streams_body = shared.streams_body();
        let operations = shared.take_operations(call.phase);
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

    /// How a phase begins that somebody waits for. What the handler may have to wait for does not come to one that keeps
    /// the thread which would bring it.
    fn how(&self, call: &Call<'_>, shared: &Shared, response: &ResponseView) -> How {
        let request = &call.exchange.request;
        let may_run = !request.websocket;
        let at_hand = !response.awaited && shared.has_request_body();
        let inline = if may_run && at_hand { self.inline(call.deadline) } else { None };
        let ahead = call.body_next && self.phases.is_none() && inline.is_none() && self.entry.nexts.are_single();
        let ahead = ahead.then(|| ResponseView::new(call.exchange, Phase::ResponseBodyFilter));
        How { until: None, may_run, inline, again: call.again, ahead }
    }

    /// Until when a call on this thread may last, if there may be one.
    fn inline(&self, deadline: Instant) -> Option<Instant> {
        (self.executor == Executor::Inline && !self.library.blocks()).then_some(deadline)
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

fn late(shared: &Arc<Shared>, phase: Phase) -> PluginError {
    let what = format!("the handler is over its deadline in the {}", phase.name());
    shared.complain(format_args!("{what}"));
    PluginError::new(PluginErrorKind::Timeout, what)
}

/// Makes the request a WebSocket.
///
/// # Errors
/// Why it cannot be one.
fn upgrade(
    shared: &Arc<Shared>,
    exchange: &Exchange,
    wish: Wish,
    max_body: usize,
) -> Result<Box<Upgrade>, Cow<'static, str>> {
    exchange.request.websocket_key()?;
    if !exchange.request_body.is_empty() {
        return Err("it has a body".into());
    }
    if let Some(chosen) = &wish.subprotocol
        && !exchange.request.offers_subprotocol(chosen)
    {
        return Err(format!("it does not offer the sub-protocol {chosen:?}").into());
    }
    {
        let mut state = shared.state();
        if state.stage == Stage::Upgrading {
            state.stage = Stage::Socket;
            state.had_socket = true;
            shared.release_reads(&mut state);
        }
    }
    let socket = Box::new(FfiSocket::new(Arc::clone(shared)));
    let max_message_bytes = wish.max_message.unwrap_or(max_body);
    Ok(Box::new(Upgrade { max_message_bytes, subprotocol: wish.subprotocol, socket }))
}

/// The library is not told that there is no WebSocket, so the gateway answers.
fn refused(shared: &Arc<Shared>, why: &str) -> Outcome {
    let mut state = shared.state();
    if state.stage == Stage::Upgrading {
        state.stage = Stage::Idle;
        state.events.clear();
        shared.release_reads(&mut state);
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
        if self.streams_body { BodyMode::Streaming } else { self.library.body_mode() }
    }

    fn run<'a>(&'a mut self, call: Call<'a>) -> LocalBoxFuture<'a, Result<Outcome, PluginError>> {
        Box::pin(self.phase(call))
    }

    fn log(&mut self, call: Call<'_>) {
        if self.phases.is_some_and(|phases| !phases.has(Phase::Logging)) {
            self.close(false);
            return;
        }
        let usable = self.usable().cloned();
        // One that has not returned from the last call would only take another thread.
        if self.library.pool.hangs() || self.shared.as_ref().is_some_and(|shared| shared.state().stuck) {
            self.close(false);
            return;
        }
        let response = ResponseView::new(call.exchange, Phase::Logging);
        let shared = usable.unwrap_or_else(|| self.begin(&call));
        self.shared = None;
        let (until, inline) = (Some(call.deadline), self.inline(call.deadline));
        let how = How { until, may_run: true, inline, again: false, ahead: None };
        if !shared.begin(Phase::Logging, response, call.payload.cloned(), how) {
            shared.abandon();
        }
    }

    fn close(&mut self, _client_gone: bool) {
        // A phase that still runs was given up when its future was dropped.
        if let Some(shared) = self.usable() {
            // A library may wait there for what its handler does about the end of a WebSocket.
            let waits = shared.state().had_socket;
            shared.close(if waits { None } else { self.inline(Instant::now() + CLOSE) });
        }
        self.shared = None;
    }
}

impl Drop for FfiSession {
    fn drop(&mut self) {
        self.close(false);
    }
}
