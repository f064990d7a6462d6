//! One keep-alive HTTP/1.1 connection with at most one request in flight.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::report::Outcome;

/// What reading brought.
pub enum Progress {
    /// Not complete yet.
    More,
    /// A complete answer; `keep` says whether the connection may be used again.
    Answer { status: Outcome, keep: bool },
    /// Closed or unreadable before the answer was complete.
    Broken,
}

pub struct Connection {
    stream: Option<TcpStream>,
    received: Vec<u8>,
    in_flight: Option<(Duration, Duration, u8)>,
}

impl Connection {
    pub fn closed() -> Self {
        Connection { stream: None, received: Vec::new(), in_flight: None }
    }

    pub fn stream(&self) -> Option<&TcpStream> {
        self.stream.as_ref()
    }

    /// Due instant, send instant and class of the request on its way.
    pub fn in_flight(&self) -> Option<(Duration, Duration, u8)> {
        self.in_flight
    }

    pub fn open(&mut self, address: SocketAddr) -> io::Result<()> {
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        self.received.clear();
        self.in_flight = None;
        self.stream = Some(stream);
        Ok(())
    }

    pub fn close(&mut self) {
        self.stream = None;
        self.in_flight = None;
        self.received.clear();
    }

    pub fn finish(&mut self) {
        self.in_flight = None;
        self.received.clear();
    }

    /// A request is far smaller than a socket buffer, so a short write means a broken connection.
    pub fn send(&mut self, request: &[u8], due: Duration, sent: Duration, class: u8) -> io::Result<()> {
        let stream = self.stream.as_mut().ok_or(ErrorKind::NotConnected)?;
        if stream.write(request)? != request.len() {
            return Err(ErrorKind::WriteZero.into());
        }
        self.in_flight = Some((due, sent, class));
        Ok(())
    }

    pub fn receive(&mut self) -> Progress {
        let Some(stream) = self.stream.as_mut() else {
            return Progress::More;
        };
        let mut chunk = [0_u8; 16 * 1024];
        loop {
            match stream.read(&mut chunk) {
                Ok(0) => return Progress::Broken,
                Ok(length) => {
                    self.received.extend_from_slice(&chunk[..length]);
                    if let Some(answer) = complete(&self.received) {
                        return answer;
                    }
                    if length < chunk.len() {
                        return Progress::More;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Progress::More,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Progress::Broken,
            }
        }
    }
}

/// The answer in `received`, once all of it is there.
fn complete(received: &[u8]) -> Option<Progress> {
    let head_end = received.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let Ok(head) = std::str::from_utf8(&received[..head_end]) else {
        return Some(Progress::Broken);
    };
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.get(9..12)).and_then(|code| code.parse().ok());
    let Some(status) = status else {
        return Some(Progress::Broken);
    };
    let (mut length, mut chunked, mut keep) = (None, false, true);
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            length = value.parse::<usize>().ok();
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            chunked = value.eq_ignore_ascii_case("chunked");
        } else if name.eq_ignore_ascii_case("connection") {
            keep = !value.eq_ignore_ascii_case("close");
        }
    }
    let body = &received[head_end..];
    let done = if chunked { body.ends_with(b"0\r\n\r\n") } else { body.len() >= length.unwrap_or(0) };
    done.then_some(Progress::Answer { status, keep })
}
