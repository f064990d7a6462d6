//! Compiles the library, and takes exchanges through its entries in the order in which a gateway does.

use std::{
    collections::{HashMap, VecDeque},
    path::PathBuf,
    process::Command,
    rc::Rc,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use nylon_ffi::{Executor, FfiPlugin, Library};
use nylon_plugin::{
    BodyError, BodyPlan, BodyStream, Chain, EarlyResponse, Entries, Entry, Exchange, Flow, GatewayError, InFlight,
    Link, OnError, Payload, Piece, Policy, Request, RequestBody, Response, ResponseBody, Run, StreamError, Whole,
};

/// The library, compiled once per process with these macros.
pub fn file(defines: &[&str]) -> PathBuf {
    static BUILT: Mutex<Option<HashMap<String, PathBuf>>> = Mutex::new(None);
    let mut built = BUILT.lock().unwrap();
    let key = defines.join("-");
    let path = built.get_or_insert_default().entry(key.clone()).or_insert_with(|| {
        let sources = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/library");
        let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("tested-{key}.so"));
        // Other processes may load it at the same time.
        let fresh = target.with_extension(std::process::id().to_string());
        let compiled = Command::new("cc")
            .args(["-g", "-std=gnu11", "-shared", "-fPIC", "-fno-builtin", "-D_GNU_SOURCE"])
            .args(defines.iter().map(|define| format!("-D{define}")))
            .arg("-o")
            .arg(&fresh)
            .args([sources.join("library.c"), sources.join("entries.c")])
            .arg("-lpthread")
            .status();
        assert!(compiled.unwrap().success(), "cc");
        std::fs::rename(fresh, &target).unwrap();
        target
    });
    path.clone()
}

/// The library, loaded.
pub fn library(defines: &[&str]) -> &'static Library {
    Library::load(&file(defines)).unwrap()
}

/// How an entry is asked.
#[derive(Clone)]
pub struct Options {
    pub timeout: Duration,
    pub on_error: OnError,
    pub max_body: usize,
    pub payload: Option<&'static str>,
    pub library: &'static Library,
    pub executor: Executor,
}

pub fn options() -> Options {
    Options {
        timeout: Duration::from_secs(10),
        on_error: OnError::Fail,
        max_body: 1 << 20,
        payload: None,
        library: library(&[]),
        executor: Executor::Pool,
    }
}

/// A run of these entries; the last one is the service if `service`.
pub fn run(entries: &[&str], service: bool, options: &Options) -> Run {
    let (chain, entries) = parts(entries, service, options);
    Run::new(chain, entries)
}

/// What several runs may share.
pub fn parts(entries: &[&str], service: bool, options: &Options) -> (Rc<Chain>, Entries) {
    let plugin = Arc::from("tested");
    let mut names = entries.to_vec();
    names.sort_unstable();
    names.dedup();
    let made: Vec<_> = names
        .iter()
        .map(|entry| {
            let made = FfiPlugin::new(options.library, &plugin, entry, options.max_body).executor(options.executor);
            Entry::new(format!("tested/{entry}"), Rc::new(made), options.max_body, InFlight::new(1_000))
        })
        .collect();
    let on_error = options.on_error;
    let mut links: Vec<_> = entries
        .iter()
        .map(|entry| Link {
            payload: options.payload.map(|text| Payload::Constant(Bytes::from_static(text.as_bytes()))),
            policy: Policy { request_filter: on_error, response_filter: on_error, response_body_filter: on_error },
            ..Link::new(names.binary_search(entry).unwrap(), options.timeout)
        })
        .collect();
    let service = if service { links.pop() } else { None };
    (Rc::new(Chain::new(links, service)), made.into())
}

/// A request.
pub fn exchange(headers: &[(&'static str, &'static str)], body: &'static [u8]) -> Exchange {
    let headers = headers
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .collect::<HeaderMap>();
    Exchange {
        request: Request {
            id: "r1".into(),
            method: Method::POST,
            uri: http::Uri::from_static("/a/b?c=d"),
            host: "a.test".into(),
            port: 8080,
            headers,
            params: vec![("name".into(), "b\"".into())],
            client_ip: std::net::Ipv4Addr::LOCALHOST.into(),
            tls: true,
            websocket: false,
            content_length: Some(body.len() as u64),
            timestamp_ms: 1_700_000_000_000,
            given: Default::default(),
            received: Instant::now(),
            route: "main".into(),
        },
        request_body: Box::new(Body(Bytes::from_static(body))),
        early: EarlyResponse::default(),
        response: Response::default(),
        error: None,
    }
}

struct Body(Bytes);

