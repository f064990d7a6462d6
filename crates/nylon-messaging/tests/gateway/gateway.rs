//! A gateway thread for a test: link, plugin, exchanges.

use std::{
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use http::{HeaderMap, Method};
use nylon_messaging::{
    ConnectionOptions,
    gateway::{Link, Messaging, MessagingOptions, NatsPlugin, PluginOptions},
};
use nylon_plugin::{
    BodyError, BodyStream, Call, EarlyResponse, Exchange, HeaderFilter, NoBody, Outcome, Phase, Plugin, PluginError,
    Request, RequestBody, Response, Session, Whole,
};
use nylon_wire::OpenFrame;

use crate::{fake::Fake, server::NatsServer};

pub const GROUP: &str = "auth workers";
pub const ENTRY: &str = "auth";

/// Runs a test the way a gateway thread runs.
pub fn run<F: Future<Output = ()>>(test: F) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(tokio::runtime::LocalOptions::default())
        .unwrap();
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(60), test).await.expect("the test hangs");
    });
}

/// A gateway thread.
pub struct Gateway {
    pub server: NatsServer,
    pub messaging: Arc<Messaging>,
    pub link: Rc<Link>,
    pub plugin: NatsPlugin,
}

impl Gateway {
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut PluginOptions)) -> Self {
        Self::on(NatsServer::start(), change).await
    }

    pub async fn on(server: NatsServer, change: impl FnOnce(&mut PluginOptions)) -> Self {
        let connection = ConnectionOptions { servers: vec![server.url()], ..Default::default() };
        let messaging = Messaging::new(MessagingOptions { connection, ..Default::default() }).unwrap();
        let mut options = PluginOptions::new("auth", GROUP);
        change(&mut options);
        let shared = messaging.plugin(options).unwrap();
        let link = Link::start(&messaging, 0).await.unwrap();
        let plugin = NatsPlugin::new(&link, &shared, ENTRY).unwrap();
        let gateway = Self { server, messaging, link, plugin };
        gateway.connected().await;
        gateway
    }

    pub async fn connected(&self) {
        until("the connection", || self.link.is_connected()).await;
    }

    /// A worker that serves the entry through the queue group and directly.
    pub async fn worker(&self, id: &str) -> Fake {
        Fake::start(&self.server.url(), GROUP, id, Some(ENTRY)).await
    }

    /// A worker that beats; returns when the gateway has heard it.
    pub async fn beating_worker(&self, id: &str) -> Fake {
        let mut fake = self.worker(id).await;
        fake.beat().await;
        self.heard(id).await;
        fake
    }

    pub async fn heard(&self, id: &str) {
        until("a beat", || {
            self.messaging.workers().groups().iter().any(|group| group.workers().iter().any(|w| w.id() == id))
        })
        .await;
    }

    /// The only worker accepts the open; returns when the gateway knows.
    pub async fn accepted_by(&self, worker: &mut Fake, open: &OpenFrame) {
        worker.accept(open).await;
        until("the accept", || self.messaging.workers().groups()[0].workers().iter().any(|w| w.in_flight() == 1)).await;
    }

    pub fn session(&self) -> Box<dyn Session> {
        self.plugin.session()
    }

    /// Asserts that nothing is left of what was.
    pub async fn assert_clean(&self) {
        until("the slots to be free", || self.link.stats().slots_in_use.get() == 0).await;
        assert_eq!(self.messaging.plugins()[0].in_flight, 0);
        for group in self.messaging.workers().groups() {
            assert!(group.workers().iter().all(|worker| worker.in_flight() == 0), "a worker has phases in flight");
        }
    }
}

/// Waits for a condition.
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < end, "waiting for {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

