//! What operations do to an exchange: the one place where every transport's wishes become changes (sdk-api §1.6).

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use nylon_wire::{Operation, ResponseBody as WireBody};

use crate::{BodyStream, Exchange, Phase, PluginError, PluginErrorKind, Response, ResponseBody, Upgrade};

/// A change of headers. Changes apply strictly in call order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderChange {
    /// Replaces every spelling and every repeat.
    Set(HeaderName, HeaderValue),
    /// Keeps what is there.
    Add(HeaderName, HeaderValue),
    /// Removes every spelling and every repeat.
    Remove(HeaderName),
}

impl HeaderChange {
    /// The header that changes.
    #[must_use]
    pub fn name(&self) -> &HeaderName {
        let (Self::Set(name, _) | Self::Add(name, _) | Self::Remove(name)) = self;
        name
    }

    /// Makes the change in a request: what is set or removed is so in the spellings, too, that upstreams take for it.
    fn apply_to_request(self, headers: &mut HeaderMap) {
        if !matches!(self, Self::Add(..)) {
            remove_other_spellings(headers, self.name());
        }
        self.apply(headers);
    }

    /// Makes the change.
    pub fn apply(self, headers: &mut HeaderMap) {
        match self {
            Self::Set(name, value) => drop(headers.insert(name, value)),
            Self::Add(name, value) => drop(headers.append(name, value)),
            Self::Remove(name) => drop(headers.remove(name)),
        }
    }
}

/// An operation that is legal in itself.
enum Change {
    Request(HeaderChange),
    Response(HeaderChange),
    Status(StatusCode),
    Body(Bytes),
}

/// An operation that was understood and has no effect. The caller logs it (rules §10).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ignored {
    /// The header belongs to the message's framing or to one connection; the gateway sets it itself.
    Framing(HeaderName),
    /// The phase comes too late for it (or cannot have it): the operation's name.
    TooLate(&'static str),
}

impl Exchange {
    /// Applies what a phase asked for, in order. All or nothing: an illegal operation leaves the exchange as it was.
    /// What has no effect is handed to `ignored`.
    ///
    /// # Errors
    /// [`PluginErrorKind::Protocol`] for a name that is no token, a value with control characters, a status outside
    /// 200–999, a body that the transport did not put together.
    pub fn apply(
        &mut self,
        phase: Phase,
        operations: Vec<Operation>,
        mut ignored: impl FnMut(Ignored),
    ) -> Result<(), PluginError> {
        let changes = operations.into_iter().map(check).collect::<Result<Vec<_>, _>>()?;
        if phase == Phase::ResponseFilter
            && matches!(self.response.body, ResponseBody::Service)
            && changes.iter().any(|change| matches!(change, Change::Body(_)))
        {
            forget_old_body(&mut self.response.headers);
        }
        for change in changes {
            if let Some(reason) = self.change(phase, change) {
                ignored(reason);
            }
        }
        Ok(())
    }

    fn change(&mut self, phase: Phase, change: Change) -> Option<Ignored> {
        match (phase, change) {
            (_, Change::Request(change) | Change::Response(change)) if is_framing(change.name()) => {
                return Some(Ignored::Framing(change.name().clone()));
            }
            // The upstream request always has exactly one `Host`.
            (_, Change::Request(HeaderChange::Add(name, _) | HeaderChange::Remove(name))) if name == header::HOST => {
                return Some(Ignored::Framing(name));
            }
            (Phase::RequestFilter, Change::Request(change)) => {
                self.request.given.note(change).apply_to_request(&mut self.request.headers);
            }
            (Phase::RequestFilter, Change::Response(change)) => self.early.headers.push(change),
            (Phase::RequestFilter, Change::Status(status)) => self.early.status = Some(status),
            (Phase::RequestFilter, Change::Body(body)) => self.early.body = Some(body),
            (Phase::ResponseFilter, Change::Response(change)) => change.apply(&mut self.response.headers),
            (Phase::ResponseFilter, Change::Status(status)) => self.response.status = status,
            (Phase::ResponseFilter | Phase::ResponseBodyFilter, Change::Body(body)) => {
                self.response.body = ResponseBody::Full(body);
            }
            (_, Change::Request(_)) => return Some(Ignored::TooLate("a request header")),
            (_, Change::Response(_)) => return Some(Ignored::TooLate("a response header")),
            (_, Change::Status(_)) => return Some(Ignored::TooLate("the status")),
            (_, Change::Body(_)) => return Some(Ignored::TooLate("the body")),
        }
        None
    }

    /// Makes the early answer out of what request filters have collected (sdk-api §1.6): status 200 and an empty
    /// body where nothing was set. The first `keep` header changes are kept for an error answer.
    pub(crate) fn answer_early(&mut self, keep: usize) {
        let early = std::mem::take(&mut self.early);
        self.early.kept = early.headers[..keep].to_vec();
        let mut headers = HeaderMap::new();
        for change in early.headers {
            change.apply(&mut headers);
        }
        self.response = Response {
            status: early.status.unwrap_or(StatusCode::OK),
            headers,
            body: ResponseBody::Full(early.body.unwrap_or_default()),
            bytes_sent: 0,
        };
    }

    /// The same for an answer whose body is made while it is sent.
    pub(crate) fn answer_streamed(&mut self, stream: Box<dyn BodyStream>, keep: usize) {
        self.answer_early(keep);
        self.response.body = ResponseBody::Stream(stream);
    }

