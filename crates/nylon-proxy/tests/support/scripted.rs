//! Plugins that are closures: the whole way of a request through the gateway without NATS.

use std::{
    rc::Rc,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::{FutureExt as _, future::LocalBoxFuture};
use nylon_plugin::{
    Action, BodyError, BodyMode, BodyStream, Call, Entry, Exchange, InFlight, Operation, Outcome, Phase, PhaseMask,
    Piece, Plugin, PluginError, PluginErrorKind, Session, StreamError, Timing,
};
use nylon_proxy::{Gateway, PluginSource, PreparedPlugins};
use nylon_routing::Snapshot;
use nylon_wire::{ResponseBody, Text};
use serde_json::{Value, json};

use super::{Upstream, eventually, snapshot, start_with};

/// What a handler comes to.
pub type Handled = Result<(Vec<Operation>, Action), PluginError>;

type Handler = Arc<dyn for<'a> Fn(Phase, &'a mut Exchange) -> LocalBoxFuture<'a, Handled> + Send + Sync>;

/// One entry.
#[derive(Clone)]
struct Scripted {
    name: &'static str,
    mask: PhaseMask,
    mode: BodyMode,
    handler: Handler,
}

/// Entries, and what they have seen.
#[derive(Clone, Default)]
pub struct Scripts {
    entries: Vec<Scripted>,
    log: Arc<Mutex<Vec<String>>>,
    in_flight: Arc<Mutex<Vec<Arc<InFlight>>>>,
    pub max_body: usize,
}

impl Scripts {
    pub fn new() -> Self {
        Self { max_body: 1_000_000, ..Self::default() }
    }

    /// An entry that answers at once.
    pub fn entry(
        self,
        name: &'static str,
        phases: &[Phase],
        handler: impl Fn(Phase, &mut Exchange) -> Handled + Send + Sync + 'static,
    ) -> Self {
        self.waiting(name, phases, move |phase, exchange| std::future::ready(handler(phase, exchange)).boxed_local())
    }

    /// An entry that may wait.
    pub fn waiting(
        mut self,
        name: &'static str,
        phases: &[Phase],
        handler: impl for<'a> Fn(Phase, &'a mut Exchange) -> LocalBoxFuture<'a, Handled> + Send + Sync + 'static,
    ) -> Self {
        let mask = phases.iter().copied().collect();
        self.entries.push(Scripted { name, mask, mode: BodyMode::Buffered, handler: Arc::new(handler) });
        self
    }

    /// An entry whose body filter makes everything upper case, piece by piece.
    pub fn shouting(self, name: &'static str) -> Self {
        let mut scripts = self.entry(name, &[Phase::ResponseBodyFilter], |_, _| next(Vec::new()));
        scripts.entries.last_mut().unwrap().mode = BodyMode::Streaming;
        scripts
    }

    /// What logging phases have seen: `entry status bytes error`.
    pub fn logged(&self, count: usize) -> Vec<String> {
        eventually("logging phases", || self.log.lock().unwrap().len() >= count);
        self.log.lock().unwrap().clone()
    }

    /// Waits until no session is left.
    pub fn idle(&self) {
        eventually("sessions ended", || self.in_flight.lock().unwrap().iter().all(|limit| limit.count() == 0));
    }
}

impl PluginSource for Scripts {
    fn prepare(&self, snapshot: &Arc<Snapshot>) -> Result<Arc<dyn PreparedPlugins>, String> {
        Ok(Arc::new(Prepared { scripts: self.clone(), snapshot: Arc::clone(snapshot) }))
    }
}

struct Prepared {
    scripts: Scripts,
    snapshot: Arc<Snapshot>,
}

impl PreparedPlugins for Prepared {
    fn entries(&self, _thread: u32) -> Vec<Entry> {
        let entry = |entry: &nylon_routing::Entry| {
            let found = self.scripts.entries.iter().find(|scripted| *scripted.name == *entry.name);
            let scripted = found.unwrap().clone();
            let in_flight = InFlight::new(1_000);
            self.scripts.in_flight.lock().unwrap().push(Arc::clone(&in_flight));
            let label = format!("scripted/{}", scripted.name);
            let plugin = ScriptedPlugin { scripted, log: Arc::clone(&self.scripts.log) };
            Entry::new(label, Rc::new(plugin), self.scripts.max_body, in_flight)
        };
        self.snapshot.entries.iter().map(entry).collect()
    }
}

struct ScriptedPlugin {
    scripted: Scripted,
    log: Arc<Mutex<Vec<String>>>,
}

impl Plugin for ScriptedPlugin {
    fn session(&self) -> Box<dyn Session> {
        Box::new(ScriptedSession { scripted: self.scripted.clone(), log: Arc::clone(&self.log), answered: false })
    }
}

struct ScriptedSession {
    scripted: Scripted,
    log: Arc<Mutex<Vec<String>>>,
    answered: bool,
}

impl Session for ScriptedSession {
    fn phases(&self) -> Option<PhaseMask> {
        self.answered.then_some(self.scripted.mask)
    }

    fn body_mode(&self) -> BodyMode {
        self.scripted.mode
    }

