//! Request heads: everything that two implementations could understand differently is refused here, before the
//! codec sees it.

use http::Uri;
use nylon_wire::ErrorCode;

use super::text::{is_host_byte, is_target, is_token, is_token_byte, is_value, trim};

/// Longest request target, bytes, if the head may be as long.
const MAX_TARGET: usize = 16 * 1024;

/// How long a head may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeadLimits {
    /// All of it, bytes.
    pub(crate) bytes: usize,
    /// Header lines.
    pub(crate) headers: usize,
}

/// How the body is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// No body.
    None,
    /// `Content-Length`, not 0.
    Length(u64),
    /// Chunked coding.
    Chunked,
}

/// Why a request is not served. The text is for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// What the client gets.
    pub(crate) code: ErrorCode,
    /// What was wrong.
    pub(crate) reason: &'static str,
}

const fn bad(reason: &'static str) -> Refusal {
    Refusal { code: ErrorCode::BadRequest, reason }
}

/// The first byte after the head that `input` begins with. Bytes before `from` were searched already.
pub(crate) fn find_head_end(input: &[u8], from: usize) -> Option<usize> {
    let mut at = from.saturating_sub(3);
    while let Some(found) = input.get(at..).and_then(|rest| memchr::memchr(b'\n', rest)) {
        at += found + 1;
        match input.get(at..) {
            Some([b'\n', ..]) => return Some(at + 1),
            Some([b'\r', b'\n', ..]) => return Some(at + 2),
            _ => {}
        }
    }
    None
}

/// What an unfinished head that is too long already is refused with.
pub(crate) fn too_long(head: &[u8]) -> Refusal {
    if memchr::memchr(b'\n', head).is_none() {
        Refusal { code: ErrorCode::UriTooLong, reason: "the request line is too long" }
    } else {
        Refusal { code: ErrorCode::HeadersTooLarge, reason: "the head is too long" }
    }
}

/// Checks the head that `input` begins with; says how long it is, empty line included, or `None` if it is not complete.
pub(crate) fn check_head(input: &[u8], limits: HeadLimits) -> Result<Option<(usize, Framing)>, Refusal> {
    let Some((line, mut rest)) = split_line(input)? else {
        // Whoever speaks TLS here waits for an answer: the end of the line would never come.
        let foreign = input.first().is_some_and(|&byte| !is_token_byte(byte) || byte.is_ascii_lowercase());
        return if foreign { Err(bad("bad method: this may be no HTTP")) } else { Ok(None) };
    };
    let request = check_request_line(line, limits)?;
    let mut fields = Fields::default();
    let mut count = 0;
    loop {
        let Some((line, after)) = split_line(rest)? else { return Ok(None) };
        rest = after;
        if line.is_empty() {
            break;
        }
        count += 1;
        if count > limits.headers {
            return Err(Refusal { code: ErrorCode::HeadersTooLarge, reason: "too many headers" });
        }
        fields.add(line)?;
    }
    let length = input.len() - rest.len();
    if length > limits.bytes {
        return Err(too_long(&input[..length]));
    }
    Ok(Some((length, fields.finish(&request)?)))
}

/// A line without its CRLF, and what follows it.
type Line<'a> = (&'a [u8], &'a [u8]);

/// The first line; `None` if it has no end.
fn split_line(text: &[u8]) -> Result<Option<Line<'_>>, Refusal> {
    let Some(end) = memchr::memchr(b'\n', text) else { return Ok(None) };
    match text[..end] {
        [.., b'\r'] => Ok(Some((&text[..end - 1], &text[end + 1..]))),
        _ => Err(bad("bare LF")),
    }
}

struct RequestLine<'a> {
    http_10: bool,
    /// The authority of an absolute-form target.
    authority: Option<&'a [u8]>,
}

fn check_request_line(line: &[u8], limits: HeadLimits) -> Result<RequestLine<'_>, Refusal> {
    let method_end = memchr::memchr(b' ', line).ok_or(bad("the request line has no spaces"))?;
    let (method, rest) = (&line[..method_end], &line[method_end + 1..]);
    if !is_token(method) || method.iter().any(u8::is_ascii_lowercase) {
        return Err(bad("bad method"));
    }
    let (target, http_10) = match rest {
        [target @ .., b' ', b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor @ (b'0' | b'1')] => {
            (target, *minor == b'0')
        }
        _ => return Err(bad("bad protocol version")),
    };
    if target.len() > MAX_TARGET.min(limits.bytes) {
        return Err(Refusal { code: ErrorCode::UriTooLong, reason: "the request target is too long" });
    }
    if !is_target(target) {
        return Err(bad("bad character in the request target"));
    }
    if method == b"CONNECT" || method == b"TRACE" {
        return Err(Refusal { code: ErrorCode::NotImplemented, reason: "CONNECT or TRACE" });
    }
    let authority = match target {
        [b'/', ..] => None,
        b"*" if method == b"OPTIONS" => None,
        _ => Some(absolute_authority(target).ok_or(bad("bad request target"))?),
    };
    // The codec's own refusal would have no id and no line in the log. Of usual targets it refuses none.
    let unusual = authority.is_some() || memchr::memchr2(b'`', b'"', target).is_some();
    if unusual && Uri::try_from(target).is_err() {
        return Err(bad("bad character in the request target"));
    }
    Ok(RequestLine { http_10, authority })
}

