//! A client that speaks raw HTTP.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
};

use nylon_proxy::Gateway;
use serde_json::Value;

use super::{PATIENCE, headers_of};

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
        headers_of(&self.head, name)
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
        assert!(body["id"].is_string(), "no id: {body}");
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
