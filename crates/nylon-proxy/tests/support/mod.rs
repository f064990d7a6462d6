//! What the tests stand on: a gateway, an upstream that records every byte, and clients that speak raw HTTP.
#![allow(dead_code, missing_docs, clippy::unwrap_used, clippy::expect_used)]

pub mod scripted;

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use nylon_proxy::{Gateway, NoPlugins, PluginSource};
use serde_json::{Value, json};

/// No test waits longer for anything.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub fn eventually(what: &str, mut is: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::yield_now();
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A request as an upstream got it.
#[derive(Clone, Debug, Default)]
pub struct Received {
    /// Request line and headers, as sent.
    pub head: String,
    /// Decoded.
    pub body: Vec<u8>,
    pub trailers: String,
    /// Which connection it came on, from 0.
    pub connection: usize,
}

impl Received {
    pub fn line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers(name).into_iter().next()
    }

    pub fn headers(&self, name: &str) -> Vec<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).collect()
    }
}

type Handler = dyn Fn(&Received, &mut TcpStream) -> bool + Send + Sync;

/// An upstream on a port of its own.
pub struct Upstream {
    pub address: SocketAddr,
    requests: Arc<Mutex<Vec<Received>>>,
    pub connections: Arc<AtomicUsize>,
    /// Connections that the upstream has closed.
    pub closed: Arc<AtomicUsize>,
    stopped: Arc<AtomicBool>,
}

impl Upstream {
    /// Answers every request with `handler`; while it says `true`, the connection is kept.
    pub fn start(handler: impl Fn(&Received, &mut TcpStream) -> bool + Send + Sync + 'static) -> Self {
        Self::raw(move |received, socket, read_body| {
            read_body(socket, received);
            handler(received, socket)
        })
    }

    /// As [`Upstream::start`], but the handler decides when the body is read.
    pub fn raw(
        handler: impl Fn(&mut Received, &mut TcpStream, &dyn Fn(&mut TcpStream, &mut Received)) -> bool
        + Send
        + Sync
        + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(AtomicUsize::new(0));
        let closed = Arc::new(AtomicUsize::new(0));
        let closing = closed.clone();
        let stopped = Arc::new(AtomicBool::new(false));
        let handler = Arc::new(handler);
        let (seen, counted, stop) = (requests.clone(), connections.clone(), stopped.clone());
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                if stop.load(SeqCst) {
                    return;
                }
                let Ok(mut socket) = socket else { continue };
                let connection = counted.fetch_add(1, SeqCst);
                let (seen, handler, closing) = (seen.clone(), handler.clone(), closing.clone());
                std::thread::spawn(move || {
                    socket.set_nodelay(true).unwrap();
                    while let Some(head) = read_head(&mut socket) {
                        let mut received = Received { head, connection, ..Received::default() };
                        let kept = {
                            let seen = seen.clone();
                            let read_body = move |socket: &mut TcpStream, received: &mut Received| {
                                read_body(socket, received);
                                seen.lock().unwrap().push(received.clone());
                            };
                            handler(&mut received, &mut socket, &read_body)
                        };
                        if !kept {
                            break;
                        }
                    }
                    drop(socket);
                    closing.fetch_add(1, SeqCst);
                });
            }
        });
        Self { address, requests, connections, closed, stopped }
    }

    /// Answers `200` with a body that names the request line.
    pub fn echo() -> Self {
        Self::start(|received, socket| respond(socket, 200, received.line().as_bytes()))
    }

    pub fn requests(&self) -> Vec<Received> {
        self.requests.lock().unwrap().clone()
    }

    /// The only request that came.
    pub fn request(&self) -> Received {
        let requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:?}");
        requests[0].clone()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.stopped.store(true, SeqCst);
        drop(TcpStream::connect(self.address));
    }
}

/// A plain answer; always `true`.
pub fn respond(socket: &mut TcpStream, status: u16, body: &[u8]) -> bool {
    let head = format!("HTTP/1.1 {status} Whatever\r\ncontent-length: {}\r\n\r\n", body.len());
    socket.write_all(&[head.as_bytes(), body].concat()).is_ok()
}