impl RequestBody for Body {
    fn read_all(&mut self, limit: usize) -> LocalBoxFuture<'_, Result<Bytes, BodyError>> {
        let body = self.0.clone();
        Box::pin(async move {
            // As over a socket: not at once.
            tokio::task::yield_now().await;
            if body.len() > limit { Err(BodyError::TooLarge(limit)) } else { Ok(body) }
        })
    }

    fn ready(&mut self, _limit: usize) -> Option<Bytes> {
        None
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn stream(&mut self, _keep: usize) -> Result<Box<dyn BodyStream>, BodyError> {
        Ok(Box::new(Whole(self.0.clone())))
    }

    fn share(&self) -> Box<dyn RequestBody> {
        Box::new(Self(self.0.clone()))
    }
}

/// A body that comes in pieces.
pub struct Pieces(pub VecDeque<Bytes>);

impl BodyStream for Pieces {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, StreamError>>> {
        cx.waker().wake_by_ref();
        Poll::Ready(self.0.pop_front().map(|piece| Ok(Piece::Data(piece))))
    }
}

/// What the client gets.
#[derive(Debug)]
pub struct Got {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Result<String, String>,
    /// The body that the upstream sent went through as it was.
    pub untouched: bool,
}

impl Got {
    pub fn text(&self) -> &str {
        self.body.as_deref().unwrap()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// Takes an exchange through a run in front of an upstream that answers with these pieces.
pub async fn serve(mut run: Run, exchange: &mut Exchange, upstream: &[&'static str]) -> Got {
    let pieces = || Box::new(Pieces(upstream.iter().map(|piece| Bytes::from_static(piece.as_bytes())).collect()));
    let answered = match run.request_filters(exchange).await {
        Ok(Flow::Answered) => Ok(()),
        Ok(Flow::Continue) if run.has_service() => run.service(exchange).await,
        Ok(Flow::Continue) => {
            exchange.response.status = StatusCode::OK;
            exchange.response.headers.insert("x-upstream", HeaderValue::from_static("yes"));
            exchange.response.headers.insert("etag", HeaderValue::from_static("1"));
            exchange.response.body = ResponseBody::Service;
            Ok(())
        }
        Err(error) => Err(error),
    };
    let filtered = match answered {
        Ok(()) => filters(&mut run, exchange, pieces()).await,
        Err(error) => Err(error),
    };
    let mut untouched = false;
    match filtered {
        Ok(same) => untouched = same,
        Err(error) => {
            exchange.error = Some(error.code().code().to_owned());
            exchange.response = Response {
                status: StatusCode::from_u16(error.status()).unwrap(),
                headers: HeaderMap::new(),
                body: ResponseBody::Full(Bytes::from_static(error.code().code().as_bytes())),
                bytes_sent: 0,
            };
            run.response_filters(exchange).await.unwrap();
        }
    }
    let body = match std::mem::take(&mut exchange.response.body) {
        ResponseBody::Full(body) => Ok(String::from_utf8_lossy(&body).into_owned()),
        ResponseBody::Stream(stream) => whole(stream).await,
        ResponseBody::Service => whole(pieces()).await,
        ResponseBody::Socket(_) => panic!("nothing here upgrades"),
    };
    exchange.response.bytes_sent = body.as_ref().map_or(0, |body| body.len() as u64);
    let got =
        Got { status: exchange.response.status.as_u16(), headers: exchange.response.headers.clone(), body, untouched };
    run.finish(exchange);
    got
}

async fn filters(run: &mut Run, exchange: &mut Exchange, pieces: Box<Pieces>) -> Result<bool, GatewayError> {
    run.response_filters(exchange).await?;
    match run.plan_body(exchange)? {
        BodyPlan::Pass | BodyPlan::Unknown => Ok(true),
        BodyPlan::Stream | BodyPlan::Offer => {
            if matches!(exchange.response.body, ResponseBody::Service) {
                exchange.response.body = ResponseBody::Stream(pieces);
            }
            run.stream_filters(exchange).await
        }
        BodyPlan::Buffer { .. } => {
            if exchange.response.body.full().is_none() {
                let body = whole(pieces).await.unwrap();
                exchange.response.body = ResponseBody::Full(body.into());
            }
            run.body_filters(exchange).await.map(|()| false)
        }
    }
}

pub async fn whole(mut stream: Box<dyn BodyStream>) -> Result<String, String> {
    let mut whole = Vec::new();
    while let Some(piece) = std::future::poll_fn(|cx| stream.poll_piece(cx)).await {
        match piece {
            Ok(Piece::Data(bytes)) => whole.extend_from_slice(&bytes),
            Ok(Piece::Trailers(_)) => {}
            Err(error) => return Err(error.to_string()),
        }
        stream.moved_on();
    }
    Ok(String::from_utf8_lossy(&whole).into_owned())
}

/// Waits until the library has no session any more.
pub async fn calm(library: &Library) {
    let until = Instant::now() + Duration::from_secs(60);
    while library.sessions() > 0 {
        assert!(Instant::now() < until, "{} sessions are left", library.sessions());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
