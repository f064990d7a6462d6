//! Response heads of upstreams.

use std::{mem::MaybeUninit, ops::Range};

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use smallvec::SmallVec;

use crate::headers::{connection_tokens, is_hop_by_hop};

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
        let Some(head) = parse(input, method)? else {
            return if input.len() > MAX_HEAD { Err("the response head is too long") } else { Ok(None) };
        };
        if head.status.as_u16() == 101 {
            return Err("an unasked 101");
        }
        if !head.status.is_informational() {
            return Ok(Some(head));
        }
    }
}

/// Where a header line's name and value are. Heads are shorter than 4 GiB; small numbers keep the list small.
struct Place {
    name: Range<u32>,
    value: Range<u32>,
}

impl Place {
    fn name(&self) -> Range<usize> {
        self.name.start as usize..self.name.end as usize
    }

    fn value(&self) -> Range<usize> {
        self.value.start as usize..self.value.end as usize
    }
}

fn parse(input: &mut BytesMut, method: &Method) -> Result<Option<Head>, &'static str> {
    let mut lines = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut parsed = httparse::Response::new(&mut []);
    let complete = httparse::ParserConfig::default()
        .parse_response_with_uninit_headers(&mut parsed, input, &mut lines)
        .map_err(|_| "the response head is not valid")?;
    let httparse::Status::Complete(length) = complete else { return Ok(None) };
    let status = StatusCode::from_u16(parsed.code.unwrap_or_default()).map_err(|_| "bad status")?;
    let http_10 = parsed.version == Some(0);
    let begin = input.as_ptr().addr();
    let place = |text: &[u8]| {
        let start = text.as_ptr().addr() - begin;
        start as u32..(start + text.len()) as u32
    };
    let mut places: SmallVec<[Place; 32]> = SmallVec::new();
    for line in &*parsed.headers {
        places.push(Place { name: place(line.name.as_bytes()), value: place(line.value) });
    }
    let bytes = input.split_to(length).freeze();
    head(&bytes, &places, http_10, method, status).map(Some)
}

fn head(
    bytes: &Bytes,
    places: &[Place],
    http_10: bool,
    method: &Method,
    status: StatusCode,
) -> Result<Head, &'static str> {
    let mut headers = HeaderMap::with_capacity(places.len());
    let mut framed = Framed { keep_alive: !http_10, ..Framed::default() };
    let mut named = false;
    for place in places {
        let name = HeaderName::from_bytes(&bytes[place.name()]).map_err(|_| "bad header name")?;
        let value = place.value();
        match name.as_str() {
            "content-length" => framed.length(&bytes[value])?,
            "transfer-encoding" => framed.coding(&bytes[value])?,
            "connection" => named |= framed.connection(&bytes[value]),
            text if is_hop_by_hop(text) => {}
            _ => {
                let value = HeaderValue::from_maybe_shared(bytes.slice(value)).map_err(|_| "bad header value")?;
                headers.append(name, value);
            }
        }
    }
    if named {
        for place in places {
            if bytes[place.name()].eq_ignore_ascii_case(b"connection") {
                for token in connection_tokens(&bytes[place.value()]) {
                    headers.remove(token);
                }
            }
        }
    }
    if http_10 && framed.chunked {
        // RFC 9112 §6.1: whoever relays such a message does not know where it ends.
        return Err("a transfer coding in HTTP/1.0");
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