    fn run<'a>(&'a mut self, call: Call<'a>) -> LocalBoxFuture<'a, Result<Outcome, PluginError>> {
        Box::pin(async move {
            let handled = if self.scripted.mask.has(call.phase) {
                (self.scripted.handler)(call.phase, call.exchange).await
            } else {
                next(Vec::new())
            };
            let (operations, action) = handled?;
            self.answered = true;
            let stream = (call.phase == Phase::ResponseBodyFilter && self.scripted.mode == BodyMode::Streaming)
                .then(|| Box::new(Shouting(std::mem::take(&mut call.exchange.response.body))) as Box<dyn BodyStream>);
            Ok(Outcome { operations, action, timing: Timing::default(), stream, upgrade: None })
        })
    }

    fn log(&mut self, call: Call<'_>) {
        if !self.scripted.mask.has(Phase::Logging) {
            return;
        }
        let response = &call.exchange.response;
        let error = call.exchange.error.as_deref().unwrap_or("-");
        let line = format!("{} {} {} {error}", self.scripted.name, response.status.as_u16(), response.bytes_sent);
        self.log.lock().unwrap().push(line);
    }

    fn close(&mut self, _client_gone: bool) {}
}

/// A body in upper case.
struct Shouting(nylon_plugin::ResponseBody);

impl BodyStream for Shouting {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, StreamError>>> {
        let nylon_plugin::ResponseBody::Stream(body) = &mut self.0 else { panic!("no stream: {:?}", self.0) };
        body.poll_piece(cx).map(|piece| {
            piece.map(|piece| {
                piece.map(|piece| match piece {
                    Piece::Data(data) => Piece::Data(data.to_ascii_uppercase().into()),
                    trailers @ Piece::Trailers(_) => trailers,
                })
            })
        })
    }
}

/// Says next.
pub fn next(operations: Vec<Operation>) -> Handled {
    Ok((operations, Action::Next))
}

/// Ends the request.
pub fn end(operations: Vec<Operation>) -> Handled {
    Ok((operations, Action::End))
}

/// Fails.
pub fn fail(kind: PluginErrorKind) -> Handled {
    Err(PluginError::new(kind, "scripted"))
}

/// Reads the request's body as a transport does.
pub async fn read_body(exchange: &mut Exchange, limit: usize) -> Result<Bytes, PluginError> {
    exchange.request_body.read_all(limit).await.map_err(|error| {
        let kind = match &error {
            BodyError::TooLarge(_) => PluginErrorKind::RequestBodyTooLarge,
            BodyError::Client(_) => PluginErrorKind::ClientGone,
            BodyError::Taken => PluginErrorKind::Handler,
        };
        PluginError::new(kind, error.to_string())
    })
}

pub fn set(name: &'static str, value: &'static str) -> Operation {
    Operation::SetResponseHeader { name: Text::from_static(name), value: Bytes::from_static(value.as_bytes()) }
}

pub fn add(name: &'static str, value: &'static str) -> Operation {
    Operation::AddResponseHeader { name: Text::from_static(name), value: Bytes::from_static(value.as_bytes()) }
}

pub fn set_request(name: &'static str, value: &'static str) -> Operation {
    Operation::SetRequestHeader { name: Text::from_static(name), value: Bytes::from_static(value.as_bytes()) }
}

pub fn add_request(name: &'static str, value: &'static str) -> Operation {
    Operation::AddRequestHeader { name: Text::from_static(name), value: Bytes::from_static(value.as_bytes()) }
}

pub fn status(status: u16) -> Operation {
    Operation::SetResponseStatus(status)
}

pub fn body(body: impl Into<Bytes>) -> Operation {
    Operation::SetResponseBody(ResponseBody::Inline(body.into()))
}

/// A link with the default policy.
pub fn link(entry: &str) -> Value {
    json!({"plugin": "scripted", "entry": entry, "payload": null, "timeout_ms": 5000,
        "on_error": {"request_filter": "fail", "response_filter": "continue", "response_body_filter": "fail",
            "logging": "continue"},
        "phases": null, "headers": {"allow": null, "deny": []}, "retry": 1})
}

/// Gives the only path of a snapshot this chain.
pub fn chain(snapshot: &mut Value, links: Vec<Value>) {
    snapshot["messaging"] = json!([{"name": "none", "servers": ["nats://127.0.0.1:1"], "prefix": "nylon",
        "timeout_ms": 5000, "accept_timeout_ms": 250, "ping_interval_ms": 5000, "auth": null, "tls": null}]);
    snapshot["plugins"] = json!([{"name": "scripted", "type": "messaging", "messaging": "none", "group": "g",
        "config": null, "config_hash": "00".repeat(32), "balance": "auto", "max_in_flight": 4096, "max_body_bytes": 10485760,
        "prefetch_body_bytes": 32768}]);
    snapshot["routes"][0]["paths"][0]["chain"] = Value::Array(links);
}

/// A gateway whose path has these entries as middleware.
pub fn gateway(upstream: &Upstream, scripts: &Scripts, links: Vec<Value>) -> Gateway {
    gateway_with(upstream, scripts, links, |_| {})
}

pub fn gateway_with(
    upstream: &Upstream,
    scripts: &Scripts,
    links: Vec<Value>,
    change: impl FnOnce(&mut Value),
) -> Gateway {
    let mut snapshot = snapshot(upstream.address);
    chain(&mut snapshot, links);
    change(&mut snapshot);
    start_with(&snapshot, Arc::new(scripts.clone()))
}

/// Makes a plugin the service of the only path.
pub fn serve_by(snapshot: &mut Value, entry: &str) {
    snapshot["services"].as_array_mut().unwrap().push(json!({"name": "made", "type": "plugin", "link": link(entry)}));
    snapshot["routes"][0]["paths"][0]["service"] = json!("made");
}
