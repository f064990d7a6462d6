//! Response heads of upstreams.

use std::mem::MaybeUninit;

use bytes::{Buf, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use crate::{
    framing::find_head_end,
    headers::{connection_tokens, is_hop_by_hop},
};

/// Longest response head, bytes, and most header lines.
pub(crate) const MAX_HEAD: usize = 128 * 1024;
const MAX_HEADERS: usize = 256;

/// A response head. Hop-by-hop and framing headers are not in `headers`.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) framing: Framing,
    /// As declared; for an answer without body, what the body would have had.
    pub(crate) content_length: Option<u64>,
    /// Whether another request may follow.
    pub(crate) keep_alive: bool,
}

/// How the body is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    None,
    Length(u64),
    Chunked,
    Close,
}

/// Takes a final response head from the input if it is complete. Interim ones are dropped.
pub(crate) fn take_head(input: &mut BytesMut, method: &Method) -> Result<Option<Head>, &'static str> {
    loop {
        let Some(end) = find_head_end(input, 0) else {
            return if input.len() > MAX_HEAD { Err("the response head is too long") } else { Ok(None) };
        };
        let head = parse(input, end, method)?;
        if head.status.as_u16() == 101 {
            return Err("an unasked 101");
        }
        if !head.status.is_informational() {
            return Ok(Some(head));
        }
    }
}

fn parse(input: &mut BytesMut, end: usize, method: &Method) -> Result<Head, &'static str> {
    let bytes = input.split_to(end).freeze();
    let mut lines = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut parsed = httparse::Response::new(&mut []);
    let status = httparse::ParserConfig::default()
        .parse_response_with_uninit_headers(&mut parsed, &bytes, &mut lines)
        .map_err(|_| "the response head is not valid")?;
    if status != httparse::Status::Complete(end) {
        return Err("the response head is not valid");
    }
    let code = parsed.code.unwrap_or_default();
    let status = StatusCode::from_u16(code).map_err(|_| "bad status")?;
    let mut headers = HeaderMap::with_capacity(parsed.headers.len());
    let mut framed = Framed { keep_alive: parsed.version == Some(1), ..Framed::default() };
    let mut named = false;
    for line in parsed.headers.iter() {
        let name = HeaderName::from_bytes(line.name.as_bytes()).map_err(|_| "bad header name")?;
        match name.as_str() {
            "content-length" => framed.length(line.value)?,
            "transfer-encoding" => framed.coding(line.value)?,
            text => {
                if text == "connection" {
                    named |= framed.connection(line.value);
                }
                if !is_hop_by_hop(text) {
                    let value = HeaderValue::from_maybe_shared(bytes.slice_ref(line.value));
                    headers.append(name, value.map_err(|_| "bad header value")?);
                }
            }
        }
    }
    if named {
        for line in parsed.headers.iter().filter(|line| line.name.eq_ignore_ascii_case("connection")) {
            for token in connection_tokens(line.value) {
                headers.remove(token);
            }
        }
    }
    let framing = framed.framing(method, status)?;
    let keep_alive = framed.keep_alive && framing != Framing::Close;
    Ok(Head { status, headers, framing, content_length: framed.length, keep_alive })
}

#[derive(Default)]
struct Framed {
    length: Option<u64>,
    chunked: bool,
    keep_alive: bool,
}

impl Framed {
    fn length(&mut self, value: &[u8]) -> Result<(), &'static str> {
        let digits = (1..=18).contains(&value.len()) && value.iter().all(u8::is_ascii_digit);
        let length =
            value.iter().fold(0u64, |number, digit| number.wrapping_mul(10).wrapping_add(u64::from(digit & 15)));
        if !digits || self.length.replace(length).is_some_and(|other| other != length) {
            return Err("bad content-length");
        }
        Ok(())
    }

    fn coding(&mut self, value: &[u8]) -> Result<(), &'static str> {
        if std::mem::replace(&mut self.chunked, true) || !value.eq_ignore_ascii_case(b"chunked") {
            return Err("a transfer coding that was not asked for");
        }
        Ok(())
    }

    /// Whether it names headers to be removed.
    fn connection(&mut self, value: &[u8]) -> bool {
        let mut named = false;
        for token in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
            if token.eq_ignore_ascii_case(b"close") {
                self.keep_alive = false;
            } else if token.eq_ignore_ascii_case(b"keep-alive") {
                // Only HTTP/1.0 needs to say so, and a connection of such an upstream is not worth keeping.
            } else {
                named |= !token.is_empty();
            }
        }
        named
    }

    fn framing(&self, method: &Method, status: StatusCode) -> Result<Framing, &'static str> {
        match (self.chunked, self.length) {
            (true, Some(_)) => Err("content-length beside transfer-encoding"),
            _ if method == Method::HEAD || status.is_informational() => Ok(Framing::None),
            _ if status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED => Ok(Framing::None),
            (true, None) => Ok(Framing::Chunked),
            (false, Some(0)) => Ok(Framing::None),
            (false, Some(length)) => Ok(Framing::Length(length)),
            (false, None) => Ok(Framing::Close),
        }
    }
}

/// Trailer fields as headers.
pub(crate) fn parse_trailers(mut section: BytesMut) -> Result<HeaderMap, &'static str> {
    let mut lines = [httparse::EMPTY_HEADER; 64];
    let bytes = section.copy_to_bytes(section.len());
    let Ok(httparse::Status::Complete((_, lines))) = httparse::parse_headers(&bytes, &mut lines) else {
        return Err("bad trailers");
    };
    let mut trailers = HeaderMap::with_capacity(lines.len());
    for line in lines {
        let name = HeaderName::from_bytes(line.name.as_bytes()).map_err(|_| "bad trailer name")?;
        let value = HeaderValue::from_maybe_shared(bytes.slice_ref(line.value)).map_err(|_| "bad trailer value")?;
        trailers.append(name, value);
    }
    Ok(trailers)
}

#[cfg(test)]
mod tests;
