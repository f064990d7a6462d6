//! Templates and header modifiers of a snapshot, as middleware of an exchange.

use std::{
    net::IpAddr,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use nylon_plugin::{BuiltIn, Entry, Exchange, InFlight, Link, Payload, Phase};
use nylon_routing::{Facts, Modifier, Side, Template, UuidVersion};
use nylon_wire::Operation;
use time::{OffsetDateTime, macros::format_description};

/// A modifier never waits; this is only what a link has to say.
const TIMEOUT: Duration = Duration::from_secs(1);

/// An exchange as templates see it.
struct Seen<'e>(&'e Exchange);

impl Facts for Seen<'_> {
    fn headers(&self) -> &HeaderMap {
        &self.0.request.headers
    }

    fn query(&self) -> &str {
        self.0.request.query()
    }

    fn param(&self, name: &str) -> Option<&str> {
        self.0.request.params.iter().find(|(known, _)| **known == *name).map(|(_, value)| &**value)
    }

    fn client_ip(&self) -> IpAddr {
        self.0.request.client_ip
    }

    fn host(&self) -> &str {
        &self.0.request.host
    }

    fn tls(&self) -> bool {
        self.0.request.tls
    }

    fn method(&self) -> &str {
        self.0.request.method.as_str()
    }

    fn path(&self) -> &str {
        self.0.request.path()
    }

    fn env(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn timestamp(&self) -> String {
        let form = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
        // It fails only for a year that has no four digits.
        OffsetDateTime::now_utc().format(form).unwrap_or_default()
    }

    fn uuid(&self, version: UuidVersion) -> String {
        match version {
            UuidVersion::V4 => uuid::Uuid::new_v4(),
            UuidVersion::V7 => uuid::Uuid::now_v7(),
        }
        .to_string()
    }
}

/// A payload of the configuration as the chain hands it over.
pub(crate) fn payload(payload: &nylon_routing::Payload) -> Payload {
    match payload {
        nylon_routing::Payload::Constant(text) => Payload::Constant(Bytes::copy_from_slice(text.as_bytes())),
        nylon_routing::Payload::Template(template) => {
            let template = Arc::clone(template);
            Payload::Computed(Rc::new(move |exchange| template.render(&Seen(exchange)).into()))
        }
    }
}

/// The entry of a modifier, on one thread.
pub(crate) fn entry(modifier: &Modifier) -> Entry {
    let (phase, label) = (phase(modifier.side), modifier.side.name());
    let (modifier, complained) = (modifier.clone(), AtomicBool::new(false));
    let changes = Rc::new(move |exchange: &Exchange| changes(&modifier, exchange, &complained));
    Entry::new(label, Rc::new(BuiltIn::new(phase, changes)), 0, InFlight::new(usize::MAX))
}

/// The link to the entry of a modifier.
pub(crate) fn link(modifier: &Modifier, entry: usize) -> Link {
    Link { phases: Some(std::iter::once(phase(modifier.side)).collect()), ..Link::new(entry, TIMEOUT) }
}

fn phase(side: Side) -> Phase {
    match side {
        Side::Request => Phase::RequestFilter,
        Side::Response => Phase::ResponseFilter,
    }
}

/// Sets in order, then removals. What a template makes of a request may be no header: then the header is not there, as
/// in the original, and nothing of it gets into the message's framing.
fn changes(modifier: &Modifier, exchange: &Exchange, complained: &AtomicBool) -> Vec<Operation> {
    let seen = Seen(exchange);
    let mut operations = Vec::with_capacity(modifier.set.len() + modifier.remove.len());
    let refuse = |what: &str, header: &str| {
        // Whoever sends such requests must not fill the log.
        if !complained.swap(true, Relaxed) {
            let (id, route, modifier) = (&*exchange.request.id, &*exchange.request.route, modifier.side.name());
            tracing::warn!(id, route, modifier, header, "setting a header: {what}; it is left out, and said once");
        }
    };
    for (name, value) in &modifier.set {
        let Some(name) = header_name(name, &seen) else {
            refuse("the rendered name is no header name", "");
            continue;
        };
        let value = Bytes::copy_from_slice(value.render(&seen).as_bytes());
        let legal = HeaderValue::from_maybe_shared(value.clone()).is_ok();
        let name = name.as_str().into();
        operations.push(match (modifier.side, legal) {
            (Side::Request, true) => Operation::SetRequestHeader { name, value },
            (Side::Response, true) => Operation::SetResponseHeader { name, value },
            (side, false) => {
                refuse("the rendered value has characters that no header value can have", &name);
                removal(side, name)
            }
        });
    }
    for name in &modifier.remove {
        match header_name(name, &seen) {
            Some(name) => operations.push(removal(modifier.side, name.as_str().into())),
            None => refuse("the rendered name to remove is no header name", ""),
        }
    }
    operations
}

fn header_name(name: &Template, seen: &Seen<'_>) -> Option<HeaderName> {
    name.render(seen).parse().ok()
}

fn removal(side: Side, name: nylon_wire::Text) -> Operation {
    match side {
        Side::Request => Operation::RemoveRequestHeader { name },
        Side::Response => Operation::RemoveResponseHeader { name },
    }
}