    /// The same for a request that is a WebSocket from now on: header changes of request filters are in its 101; status
    /// and body are the protocol's. It passes no filter of answers.
    pub(crate) fn answer_upgraded(&mut self, upgrade: Box<Upgrade>) {
        self.apply_early_headers(0);
        self.response.status = StatusCode::SWITCHING_PROTOCOLS;
        self.response.body = ResponseBody::Socket(upgrade);
    }

    /// Applies the header changes of the request filters to the service's answer, and keeps the first `keep` of them for
    /// an error answer. On the gateway's own error answer they come first, so that they cannot contradict it; it gets
    /// those, too, that the answer had whose place it takes.
    pub(crate) fn apply_early_headers(&mut self, keep: usize) {
        let mut early = std::mem::take(&mut self.early);
        if self.error.is_some() {
            early.headers.splice(..0, early.kept);
        } else {
            early.kept.extend_from_slice(&early.headers[..keep]);
            self.early.kept = early.kept;
        }
        if early.headers.is_empty() {
            return;
        }
        let own = if self.error.is_some() { std::mem::take(&mut self.response.headers) } else { HeaderMap::new() };
        for change in early.headers {
            change.apply(&mut self.response.headers);
        }
        for name in own.keys() {
            self.response.headers.remove(name);
        }
        self.response.headers.extend(own);
    }
}

/// Removes what an upstream that makes variables of headers (CGI, WSGI, PHP) takes for `name`: to it, `X-Auth-User` and
/// `X_Auth_User` are both `HTTP_X_AUTH_USER`. Says whether there was any; `name` itself stays.
pub fn remove_other_spellings(headers: &mut HeaderMap, name: &HeaderName) -> bool {
    let mut found = false;
    while let Some(other) = headers.keys().find(|other| is_other_spelling(name, other)).cloned() {
        found |= headers.remove(other).is_some();
    }
    found
}

fn is_other_spelling(one: &HeaderName, other: &HeaderName) -> bool {
    let same = |(a, b): (u8, u8)| a == b || (matches!(a, b'-' | b'_') && matches!(b, b'-' | b'_'));
    let (one, other) = (one.as_str(), other.as_str());
    one.len() == other.len() && one != other && one.bytes().zip(other.bytes()).all(same)
}

/// Headers that describe one particular body and are wrong for another.
pub(crate) fn forget_old_body(headers: &mut HeaderMap) {
    headers.remove(header::CONTENT_ENCODING);
    headers.remove(header::CONTENT_RANGE);
    forget_validators(headers);
}

/// `ETag`, digests and `Accept-Ranges`: they belong to the body that the upstream sent (rules §9).
pub(crate) fn forget_validators(headers: &mut HeaderMap) {
    for name in
        [header::ETAG, header::ACCEPT_RANGES, CONTENT_DIGEST, REPR_DIGEST, DIGEST, CONTENT_MD5, header::CONTENT_LENGTH]
    {
        headers.remove(name);
    }
}

const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");
const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");
const DIGEST: HeaderName = HeaderName::from_static("digest");
const CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");

/// Whether the gateway alone decides about the header.
fn is_framing(name: &HeaderName) -> bool {
    const NAMES: [HeaderName; 6] = [
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
    ];
    NAMES.contains(name) || name == "keep-alive" || name.as_str().starts_with("proxy-")
}

fn check(operation: Operation) -> Result<Change, PluginError> {
    let number = operation.number();
    let problem =
        |what: &str| PluginError::new(PluginErrorKind::Protocol, format!("applying operation {number:?}: {what}"));
    let header_name = |name: &str| {
        HeaderName::from_bytes(name.as_bytes()).map_err(|_| problem(&format!("{name:?} is no header name")))
    };
    let header_value = |name: &HeaderName, value: Bytes| {
        HeaderValue::from_maybe_shared(value)
            .map_err(|_| problem(&format!("the value of {name} has characters that no header may have")))
    };
    let set = |name: &str, value| {
        let name = header_name(name)?;
        let value = header_value(&name, value)?;
        Ok(HeaderChange::Set(name, value))
    };
    let add = |name: &str, value| {
        let name = header_name(name)?;
        let value = header_value(&name, value)?;
        Ok(HeaderChange::Add(name, value))
    };
    Ok(match operation {
        Operation::SetRequestHeader { name, value } => Change::Request(set(&name, value)?),
        Operation::AddRequestHeader { name, value } => Change::Request(add(&name, value)?),
        Operation::RemoveRequestHeader { name } => Change::Request(HeaderChange::Remove(header_name(&name)?)),
        Operation::SetResponseHeader { name, value } => Change::Response(set(&name, value)?),
        Operation::AddResponseHeader { name, value } => Change::Response(add(&name, value)?),
        Operation::RemoveResponseHeader { name } => Change::Response(HeaderChange::Remove(header_name(&name)?)),
        Operation::SetResponseStatus(status) => match StatusCode::from_u16(status) {
            Ok(status) if status.as_u16() >= 200 => Change::Status(status),
            _ => return Err(problem(&format!("status {status} is outside 200 to 999"))),
        },
        Operation::SetResponseBody(WireBody::Inline(body)) => Change::Body(body),
        Operation::SetResponseBody(WireBody::Data { id, .. }) => {
            return Err(problem(&format!("the body of data {id} has not arrived")));
        }
    })
}

#[cfg(test)]
mod tests;
