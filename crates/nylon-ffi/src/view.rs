//! What a session may read: copies, so that any thread of the library can be answered without asking anybody.

use std::{net::IpAddr, sync::OnceLock, time::Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Uri};
use nylon_plugin::{Exchange, HeaderFilter, Phase, Request};
use nylon_wire::method;

use crate::{extension, flat};

/// A request head, as it was when the session began.
pub(crate) struct RequestView {
    id: Box<str>,
    method: Method,
    uri: Uri,
    scheme: &'static str,
    host: Box<str>,
    port: u16,
    headers: HeaderMap,
    params: Vec<(Box<str>, Box<str>)>,
    client_ip: IpAddr,
    content_length: Option<u64>,
    /// It is a WebSocket handshake, as far as its first looks go.
    pub(crate) websocket: bool,
    timestamp_ms: u64,
    received: Instant,
    /// All headers as one message, as text and as they are, made when first asked for.
    list: OnceLock<Bytes>,
    plain: OnceLock<Bytes>,
}

impl RequestView {
    pub(crate) fn new(request: &Request, filter: &HeaderFilter) -> Self {
        let mut headers = request.headers.clone();
        if !filter.passes_all() {
            let hidden: Vec<_> = headers.keys().filter(|name| !filter.passes(name)).cloned().collect();
            for name in hidden {
                headers.remove(name);
            }
        }
        Self {
            id: request.id.as_ref().into(),
            method: request.method.clone(),
            uri: request.uri.clone(),
            scheme: request.scheme(),
            host: request.host.clone(),
            port: request.port,
            headers,
            params: request.params.clone(),
            client_ip: request.client_ip,
            content_length: request.content_length,
            websocket: request.websocket,
            timestamp_ms: request.timestamp_ms,
            received: request.received,
            list: OnceLock::new(),
            plain: OnceLock::new(),
        }
    }

    fn path(&self) -> &str {
        if self.uri.path().is_empty() { "/" } else { self.uri.path() }
    }

    fn url(&self) -> String {
        let default = if self.scheme == "https" { 443 } else { 80 };
        let port = if self.port == 0 || self.port == default { String::new() } else { format!(":{}", self.port) };
        let query = self.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        format!("{}://{}{port}{}{query}", self.scheme, self.host, self.path())
    }

    fn params(&self) -> Vec<u8> {
        let params: serde_json::Map<_, _> =
            self.params.iter().map(|(name, value)| (name.to_string(), value.to_string().into())).collect();
        serde_json::to_vec(&params).unwrap_or_else(|_| b"{}".to_vec())
    }

    /// The answer to a read of the request, its body apart. `None` for a method that is none.
    pub(crate) fn read(&self, number: u32, payload: &[u8]) -> Option<Bytes> {
        Some(match number {
            // The first of that name, any case. Absent is empty: a library would wait for ever for no answer.
            method::READ_REQUEST_HEADER => http::HeaderName::from_bytes(payload)
                .ok()
                .and_then(|name| self.headers.get(name))
                .map(|value| Bytes::copy_from_slice(value.as_bytes()))
                .unwrap_or_default(),
            method::READ_REQUEST_HEADERS => self.list.get_or_init(|| list(&self.headers, text)).clone(),
            extension::READ_REQUEST_HEADERS => {
                self.plain.get_or_init(|| list(&self.headers, HeaderValue::as_bytes)).clone()
            }
            method::READ_REQUEST_URL => self.url().into(),
            method::READ_REQUEST_PATH => Bytes::copy_from_slice(self.path().as_bytes()),
            method::READ_REQUEST_QUERY => Bytes::copy_from_slice(self.uri.query().unwrap_or_default().as_bytes()),
            method::READ_REQUEST_PARAMS => self.params().into(),
            method::READ_REQUEST_HOST => Bytes::copy_from_slice(self.host.as_bytes()),
            method::READ_REQUEST_CLIENT_IP => self.client_ip.to_string().into(),
            method::READ_REQUEST_METHOD => Bytes::copy_from_slice(self.method.as_str().as_bytes()),
            method::READ_REQUEST_BYTES => self.content_length.unwrap_or_default().to_string().into(),
            extension::READ_REQUEST_ID => Bytes::copy_from_slice(self.id.as_bytes()),
            method::READ_REQUEST_TIMESTAMP => self.timestamp_ms.to_string().into(),
            _ => return None,
        })
    }