fn read_line(socket: &mut TcpStream) -> Option<String> {
    let mut line = Vec::new();
    let mut byte = [0];
    while !line.ends_with(b"\r\n") {
        if socket.read(&mut byte).ok()? == 0 {
            return None;
        }
        line.push(byte[0]);
    }
    Some(String::from_utf8_lossy(&line).into_owned())
}

fn read_head(socket: &mut TcpStream) -> Option<String> {
    let mut head = String::new();
    loop {
        let line = read_line(socket)?;
        if line == "\r\n" {
            return Some(head);
        }
        head.push_str(&line);
    }
}

fn read_body(socket: &mut TcpStream, received: &mut Received) {
    if received.header("transfer-encoding").is_some() {
        loop {
            let Some(size) = read_line(socket).and_then(|line| usize::from_str_radix(line.trim(), 16).ok()) else {
                return;
            };
            if size == 0 {
                received.trailers = read_head(socket).unwrap_or_default();
                return;
            }
            let mut chunk = vec![0; size + 2];
            if socket.read_exact(&mut chunk).is_err() {
                return;
            }
            received.body.extend_from_slice(&chunk[..size]);
        }
    }
    let length = received.header("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    let mut read = 0;
    while read < length {
        match socket.read(&mut body[read..]) {
            Ok(0) | Err(_) => break,
            Ok(count) => read += count,
        }
    }
    body.truncate(read);
    received.body = body;
}

/// The snapshot of a gateway in front of one upstream; change what a test is about.
pub fn snapshot(upstream: SocketAddr) -> Value {
    json!({
        "revision": {"number": 1, "loaded_at_ms": 0},
        "process": {"listen": ["127.0.0.1:0"], "admin": ["127.0.0.1:0"], "threads": 1, "drain_timeout_ms": 1000},
        "limits": {"max_header_bytes": 65536, "max_headers": 100, "max_request_body_bytes": null, "max_connections": 1000,
            "header_timeout_ms": 10000, "idle_timeout_ms": 60000, "read_timeout_ms": 60000, "write_timeout_ms": 60000},
        "trusted_proxies": [], "header_selector": "x-nylon-proxy", "messaging": [], "plugins": [],
        "services": [service("api", upstream)],
        "routes": [{"name": "main", "match": {"type": "host", "values": ["*"]}, "strip_headers": [],
            "paths": [{"patterns": ["/", "/{*path}"], "methods": null, "service": "api", "rewrite": null, "chain": []}]}],
    })
}

pub fn service(name: &str, upstream: SocketAddr) -> Value {
    json!({"name": name, "type": "http", "algorithm": "round_robin", "endpoints": [{"address": upstream.to_string(), "weight": 1}],
        "connect_timeout_ms": 5000, "head_timeout_ms": 60000, "read_timeout_ms": 60000, "write_timeout_ms": 60000,
        "idle_timeout_ms": 60000, "max_idle_connections": 16})
}

pub fn start(snapshot: &Value) -> Gateway {
    start_with(snapshot, Arc::new(NoPlugins))
}

pub fn start_with(snapshot: &Value, source: Arc<dyn PluginSource>) -> Gateway {
    Gateway::start(snapshot.to_string().as_bytes(), source).unwrap()
}

/// A gateway in front of an upstream.
pub fn gateway(upstream: &Upstream) -> Gateway {
    start(&snapshot(upstream.address))
}

/// A gateway whose snapshot was changed.
pub fn gateway_with(upstream: &Upstream, change: impl FnOnce(&mut Value)) -> Gateway {
    let mut snapshot = snapshot(upstream.address);
    change(&mut snapshot);
    start(&snapshot)
}

/// A client that sends bytes as they are.
pub struct Client {
    pub socket: TcpStream,
    buffer: Vec<u8>,
}

/// An answer as a client got it.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
    /// What followed a chunked body.
    pub trailers: String,
}

impl Answer {
    pub fn headers(&self, name: &str) -> Vec<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).collect()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers(name).into_iter().next()
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The `error` of an error answer, whose form is checked too.
    pub fn error(&self) -> String {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no json: {self:?}"));
        assert_eq!(body["status"], self.status);
        assert_eq!(self.header("content-type"), Some("application/json"));
        assert_eq!(body["id"].as_str(), self.header("x-request-id"));
        body["error"].as_str().unwrap().to_owned()
    }
}

