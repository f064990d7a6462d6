//! An upstream that records every byte.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
};

use super::headers_of;

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
        headers_of(&self.head, name)
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
