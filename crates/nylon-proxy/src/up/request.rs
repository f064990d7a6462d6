//! How a request is written to an upstream: straight from the headers of the exchange.

use std::{
    io::Write as _,
    net::{IpAddr, SocketAddr},
};

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use nylon_plugin::Given;

use crate::{framing::is_token, headers::is_hop_by_hop};

/// What the upstream is told.
pub(crate) struct Outbound<'a> {
    pub(crate) method: &'a Method,
    /// Path and query.
    pub(crate) target: &'a str,
    /// As plugins have left them.
    pub(crate) headers: &'a HeaderMap,
    /// The request's id, or the one that a request filter has given it.
    pub(crate) id: &'a [u8],
    /// What request filters have given of the headers below: it is among `headers`.
    pub(crate) given: Given,
    /// The socket's other end: a client or a trusted proxy.
    pub(crate) peer: &'a Peer,
    /// Whether `peer` is a trusted proxy: what it forwards is kept and added to (rules §10).
    pub(crate) trusted: bool,
    pub(crate) tls: bool,
    /// A body filter will read the answer: no coding, no part of it (rules §9).
    pub(crate) identity: bool,
}

/// The address of a client's socket, as headers spell it. Made once per connection.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) address: IpAddr,
    /// For `X-Forwarded-For`.
    plain: Box<str>,
    /// For `Forwarded`.
    node: Box<str>,
}

impl Peer {
    pub(crate) fn new(address: IpAddr) -> Self {
        let address = address.to_canonical();
        let plain = address.to_string();
        let node = if address.is_ipv6() { format!("for=\"[{plain}]\"") } else { format!("for={plain}") };
        Self { address, plain: plain.into(), node: node.into() }
    }
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");

/// Room for a usual head, bytes.
const ROOM: usize = 1024;

/// How the request body is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    None,
    Length(u64),
    Chunked,
}

impl Outbound<'_> {
    /// Writes the head.
    pub(crate) fn encode(&self, output: &mut Vec<u8>, framing: Framing, upstream: SocketAddr) {
        output.clear();
        output.reserve(ROOM);
        push(output, &[self.method.as_str().as_bytes(), b" ", self.target.as_bytes(), b" HTTP/1.1\r\nhost: "]);
        let host = self.headers.get(header::HOST);
        match host {
            Some(host) => output.extend_from_slice(host.as_bytes()),
            None => write(output, format_args!("{upstream}")),
        }
        output.extend_from_slice(b"\r\n");
        let mut trailers = false;
        for (name, value) in self.headers {
            let name = name.as_str();
            if name == "te" {
                trailers |= value
                    .as_bytes()
                    .split(|&byte| byte == b',')
                    .any(|te| te.trim_ascii().eq_ignore_ascii_case(b"trailers"));
            }
            if !self.withheld(name) {
                push(output, &[name.as_bytes(), b": ", value.as_bytes(), b"\r\n"]);
            }
        }
        if trailers {
            output.extend_from_slice(b"te: trailers\r\nconnection: te\r\n");
        }
        if self.identity {
            output.extend_from_slice(b"accept-encoding: identity\r\n");
        }
        self.forwarded(output, host);
        match framing {
            Framing::Length(length) => write(output, format_args!("content-length: {length}\r\n")),
            Framing::Chunked => output.extend_from_slice(b"transfer-encoding: chunked\r\n"),
            // Servers may insist on a length where a body is usual (RFC 9110 §8.6).
            Framing::None if matches!(*self.method, Method::POST | Method::PUT | Method::PATCH) => {
                output.extend_from_slice(b"content-length: 0\r\n");
            }
            Framing::None => {}
        }
        output.extend_from_slice(b"\r\n");
    }

    /// Whether a header is left out: it is ours to write, or nobody's.
    fn withheld(&self, name: &str) -> bool {
        match name {
            "host" | "content-length" | "expect" | "x-request-id" => true,
            "x-forwarded-for" | "x-forwarded-proto" | "x-forwarded-host" | "x-forwarded-port" | "forwarded" => {
                !self.given.has(name)
            }
            "accept-encoding" | "range" | "if-range" => self.identity,
            // Some upstreams take `X_Forwarded_For` for what the gateway says.
            _ if name.starts_with('x') && name.contains('_') => Given::concerns(&name.replace('_', "-")),
            _ => is_hop_by_hop(name),
        }
    }

    fn forwarded(&self, output: &mut Vec<u8>, host: Option<&HeaderValue>) {
        let scheme: &[u8] = if self.tls { b"https" } else { b"http" };
        let host = host.map(HeaderValue::as_bytes);
        let ours = |name: HeaderName| !self.given.has(name.as_str());
        // What anybody else says of itself is worth nothing, and need not be looked up.
        let told = |name| if self.trusted { self.headers.get(name).map(HeaderValue::as_bytes) } else { None };
        if ours(X_FORWARDED_FOR) {
            output.extend_from_slice(b"x-forwarded-for: ");
            self.keep(output, X_FORWARDED_FOR);
            push(output, &[self.peer.plain.as_bytes(), b"\r\n"]);
        }
        if ours(X_FORWARDED_PROTO) {
            push(output, &[b"x-forwarded-proto: ", told(X_FORWARDED_PROTO).unwrap_or(scheme), b"\r\n"]);
        }
        if ours(X_FORWARDED_HOST)
            && let Some(host) = told(X_FORWARDED_HOST).or(host)
        {
            push(output, &[b"x-forwarded-host: ", host, b"\r\n"]);
        }
        if ours(X_FORWARDED_PORT)
            && let Some(port) = told(X_FORWARDED_PORT)
        {
            push(output, &[b"x-forwarded-port: ", port, b"\r\n"]);
        }
        if ours(header::FORWARDED) {
            output.extend_from_slice(b"forwarded: ");
            self.keep(output, header::FORWARDED);
            output.extend_from_slice(self.peer.node.as_bytes());
            if let Some(host) = host {
                output.extend_from_slice(b";host=");
                push_value(output, host);
            }
            push(output, &[b";proto=", scheme, b"\r\n"]);
        }
        push(output, &[b"x-request-id: ", self.id, b"\r\n"]);
    }

    /// Writes what trusted proxies before us have said, with room for what we add.
    fn keep(&self, output: &mut Vec<u8>, name: HeaderName) {
        if !self.trusted {
            return;
        }
        for value in self.headers.get_all(name) {
            push(output, &[value.as_bytes(), b", "]);
        }
    }
}

fn push(output: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        output.extend_from_slice(part);
    }
}

/// A value as RFC 7239 §4 spells it. A host may hold what delimits the others, and one that a plugin has set anything.
fn push_value(output: &mut Vec<u8>, value: &[u8]) {
    if is_token(value) {
        return output.extend_from_slice(value);
    }
    output.push(b'"');
    for &byte in value {
        if matches!(byte, b'"' | b'\\') {
            output.push(b'\\');
        }
        output.push(byte);
    }
    output.push(b'"');
}

fn write(output: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing to memory cannot fail.
    drop(output.write_fmt(text));
}

#[cfg(test)]
mod tests;
