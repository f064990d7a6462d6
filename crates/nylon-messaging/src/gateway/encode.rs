//! From the exchange straight into frames: nothing is copied twice on the way.

use std::{
    fmt::{self, Write as _},
    net::IpAddr,
    time::Instant,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use nylon_plugin::{Call, Exchange, HeaderFilter, Phase};
use nylon_wire::{
    Ext, Header, OpenFields, PhaseFields, ResponseFields, Revision, SnapshotFields, encode_open, encode_phase,
};

use super::link::Link;
use crate::Clock;

/// A response body up to this length goes along with its phase, in bytes.
const INLINE_BODY: usize = 64 << 10;

/// What an OPEN says besides the exchange.
pub(super) struct Opening<'a> {
    pub header: Header,
    pub reply: &'a str,
    pub entry: &'a str,
    pub revision: Option<&'a Revision>,
    pub credit: u32,
    pub body: Option<&'a [u8]>,
}

/// The phase as the wire knows it.
pub(super) fn wire_phase(phase: Phase) -> nylon_wire::Phase {
    match phase {
        Phase::RequestFilter => nylon_wire::Phase::RequestFilter,
        Phase::ResponseFilter => nylon_wire::Phase::ResponseFilter,
        Phase::ResponseBodyFilter => nylon_wire::Phase::ResponseBodyFilter,
        Phase::Logging => nylon_wire::Phase::Logging,
    }
}

/// The whole OPEN.
pub(super) fn open(link: &Link, call: &Call<'_>, opening: &Opening<'_>, now: Instant) -> Bytes {
    let request = &call.exchange.request;
    let filter = (!call.headers.passes_all()).then_some(call.headers);
    let headers = Visible { headers: &request.headers, filter };
    let params = request.params.iter().map(|(name, value)| (&**name, &**value));
    let ip = Address::new(request.client_ip);
    let response = (call.phase != Phase::RequestFilter).then(|| response(call.exchange));
    let fields = OpenFields {
        reply: opening.reply,
        entry: opening.entry,
        phase: wire_phase(call.phase),
        remaining_ms: Clock::remaining_ms(call.deadline, now),
        mono_ms: Clock::ms(now),
        snapshot: SnapshotFields {
            method: request.method.as_str(),
            scheme: request.scheme(),
            host: &request.host,
            port: request.port,
            path: request.path(),
            query: request.query(),
            params,
            headers,
            client_ip: ip.as_str(),
            timestamp_ms: request.timestamp_ms,
            content_length: request.content_length,
            tls: request.tls,
            websocket: request.websocket,
            request_id: &request.id,
        },
        payload: call.payload.map(|payload| &payload[..]),
        revision: opening.revision,
        credit: opening.credit,
        more: false,
        body: opening.body,
        response,
        ext: &again(call),
    };
    link.encode(|out| encode_open(out, &opening.header, &fields))
}

/// An OPEN without what may be long; the worker fetches the whole one before it starts.
pub(super) fn short_open(link: &Link, call: &Call<'_>, opening: &Opening<'_>, now: Instant) -> Bytes {
    let request = &call.exchange.request;
    let no_headers = std::iter::empty::<(&str, &[u8])>();
    let fields = OpenFields {
        reply: opening.reply,
        entry: opening.entry,
        phase: wire_phase(call.phase),
        remaining_ms: Clock::remaining_ms(call.deadline, now),
        mono_ms: Clock::ms(now),
        snapshot: SnapshotFields {
            method: request.method.as_str(),
            scheme: request.scheme(),
            host: "",
            port: request.port,
            path: "/",
            query: "",
            params: std::iter::empty::<(&str, &str)>(),
            headers: no_headers.clone(),
            client_ip: "",
            timestamp_ms: request.timestamp_ms,
            content_length: request.content_length,
            tls: request.tls,
            websocket: request.websocket,
            request_id: &request.id,
        },
        payload: None,
        revision: opening.revision,
        credit: opening.credit,
        more: true,
        body: None,
        response: None::<ResponseFields<'_, std::iter::Empty<(&str, &[u8])>>>,
        ext: &Ext::empty(),
    };
    link.encode(|out| encode_open(out, &opening.header, &fields))
}

