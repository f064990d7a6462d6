//! Scripted entries that write down what happens to them, and the order in which a gateway calls a run.

use std::{
    cell::RefCell,
    collections::HashMap,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{FutureExt as _, future::LocalBoxFuture};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use nylon_plugin::{
    Action, BodyMode, BodyPlan, BodyStream, Call, Chain, EarlyResponse, Entry, Exchange, Flow, GatewayError, InFlight,
    Link, NoBody, OnError, Operation, Outcome, Phase, PhaseMask, Piece, Plugin, PluginError, PluginErrorKind, Policy,
    Request, Response, ResponseBody, Run, Session, StreamError, Timing, Whole,
};
use nylon_wire::{ResponseBody as WireBody, Text};

pub use nylon_plugin::Phase::{Logging, RequestFilter, ResponseBodyFilter, ResponseFilter};

/// What a scripted entry does in a phase.
#[derive(Clone)]
pub enum Step {
    /// Asks for these and goes on.
    Next(Vec<Operation>),
    /// Asks for these and ends the request.
    End(Vec<Operation>),
    /// Streams: in a request filter this text behind these, in a body filter what comes with its name behind it.
    Stream(Vec<Operation>, &'static str),
    /// Fails.
    Fail(PluginErrorKind),
    /// Never answers.
    Hang,
}

/// How a scripted entry behaves.
#[derive(Clone)]
pub struct Script {
    pub mask: Option<PhaseMask>,
    pub announced: Option<PhaseMask>,
    pub steps: HashMap<Phase, Step>,
    pub mode: BodyMode,
    pub max_body: usize,
    pub in_flight: std::sync::Arc<InFlight>,
}

impl Script {
    /// Has these phases and says next in all of them.
    pub fn new(phases: &[Phase]) -> Self {
        Self {
            mask: Some(phases.iter().copied().collect()),
            announced: None,
            steps: HashMap::new(),
            mode: BodyMode::Buffered,
            max_body: 1_000,
            in_flight: InFlight::new(1_000),
        }
    }

    /// Has all phases.
    pub fn all() -> Self {
        Self::new(&Phase::ALL)
    }

    /// Does this in the phase.
    pub fn on(mut self, phase: Phase, step: Step) -> Self {
        self.steps.insert(phase, step);
        self
    }

    /// Every live worker announces these phases.
    pub fn announce(mut self, phases: &[Phase]) -> Self {
        self.announced = Some(phases.iter().copied().collect());
        self
    }
}

type Events = Rc<RefCell<Vec<String>>>;

struct FakePlugin {
    name: &'static str,
    script: Script,
    events: Events,
}

impl Plugin for FakePlugin {
    fn session(&self) -> Box<dyn Session> {
        Box::new(FakeSession {
            name: self.name,
            script: self.script.clone(),
            events: Rc::clone(&self.events),
            answered: false,
            failed: false,
        })
    }

    fn announced_phases(&self) -> Option<PhaseMask> {
        self.script.announced
    }

    fn announced_body_mode(&self) -> BodyMode {
        self.script.mode
    }
}

struct FakeSession {
    name: &'static str,
    script: Script,
    events: Events,
    answered: bool,
    failed: bool,
}

impl FakeSession {
    fn write(&self, what: String) {
        self.events.borrow_mut().push(format!("{} {what}", self.name));
    }
}

impl Session for FakeSession {
    fn phases(&self) -> Option<PhaseMask> {
        if self.answered { self.script.mask } else { None }
    }

    fn body_mode(&self) -> BodyMode {
        self.script.mode
    }

    fn run<'a>(&'a mut self, call: Call<'a>) -> LocalBoxFuture<'a, Result<Outcome, PluginError>> {
        let payload = call.payload.map_or(String::new(), |payload| format!(" {}", String::from_utf8_lossy(payload)));
        self.write(format!("{}{payload}", seen(&call)));
        assert!(!self.failed, "a phase was started on a session that had failed");
        Box::pin(async move {
            let step = self.script.steps.get(&call.phase).cloned().unwrap_or(Step::Next(Vec::new()));
            let mut stream: Option<Box<dyn BodyStream>> = None;
            let (operations, action) = match step {
                Step::Stream(operations, text) => {
                    let input = match std::mem::take(&mut call.exchange.response.body) {
                        ResponseBody::Stream(input) => input,
                        other => {
                            call.exchange.response.body = other;
                            Box::new(Whole(Bytes::from_static(text.as_bytes())))
                        }
                    };
                    let mark = if call.phase == RequestFilter { "" } else { self.name };
                    stream = Some(Box::new(Marked { input, mark }));
                    (operations, Action::Next)
                }
                Step::Next(operations) => (operations, Action::Next),
                Step::End(operations) => (operations, Action::End),
                Step::Fail(kind) => {
                    self.failed = true;
                    return Err(PluginError::new(kind, "scripted"));
                }
                Step::Hang => std::future::pending().await,
            };
            self.answered = true;
            let timing = Timing {
                total: Duration::from_micros(900),
                queue: Duration::from_micros(200),
                handler: Duration::from_micros(300),
            };
            Ok(Outcome { operations, action, timing, stream, upgrade: None })
        })
    }

    fn log(&mut self, call: Call<'_>) {
        self.write(seen(&call));
    }

    fn close(&mut self, client_gone: bool) {
        self.write(if client_gone { "close(client gone)" } else { "close" }.to_owned());
    }
}

/// What comes, with a mark behind it.
struct Marked {
    input: Box<dyn BodyStream>,
    mark: &'static str,
}

impl BodyStream for Marked {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, StreamError>>> {
        match self.input.poll_piece(cx) {
            Poll::Ready(None) if !self.mark.is_empty() => {
                let mark = std::mem::take(&mut self.mark);
                Poll::Ready(Some(Ok(Piece::Data(Bytes::from_static(mark.as_bytes())))))
            }
            other => other,
        }
    }
}

/// All of a stream.
async fn whole(mut stream: Box<dyn BodyStream>) -> Bytes {
    let mut whole = Vec::new();
    while let Some(piece) = std::future::poll_fn(|cx| stream.poll_piece(cx)).await {
        if let Piece::Data(bytes) = piece.unwrap() {
            whole.extend_from_slice(&bytes);
        }
    }
    whole.into()
}

/// The phase and what the plugin sees of the answer; `!` for an error.
fn seen(call: &Call<'_>) -> String {
    let exchange = &*call.exchange;
    let error = if exchange.error.is_some() { "!" } else { "" };
    match call.phase {
        RequestFilter => format!("request(retry {})", call.retry),
        ResponseFilter => format!("response({}{error})", exchange.response.status.as_u16()),
        ResponseBodyFilter => {
            let whole = exchange.response.body.full().map(|body| String::from_utf8_lossy(body).into_owned());
            format!("body({})", whole.as_deref().unwrap_or("…"))
        }
        Logging => format!("logging({}{error})", exchange.response.status.as_u16()),
    }
}

/// Entries, and everything that has happened to them.
#[derive(Default)]
pub struct World {
    events: Events,
    entries: Vec<Entry>,
}

impl World {
    /// Entries with these names and scripts; their links have the same indexes.
    pub fn new(scripts: Vec<(&'static str, Script)>) -> Self {
        let mut world = Self::default();
        for (name, script) in scripts {
            let (max_body, in_flight) = (script.max_body, std::sync::Arc::clone(&script.in_flight));
            let plugin = FakePlugin { name, script, events: Rc::clone(&world.events) };
            world.entries.push(Entry::new(name, Rc::new(plugin), max_body, in_flight));
        }
        world
    }

    /// A run of links in front of a service, or of none.
    pub fn run(self, links: Vec<Link>, service: Option<Link>) -> (Run, Watch) {
        let entries: nylon_plugin::Entries = self.entries.into();
        let watch = Watch { events: self.events, entries: Rc::clone(&entries) };
        (Run::new(Rc::new(Chain::new(links, service)), entries), watch)
    }
}

/// What tests look at while the run is elsewhere.
pub struct Watch {
    events: Events,
    pub entries: nylon_plugin::Entries,
}

impl Watch {
    /// Everything that has happened since the last call.
    pub fn events(&self) -> Vec<String> {
        std::mem::take(&mut self.events.borrow_mut())
    }

    /// Whether every place among those in flight has been given back.
    pub fn is_idle(&self) -> bool {
        self.entries.iter().all(|entry| entry.in_flight.count() == 0)
    }
}

/// A link with the default policy.
pub fn link(entry: usize) -> Link {
    Link::new(entry, Duration::from_secs(5))
}

/// A link with the same policy for every phase.
pub fn link_on_error(entry: usize, on_error: OnError) -> Link {
    let policy = Policy { request_filter: on_error, response_filter: on_error, response_body_filter: on_error };
    Link { policy, ..link(entry) }
}

/// A link that is configured to these phases.
pub fn link_phases(entry: usize, phases: &[Phase]) -> Link {
    Link { phases: Some(phases.iter().copied().collect()), ..link(entry) }
}

pub fn exchange() -> Exchange {
    Exchange {
        request: Request {
            id: "r1".into(),
            method: Method::GET,
            uri: http::Uri::from_static("/a?b"),
            host: "a.test".into(),
            port: 0,
            headers: HeaderMap::new(),
            params: Vec::new(),
            client_ip: std::net::Ipv4Addr::LOCALHOST.into(),
            tls: false,
            websocket: false,
            content_length: None,
            timestamp_ms: 0,
            given: Default::default(),
            received: std::time::Instant::now(),
            route: "main".into(),
        },
        request_body: Box::new(NoBody),
        early: EarlyResponse::default(),
        response: Response::default(),
        error: None,
    }
}

pub fn set(name: &'static str, value: &'static str) -> Operation {
    Operation::SetResponseHeader { name: Text::from_static(name), value: Bytes::from_static(value.as_bytes()) }
}

pub fn set_request(name: &'static str, value: &'static str) -> Operation {
    Operation::SetRequestHeader { name: Text::from_static(name), value: Bytes::from_static(value.as_bytes()) }
}

pub fn status(status: u16) -> Operation {
    Operation::SetResponseStatus(status)
}

pub fn body(body: &'static str) -> Operation {
    Operation::SetResponseBody(WireBody::Inline(Bytes::from_static(body.as_bytes())))
}

/// What the upstream does.
pub enum Upstream {
    /// Answers with status, headers and body.
    Answers(u16, &'static [(&'static str, &'static str)], &'static str),
    /// Cannot be reached.
    Fails,
}

/// The usual upstream.
pub const OK: Upstream = Upstream::Answers(200, &[("etag", "1")], "hello");

/// What the client gets.
#[derive(Debug, PartialEq, Eq)]
pub struct Got {
    pub status: u16,
    pub headers: Vec<String>,
    pub body: String,
}

/// Takes an exchange through a run in the order in which the gateway does. `Err` when the client has gone.
pub async fn serve(run: Run, exchange: &mut Exchange, upstream: Upstream) -> Result<Got, String> {
    let mut run = run;
    let mut from_upstream = "";
    let answered = match run.request_filters(exchange).await {
        Ok(Flow::Answered) => Ok(()),
        Ok(Flow::Continue) if run.has_service() => run.service(exchange).await,
        Ok(Flow::Continue) => {
            from_upstream = ask(&run, exchange, upstream);
            Ok(())
        }
        Err(error) => Err(error),
    };
    let filtered = match answered {
        Ok(()) => filters(&mut run, exchange, from_upstream).await,
        Err(error) => Err(error),
    };
    if let Err(error) = filtered {
        if error.is_client_gone() {
            run.client_gone(exchange, "the client left");
            return Err(error.to_string());
        }
        from_upstream = "";
        answer_error(exchange, error.status(), error.code().code(), error.retry_after());
        run.response_filters(exchange).await.unwrap();
    }
    let body = match std::mem::take(&mut exchange.response.body) {
        ResponseBody::Full(body) => body,
        ResponseBody::Stream(stream) => whole(stream).await,
        ResponseBody::Service => Bytes::from_static(from_upstream.as_bytes()),
        ResponseBody::Socket(_) => panic!("nothing here upgrades"),
    };
    exchange.response.bytes_sent = body.len() as u64;
    let mut headers: Vec<String> =
        exchange.response.headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    headers.sort();
    let status = exchange.response.status.as_u16();
    run.finish(exchange);
    Ok(Got { status, headers, body: String::from_utf8(body.to_vec()).unwrap() })
}

fn ask(run: &Run, exchange: &mut Exchange, upstream: Upstream) -> &'static str {
    let mut headers = exchange.request.headers.clone();
    run.prepare_upstream_request(&mut headers);
    match upstream {
        Upstream::Fails => {
            answer_error(exchange, 502, "UPSTREAM_UNREACHABLE", None);
            ""
        }
        Upstream::Answers(status, headers, body) => {
            exchange.response.status = StatusCode::from_u16(status).unwrap();
            for (name, value) in headers {
                exchange.response.headers.append(*name, HeaderValue::from_static(value));
            }
            body
        }
    }
}

async fn filters(run: &mut Run, exchange: &mut Exchange, from_upstream: &'static str) -> Result<(), GatewayError> {
    run.response_filters(exchange).await?;
    let mut plan = run.plan_body(exchange)?;
    if let BodyPlan::Buffer { limit } = plan
        && exchange.response.body.full().is_none()
    {
        if from_upstream.len() > limit {
            plan = run.body_overflow(exchange)?;
        } else {
            exchange.response.body = ResponseBody::Full(Bytes::from_static(from_upstream.as_bytes()));
        }
    }
    match plan {
        BodyPlan::Pass | BodyPlan::Unknown => {}
        BodyPlan::Buffer { .. } => run.body_filters(exchange).await?,
        BodyPlan::Stream | BodyPlan::Offer => {
            if matches!(exchange.response.body, ResponseBody::Service) {
                let body = Whole(Bytes::from_static(from_upstream.as_bytes()));
                exchange.response.body = ResponseBody::Stream(Box::new(body));
            }
            run.stream_filters(exchange).await?;
        }
    }
    Ok(())
}

fn answer_error(exchange: &mut Exchange, status: u16, code: &str, retry_after: Option<Duration>) {
    let mut headers = HeaderMap::new();
    if let Some(after) = retry_after {
        headers.insert("retry-after", after.as_secs().into());
    }
    exchange.error = Some(code.to_owned());
    exchange.response = Response {
        status: StatusCode::from_u16(status).unwrap(),
        headers,
        body: ResponseBody::Full(Bytes::copy_from_slice(code.as_bytes())),
        bytes_sent: 0,
    };
}

/// Serves one request and gives back what the client got and what happened.
pub fn served(world: World, links: Vec<Link>, service: Option<Link>, upstream: Upstream) -> (Got, Vec<String>) {
    let (run, watch) = world.run(links, service);
    let mut exchange = exchange();
    let got = serve(run, &mut exchange, upstream).now_or_never().expect("nothing waits").unwrap();
    assert!(watch.is_idle(), "places among those in flight are left");
    (got, watch.events())
}