pub fn exchange() -> Exchange {
    let mut headers = HeaderMap::new();
    headers.append("authorization", "Bearer t".parse().unwrap());
    headers.append("accept", "a".parse().unwrap());
    headers.append("accept", "b".parse().unwrap());
    headers.append("x-odd", http::HeaderValue::from_bytes(b"\xff\xfe").unwrap());
    Exchange {
        request: Request {
            id: "req-1".into(),
            method: Method::GET,
            uri: "/users/42?x=1".parse().unwrap(),
            host: "a.test".into(),
            port: 8080,
            headers,
            params: vec![("id".into(), "42".into())],
            client_ip: [127, 0, 0, 1].into(),
            tls: false,
            websocket: false,
            content_length: None,
            timestamp_ms: 1_700_000_000_123,
            given: Default::default(),
            received: Instant::now(),
            route: "main".into(),
        },
        request_body: Box::new(NoBody),
        early: EarlyResponse::default(),
        response: Response::default(),
        error: None,
    }
}

/// A request for a WebSocket.
pub fn handshake() -> Exchange {
    let mut exchange = exchange();
    exchange.request.websocket = true;
    for (name, value) in [
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ] {
        exchange.request.headers.insert(name, value.parse().unwrap());
    }
    exchange
}

/// A request body in memory.
pub struct Body {
    pub bytes: Bytes,
    /// Whether it is here before anybody asks.
    pub ready: bool,
}

impl RequestBody for Body {
    fn read_all(&mut self, limit: usize) -> LocalBoxFuture<'_, Result<Bytes, BodyError>> {
        let body = if self.bytes.len() > limit { Err(BodyError::TooLarge(limit)) } else { Ok(self.bytes.clone()) };
        Box::pin(std::future::ready(body))
    }

    fn ready(&mut self, limit: usize) -> Option<Bytes> {
        (self.ready && self.bytes.len() <= limit).then(|| self.bytes.clone())
    }

    fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    fn stream(&mut self, _keep: usize) -> Result<Box<dyn BodyStream>, BodyError> {
        Ok(Box::new(Whole(self.bytes.clone())))
    }

    fn share(&self) -> Box<dyn RequestBody> {
        Box::new(Self { bytes: self.bytes.clone(), ready: self.ready })
    }
}

pub fn with_body(bytes: impl Into<Bytes>) -> Exchange {
    Exchange { request_body: Box::new(Body { bytes: bytes.into(), ready: true }), ..exchange() }
}

/// What a test wants of a phase.
#[derive(Clone)]
pub struct Ask {
    pub phase: Phase,
    pub within: Duration,
    pub payload: Option<Bytes>,
    pub headers: HeaderFilter,
    pub retry: u32,
    pub again: bool,
}

impl Default for Ask {
    fn default() -> Self {
        Self {
            phase: Phase::RequestFilter,
            within: Duration::from_secs(5),
            payload: None,
            headers: HeaderFilter::default(),
            retry: 1,
            again: false,
        }
    }
}

impl Ask {
    pub fn phase(phase: Phase) -> Self {
        Self { phase, ..Self::default() }
    }

    pub fn within(milliseconds: u64) -> Self {
        Self { within: Duration::from_millis(milliseconds), ..Self::default() }
    }

    pub fn call<'a>(&'a self, exchange: &'a mut Exchange) -> Call<'a> {
        let started = Instant::now();
        Call {
            phase: self.phase,
            exchange,
            payload: self.payload.as_ref(),
            started,
            deadline: started + self.within,
            headers: &self.headers,
            again: self.again,
            body_next: false,
            retry: self.retry,
        }
    }

    pub async fn of(&self, session: &mut dyn Session, exchange: &mut Exchange) -> Result<Outcome, PluginError> {
        session.run(self.call(exchange)).await
    }
}

/// A request filter of a new session.
pub async fn filter(gateway: &Gateway) -> Result<Outcome, PluginError> {
    filter_with(gateway, &Ask::default(), exchange()).await
}

pub async fn filter_with(gateway: &Gateway, ask: &Ask, mut exchange: Exchange) -> Result<Outcome, PluginError> {
    ask.of(&mut *gateway.session(), &mut exchange).await
}

/// Starts a request filter that runs beside the test.
pub fn spawn_filter(gateway: &Gateway, ask: Ask) -> tokio::task::JoinHandle<(Result<Outcome, PluginError>, Duration)> {
    let plugin = gateway.plugin.clone();
    tokio::task::spawn_local(async move {
        let started = Instant::now();
        let result = ask.of(&mut *plugin.session(), &mut exchange()).await;
        (result, started.elapsed())
    })
}
