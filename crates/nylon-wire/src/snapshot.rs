//! The request as a plugin sees it: read from one payload by offsets, written from borrowed fields.

use crate::DecodeError;
use crate::ext::Ext;
use crate::fields::Fields;
use crate::msgpack::{Reader, Writer};
use bytes::Bytes;
use std::ops::Range;

/// A decoded request. Holds the payload it came in and offsets; accessors cost no allocation and cannot fail.
#[derive(Clone)]
pub struct Snapshot {
    source: Bytes,
    method: Range<usize>,
    scheme: Range<usize>,
    host: Range<usize>,
    port: u16,
    path: Range<usize>,
    query: Range<usize>,
    params: Range<usize>,
    headers: Range<usize>,
    client_ip: Range<usize>,
    timestamp_ms: u64,
    content_length: Option<u64>,
    tls: bool,
    websocket: bool,
    request_id: Range<usize>,
    attributes: Ext,
}

/// A request to be encoded, borrowed from wherever it lies. Iterators are run twice: once to count.
#[derive(Clone, Debug)]
pub struct SnapshotFields<'a, P, H> {
    /// As received.
    pub method: &'a str,
    /// `http` or `https`.
    pub scheme: &'a str,
    /// Without port, IPv6 literals in brackets.
    pub host: &'a str,
    /// 0 if the client named none.
    pub port: u16,
    /// Not decoded; `/` at least.
    pub path: &'a str,
    /// Without `?`, not decoded.
    pub query: &'a str,
    /// Route parameters.
    pub params: P,
    /// In order, repeats kept, names in lower case.
    pub headers: H,
    /// The client's address, after `trusted_proxies`.
    pub client_ip: &'a str,
    /// Arrival, Unix milliseconds.
    pub timestamp_ms: u64,
    /// None if unknown.
    pub content_length: Option<u64>,
    /// Whether the client's connection is TLS.
    pub tls: bool,
    /// Whether it is a WebSocket upgrade.
    pub websocket: bool,
    /// The gateway's id of this request, as in its log.
    pub request_id: &'a str,
}

impl Snapshot {
    fn text(&self, span: &Range<usize>) -> &str {
        // Checked when decoded.
        self.source.get(span.clone()).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
    }

    /// As received.
    pub fn method(&self) -> &str {
        self.text(&self.method)
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &str {
        self.text(&self.scheme)
    }

    /// Without port, IPv6 literals in brackets.
    pub fn host(&self) -> &str {
        self.text(&self.host)
    }

    /// None if the client named none.
    pub fn port(&self) -> Option<u16> {
        (self.port != 0).then_some(self.port)
    }

    /// Not decoded.
    pub fn path(&self) -> &str {
        self.text(&self.path)
    }

    /// Without `?`, not decoded.
    pub fn query(&self) -> &str {
        self.text(&self.query)
    }

    /// Route parameters.
    pub fn params(&self) -> Params<'_> {
        Params(Headers::new(&self.source, &self.params))
    }

    /// Headers in order, repeats kept.
    pub fn headers(&self) -> Headers<'_> {
        Headers::new(&self.source, &self.headers)
    }

    /// First value of a header, whatever its case.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The client's address, after `trusted_proxies`.
    pub fn client_ip(&self) -> &str {
        self.text(&self.client_ip)
    }

    /// Arrival, Unix milliseconds.
    pub fn timestamp_ms(&self) -> u64 {
        self.timestamp_ms
    }

    /// None if unknown.
    pub fn content_length(&self) -> Option<u64> {
        self.content_length
    }

    /// Whether the client's connection is TLS.
    pub fn tls(&self) -> bool {
        self.tls
    }

    /// Whether it is a WebSocket upgrade.
    pub fn websocket(&self) -> bool {
        self.websocket
    }

    /// The gateway's id of this request.
    pub fn request_id(&self) -> &str {
        self.text(&self.request_id)
    }

    /// Reserved (rules §15).
    pub fn attributes(&self) -> &Ext {
        &self.attributes
    }

    /// The same as borrowed fields, to encode it again. Attributes are not part of it: v1 sends none.
    pub fn fields(&self) -> SnapshotFields<'_, Params<'_>, Headers<'_>> {
        SnapshotFields {
            method: self.method(),
            scheme: self.scheme(),
            host: self.host(),
            port: self.port,
            path: self.path(),
            query: self.query(),
            params: self.params(),
            headers: self.headers(),
            client_ip: self.client_ip(),
            timestamp_ms: self.timestamp_ms,
            content_length: self.content_length,
            tls: self.tls,
            websocket: self.websocket,
            request_id: self.request_id(),
        }
    }

    pub(crate) fn read(mut fields: Fields<'_, '_>) -> Result<Self, DecodeError> {
        let (method, scheme) = (fields.text_span("method")?, fields.text_span("scheme")?);
        let (host, port) = (fields.text_span("host")?, fields.u16("port")?);
        let (path, query) = (fields.text_span("path")?, fields.text_span("query")?);
        if !fields.next() {
            return Err(DecodeError::Missing("params"));
        }
        let params = check_pairs(fields.reader, |reader| reader.str().map(str::as_bytes))?;
        if !fields.next() {
            return Err(DecodeError::Missing("headers"));
        }
        let headers = check_pairs(fields.reader, Reader::bin)?;
        let snapshot = Snapshot {
            source: fields.source().clone(),
            method,
            scheme,
            host,
            port,
            path,
            query,
            params,
            headers,
            client_ip: fields.text_span("client_ip")?,
            timestamp_ms: fields.safe_or("timestamp_ms", 0)?,
            content_length: fields.opt_safe("content_length")?,
            tls: fields.bool_or(false)?,
            websocket: fields.bool_or(false)?,
            request_id: fields.text_span_or_empty()?,
            attributes: fields.ext()?,
        };
        fields.finish()?;
        Ok(snapshot)
    }

    pub(crate) fn write(&self, writer: &mut Writer<'_>) {
        self.fields().write_with(&self.attributes, writer);
    }
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // No header values: they carry credentials, and this ends up in logs.
        f.debug_struct("Snapshot")
            .field("method", &self.method())
            .field("host", &self.host())
            .field("path", &self.path())
            .field("request_id", &self.request_id())
            .finish_non_exhaustive()
    }
}