/// The PHASE frame of a session that is open.
pub(super) fn phase(link: &Link, call: &Call<'_>, header: Header, room: usize, now: Instant) -> Bytes {
    let inline = (call.phase == Phase::ResponseBodyFilter)
        .then(|| call.exchange.response.body.full())
        .flatten()
        .filter(|body| body.len() <= INLINE_BODY.min(room / 2));
    let fields = PhaseFields {
        phase: wire_phase(call.phase),
        remaining_ms: Clock::remaining_ms(call.deadline, now),
        mono_ms: Clock::ms(now),
        payload: call.payload.map(|payload| &payload[..]),
        response: (call.phase != Phase::RequestFilter).then(|| response(call.exchange)),
        body: inline.map(|body| &body[..]),
        more: false,
        ext: &again(call),
    };
    link.encode(|out| encode_phase(out, &header, &fields))
}

fn again(call: &Call<'_>) -> Ext {
    if call.again { Ext::again() } else { Ext::empty() }
}

fn response(exchange: &Exchange) -> ResponseFields<'_, Visible<'_>> {
    let response = &exchange.response;
    ResponseFields {
        status: response.status.as_u16(),
        headers: Visible { headers: &response.headers, filter: None },
        body_bytes: response.bytes_sent,
        duration_ms: u64::try_from(exchange.request.duration().as_millis()).unwrap_or(u64::MAX >> 11),
        error: exchange.error.as_deref(),
        body_length: response.body.full().map(|body| body.len() as u64),
    }
}

/// Headers as a worker may see them; can be gone through more than once.
#[derive(Clone, Copy)]
struct Visible<'a> {
    headers: &'a HeaderMap,
    filter: Option<&'a HeaderFilter>,
}

struct VisibleIter<'a> {
    headers: http::header::Iter<'a, HeaderValue>,
    filter: Option<&'a HeaderFilter>,
}

impl<'a> IntoIterator for Visible<'a> {
    type Item = (&'a str, &'a [u8]);
    type IntoIter = VisibleIter<'a>;

    fn into_iter(self) -> VisibleIter<'a> {
        VisibleIter { headers: self.headers.iter(), filter: self.filter }
    }
}

impl<'a> Iterator for VisibleIter<'a> {
    type Item = (&'a str, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let Self { headers, filter } = self;
        let passes = |name: &HeaderName| filter.is_none_or(|filter| filter.passes(name));
        headers.find(|(name, _)| passes(name)).map(|(name, value)| (name.as_str(), value.as_bytes()))
    }
}

/// An address as text, on the stack. The standard library formats IPv4 at the cost of the rest of the frame.
struct Address {
    bytes: [u8; Self::LONGEST],
    length: usize,
}

impl Address {
    /// An IPv6 address with an IPv4 one in it.
    const LONGEST: usize = 45;

    fn new(address: IpAddr) -> Self {
        let mut text = Self { bytes: [0; Self::LONGEST], length: 0 };
        match address {
            IpAddr::V4(address) => {
                for (place, octet) in address.octets().into_iter().enumerate() {
                    if place > 0 {
                        text.push(b'.');
                    }
                    if octet >= 100 {
                        text.push(b'0' + octet / 100);
                    }
                    if octet >= 10 {
                        text.push(b'0' + octet / 10 % 10);
                    }
                    text.push(b'0' + octet % 10);
                }
            }
            // It fits: no address is longer.
            IpAddr::V6(address) => drop(write!(text, "{address}")),
        }
        text
    }

    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.length) {
            *place = byte;
            self.length += 1;
        }
    }

    /// What was written is ASCII.
    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }
}

impl fmt::Write for Address {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(|byte| self.push(byte));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_as_the_standard_library_writes_them() {
        let full = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
        let cases = ["0.0.0.0", "9.10.99.100", "127.0.0.1", "255.254.205.249", "::1", "::ffff:10.0.0.1", full];
        for text in cases {
            let address: IpAddr = text.parse().unwrap();
            assert_eq!(Address::new(address).as_str(), address.to_string());
        }
    }
}