    pub(crate) fn duration_ms(&self) -> u128 {
        self.received.elapsed().as_millis()
    }
}

/// An answer as it stands in a phase, with what the session has done to it since.
#[derive(Default)]
pub(crate) struct ResponseView {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// What is in memory: set by plugins, or the whole body in a body filter.
    pub(crate) body: Option<Bytes>,
    /// In a body filter whose body has not been read: it comes when it is asked for.
    pub(crate) awaited: bool,
    /// Body bytes that the client has got, once that is known.
    sent: Option<u64>,
    error: Option<Box<str>>,
}

impl ResponseView {
    pub(crate) fn new(exchange: &Exchange, phase: Phase) -> Self {
        if phase == Phase::RequestFilter {
            // What `end` would send.
            let early = &exchange.early;
            let mut headers = HeaderMap::new();
            early.headers.iter().for_each(|change| change.clone().apply(&mut headers));
            let status = early.status.unwrap_or_default().as_u16();
            return Self { status, headers, body: early.body.clone(), ..Self::default() };
        }
        let response = &exchange.response;
        let body = if phase == Phase::Logging { None } else { response.body.full().cloned() };
        Self {
            status: response.status.as_u16(),
            headers: response.headers.clone(),
            awaited: phase == Phase::ResponseBodyFilter && body.is_none(),
            body,
            sent: (phase == Phase::Logging).then_some(response.bytes_sent),
            error: exchange.error.as_deref().map(Into::into),
        }
    }

    /// Whether a read of the body has to wait until it is here.
    pub(crate) fn awaits(&self, number: u32) -> bool {
        self.awaited && matches!(number, method::READ_RESPONSE_FULL_BODY | method::READ_RESPONSE_BYTES)
    }

    /// The answer to a read of the response. `None` for a method that is none.
    pub(crate) fn read(&self, number: u32, request: &RequestView) -> Option<Bytes> {
        Some(match number {
            method::READ_RESPONSE_FULL_BODY => self.body.clone().unwrap_or_default(),
            method::READ_RESPONSE_STATUS => self.status.to_string().into(),
            method::READ_RESPONSE_BYTES => {
                let length = self.body.as_ref().map_or(0, |body| body.len() as u64);
                self.sent.unwrap_or(length).to_string().into()
            }
            method::READ_RESPONSE_HEADERS => list(&self.headers, text),
            extension::READ_RESPONSE_HEADERS => list(&self.headers, HeaderValue::as_bytes),
            method::READ_RESPONSE_DURATION => request.duration_ms().to_string().into(),
            method::READ_RESPONSE_ERROR => Bytes::copy_from_slice(self.error.as_deref().unwrap_or_default().as_bytes()),
            _ => return None,
        })
    }
}

/// An answer that says nothing. Lists of headers are read unchecked, so even then they are lists.
pub(crate) fn nothing(number: u32) -> Bytes {
    match number {
        method::READ_REQUEST_HEADERS
        | method::READ_RESPONSE_HEADERS
        | extension::READ_REQUEST_HEADERS
        | extension::READ_RESPONSE_HEADERS => flat::write_headers(std::iter::empty()).into(),
        _ => Bytes::new(),
    }
}

/// Names in lower case, repeats as they are.
fn list(headers: &HeaderMap, value_of: fn(&HeaderValue) -> &[u8]) -> Bytes {
    flat::write_headers(headers.iter().map(|(name, value)| (name.as_str(), value_of(value)))).into()
}

/// A value that is no UTF-8 reads as empty: libraries take them for text without a look.
fn text(value: &HeaderValue) -> &[u8] {
    let bytes = value.as_bytes();
    if std::str::from_utf8(bytes).is_ok() { bytes } else { b"" }
}

#[cfg(test)]
mod tests;