fn absolute_authority(target: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = target.split_at_checked(target.iter().position(|&byte| byte == b':')?)?;
    let rest = rest.strip_prefix(b"://")?;
    let known = scheme.eq_ignore_ascii_case(b"http") || scheme.eq_ignore_ascii_case(b"https");
    let end = rest.iter().position(|byte| b"/?".contains(byte)).unwrap_or(rest.len());
    known.then_some(&rest[..end])
}

#[derive(Default)]
struct Fields<'a> {
    host: Option<&'a [u8]>,
    length: Option<u64>,
    chunked: bool,
}

impl<'a> Fields<'a> {
    fn add(&mut self, line: &'a [u8]) -> Result<(), Refusal> {
        if matches!(line[0], b' ' | b'\t') {
            return Err(bad("obsolete line folding"));
        }
        let colon = line.iter().position(|&byte| !is_token_byte(byte)).ok_or(bad("a header without colon"))?;
        if line[colon] != b':' || colon == 0 {
            return Err(bad("bad header name"));
        }
        let (name, value) = (&line[..colon], trim(&line[colon + 1..]));
        if !is_value(value) {
            return Err(bad("control character in a header value"));
        }
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => self.host(value),
            10 if name.eq_ignore_ascii_case(b"connection") => check_connection(value),
            14 if name.eq_ignore_ascii_case(b"content-length") => self.length(value),
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => self.coding(value),
            _ => Ok(()),
        }
    }

    fn host(&mut self, value: &'a [u8]) -> Result<(), Refusal> {
        if self.host.replace(value).is_some() {
            return Err(bad("more than one host"));
        }
        let text = std::str::from_utf8(value).map_err(|_| bad("bad host"))?;
        let clean = value.iter().all(|&byte| is_host_byte(byte));
        let (host, _) = nylon_routing::split_authority(text).ok_or(bad("bad host"))?;
        if host.is_empty() || !clean { Err(bad("bad host")) } else { Ok(()) }
    }

    fn length(&mut self, value: &[u8]) -> Result<(), Refusal> {
        let digits = (1..=18).contains(&value.len()) && value.iter().all(u8::is_ascii_digit);
        if !digits {
            return Err(bad("bad content-length"));
        }
        let length = value.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0'));
        if self.length.replace(length).is_some() {
            return Err(bad("more than one content-length"));
        }
        Ok(())
    }

    fn coding(&mut self, value: &[u8]) -> Result<(), Refusal> {
        if std::mem::replace(&mut self.chunked, true) {
            return Err(bad("more than one transfer-encoding"));
        }
        if value.eq_ignore_ascii_case(b"chunked") {
            return Ok(());
        }
        let last = value.rsplit(|&byte| byte == b',').next().map(trim).unwrap_or_default();
        if value.contains(&b',') && last.eq_ignore_ascii_case(b"chunked") {
            return Err(Refusal { code: ErrorCode::NotImplemented, reason: "a transfer coding beside chunked" });
        }
        Err(bad("the last transfer coding is not chunked"))
    }

    fn finish(self, request: &RequestLine<'_>) -> Result<Framing, Refusal> {
        match (self.host, request.authority) {
            (None, _) if !request.http_10 => return Err(bad("no host")),
            (Some(host), Some(authority)) if !host.eq_ignore_ascii_case(authority) => {
                return Err(bad("host and request target differ"));
            }
            (None, Some(_)) => return Err(bad("absolute target without host")),
            _ => {}
        }
        match (self.chunked, self.length) {
            (true, Some(_)) => Err(bad("content-length beside transfer-encoding")),
            (true, None) if request.http_10 => Err(bad("transfer-encoding in HTTP/1.0")),
            (true, None) => Ok(Framing::Chunked),
            (false, None | Some(0)) => Ok(Framing::None),
            (false, Some(length)) => Ok(Framing::Length(length)),
        }
    }
}

/// `Connection` may not name a header that frames or addresses the message, or that says who the client is.
fn check_connection(value: &[u8]) -> Result<(), Refusal> {
    const KEPT: [&[u8]; 6] =
        [b"host", b"content-length", b"transfer-encoding", b"content-type", b"authorization", b"cookie"];
    let names = |kept: &[u8]| value.split(|&byte| byte == b',').any(|name| trim(name).eq_ignore_ascii_case(kept));
    if KEPT.iter().any(|kept| names(kept)) { Err(bad("connection names an end-to-end header")) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