impl Client {
    pub fn connect(gateway: &Gateway) -> Self {
        Self::to(gateway.addresses()[0])
    }

    pub fn to(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_nodelay(true).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, buffer: Vec::new() }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.socket.write_all(bytes.as_ref()).unwrap();
        self
    }

    /// Sends what the other side may refuse to take.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.socket.write_all(bytes.as_ref()).is_ok()
    }

    pub fn get(&mut self, path: &str) -> Answer {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: a.test\r\n\r\n")).answer()
    }

    fn fill(&mut self) -> std::io::Result<usize> {
        let mut space = [0; 65536];
        let count = self.socket.read(&mut space)?;
        self.buffer.extend_from_slice(&space[..count]);
        Ok(count)
    }

    fn take_until(&mut self, end: &str) -> Option<String> {
        loop {
            if let Some(at) = self.buffer.windows(end.len()).position(|window| window == end.as_bytes()) {
                let taken: Vec<u8> = self.buffer.drain(..at + end.len()).collect();
                return Some(String::from_utf8(taken[..at].to_vec()).unwrap());
            }
            if self.fill().ok()? == 0 {
                return None;
            }
        }
    }

    fn take(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.buffer.len() < length {
            if self.fill().ok()? == 0 {
                return None;
            }
        }
        Some(self.buffer.drain(..length).collect())
    }

    /// The head of the next answer.
    pub fn head(&mut self) -> Answer {
        let head = self.take_until("\r\n\r\n").expect("no answer");
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head, body: Vec::new(), trailers: String::new() }
    }

    /// The next answer with its body.
    pub fn answer(&mut self) -> Answer {
        self.try_answer(true).expect("the answer broke off")
    }

    pub fn answer_to_head(&mut self) -> Answer {
        self.try_answer(false).expect("the answer broke off")
    }

    /// The next answer; `None` if it is not whole.
    pub fn try_answer(&mut self, has_body: bool) -> Option<Answer> {
        let mut answer = self.head();
        let bodiless = !has_body || answer.status < 200 || answer.status == 204 || answer.status == 304;
        if bodiless {
            return Some(answer);
        }
        if answer.header("transfer-encoding").is_some() {
            loop {
                let size = self.take_until("\r\n")?;
                let size = usize::from_str_radix(&size, 16).unwrap();
                if size == 0 {
                    loop {
                        match self.take_until("\r\n")? {
                            line if line.is_empty() => return Some(answer),
                            line => answer.trailers += &line,
                        }
                    }
                }
                answer.body.extend(self.take(size)?);
                assert_eq!(self.take(2)?, b"\r\n");
            }
        }
        if let Some(length) = answer.header("content-length") {
            answer.body = self.take(length.parse().unwrap())?;
            return Some(answer);
        }
        loop {
            match self.fill() {
                Ok(0) => break,
                Ok(_) => {}
                Err(_) => return None,
            }
        }
        answer.body = std::mem::take(&mut self.buffer);
        Some(answer)
    }

    /// Asserts that the gateway closes the connection without another byte, by FIN.
    pub fn assert_closed(&mut self) {
        assert_eq!(self.fill().expect("a clean end"), 0);
        assert!(self.buffer.is_empty(), "{:?}", String::from_utf8_lossy(&self.buffer));
    }

    /// Asserts that the gateway resets the connection.
    pub fn assert_reset(&mut self) {
        loop {
            match self.fill() {
                Ok(0) => panic!("a clean end"),
                Ok(_) => {}
                Err(error) => return assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
            }
        }
    }

    /// Everything up to the end of the connection.
    pub fn rest(&mut self) -> String {
        while self.fill().is_ok_and(|count| count > 0) {}
        String::from_utf8_lossy(&std::mem::take(&mut self.buffer)).into_owned()
    }

    pub fn finish(&mut self) {
        self.socket.shutdown(Shutdown::Write).unwrap();
    }
}