impl PartialEq for Snapshot {
    fn eq(&self, other: &Self) -> bool {
        let scalars = |s: &Snapshot| (s.port, s.timestamp_ms, s.content_length, s.tls, s.websocket);
        let texts = |s: &Snapshot| {
            [&s.method, &s.scheme, &s.host, &s.path, &s.query, &s.client_ip, &s.request_id]
                .map(|span| s.source.slice(span.clone()))
        };
        scalars(self) == scalars(other)
            && texts(self) == texts(other)
            && self.params().eq(other.params())
            && self.headers().eq(other.headers())
            && self.attributes == other.attributes
    }
}

impl<'p, 'h, P, H> SnapshotFields<'_, P, H>
where
    P: IntoIterator<Item = (&'p str, &'p str)> + Clone,
    H: IntoIterator<Item = (&'h str, &'h [u8])> + Clone,
{
    pub(crate) fn write(&self, writer: &mut Writer<'_>) {
        self.write_with(&Ext::empty(), writer);
    }

    fn write_with(&self, attributes: &Ext, writer: &mut Writer<'_>) {
        writer.array(15);
        writer.str(self.method);
        writer.str(self.scheme);
        writer.str(self.host);
        writer.uint(u64::from(self.port));
        writer.str(self.path);
        writer.str(self.query);
        writer.array(self.params.clone().into_iter().count());
        for (name, value) in self.params.clone() {
            writer.array(2);
            writer.str(name);
            writer.str(value);
        }
        write_headers(self.headers.clone(), writer);
        writer.str(self.client_ip);
        writer.uint(self.timestamp_ms);
        writer.opt_uint(self.content_length);
        writer.bool(self.tls);
        writer.bool(self.websocket);
        writer.str(self.request_id);
        attributes.write(writer);
    }
}

/// Writes a header list.
pub(crate) fn write_headers<'h, H>(headers: H, writer: &mut Writer<'_>)
where
    H: IntoIterator<Item = (&'h str, &'h [u8])> + Clone,
{
    writer.array(headers.clone().into_iter().count());
    for (name, value) in headers {
        writer.array(2);
        writer.str(name);
        writer.bin(value);
    }
}

/// Reads over a list of [name, value] once, checking everything, so that iterating later cannot fail. A pair has
/// exactly two elements.
pub(crate) fn check_pairs<'a>(
    reader: &mut Reader<'a>,
    value: impl Fn(&mut Reader<'a>) -> Result<&'a [u8], DecodeError>,
) -> Result<Range<usize>, DecodeError> {
    let start = reader.position();
    for _ in 0..reader.array()? {
        let elements = reader.array()?;
        if elements != 2 {
            return Err(DecodeError::Range { what: "elements of a pair", value: elements as u64 });
        }
        reader.str()?;
        value(reader)?;
    }
    Ok(start..reader.position())
}

/// Header names and values, in order.
#[derive(Clone)]
pub struct Headers<'a> {
    reader: Reader<'a>,
    left: usize,
}

impl<'a> Headers<'a> {
    pub(crate) fn new(source: &'a [u8], span: &Range<usize>) -> Self {
        let mut reader = Reader::new(source.get(span.clone()).unwrap_or_default());
        let left = reader.array().unwrap_or(0);
        Headers { reader, left }
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a str, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        // Everything was checked by `check_pairs`.
        self.reader.array().ok()?;
        let name = self.reader.str().ok()?;
        Some((name, self.reader.bin().ok()?))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Headers<'_> {}

/// Route parameters.
#[derive(Clone)]
pub struct Params<'a>(Headers<'a>);

impl<'a> Iterator for Params<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.left = self.0.left.checked_sub(1)?;
        self.0.reader.array().ok()?;
        Some((self.0.reader.str().ok()?, self.0.reader.str().ok()?))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl ExactSizeIterator for Params<'_> {}
