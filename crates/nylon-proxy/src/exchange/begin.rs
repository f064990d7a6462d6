//! The beginning: what the codec hands over becomes an exchange, or is refused before a route is known.

use std::{borrow::Cow, convert::Infallible, rc::Rc, time::Instant};

use http::{HeaderMap, Request, Response, Uri, header, uri::PathAndQuery};
use hyper::body::Incoming;
use nylon_plugin::{EarlyResponse, Exchange, Given, NoBody, RequestBody, Run};
use nylon_routing::{NoMatch, canonical, split_authority};
use nylon_wire::ErrorCode;

use super::{
    course::{Course, Progress},
    notes::Notes,
};
use crate::{
    active::Active,
    body::{AnswerBody, Source},
    down::{ConnectionState, REFUSED_METHOD},
    errors::{ErrorAnswer, REQUEST_ID},
    headers::{strip, strip_connection_named},
    request_body::ClientBody,
    thread::Thread,
};

/// Longest request id that is taken over from a trusted proxy, bytes.
const MAX_ID: usize = 128;

/// Serves one request. The codec drops the future when the client leaves; the course sees to the rest then.
pub(crate) async fn handle(
    thread: Rc<Thread>,
    connection: Rc<ConnectionState>,
    request: Request<Incoming>,
) -> Result<Response<AnswerBody>, Infallible> {
    connection.begin();
    thread.metrics.in_flight.add(1);
    let (parts, incoming) = request.into_parts();
    if parts.method.as_str() == REFUSED_METHOD
        && let Some(refusal) = connection.take_refusal()
    {
        let mut response = refuse(&thread, &connection, refusal.code.into(), refusal.reason, None);
        response.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("close"));
        return Ok(response);
    }
    let active = thread.active();
    let notes = Notes::of(&parts.headers);
    let body = client_body(&notes, incoming, active.snapshot.limits.max_request_body_bytes);
    match begin(&thread, &connection, &active, parts, notes, body.clone()) {
        Ok(course) => Ok(course.run().await),
        Err((answer, reason)) => Ok(refuse(&thread, &connection, answer, reason, body)),
    }
}

/// The request's body, if its head announces one.
fn client_body(notes: &Notes, incoming: Incoming, limit: Option<u64>) -> Option<ClientBody> {
    let has_body = notes.length.is_some_and(|length| length > 0) || notes.coded;
    has_body.then(|| ClientBody::new(incoming, notes.length, notes.expects, limit))
}

/// An answer without route: nothing but counters and the log sees it (rules §6).
fn refuse(
    thread: &Thread,
    connection: &ConnectionState,
    answer: ErrorAnswer,
    reason: &'static str,
    body: Option<ClientBody>,
) -> Response<AnswerBody> {
    let id = thread.ids.next();
    let code = answer.code;
    if thread.logs_failure() {
        tracing::info!(id = &*id, code = code.code(), peer = %connection.peer.address, "refusing a request: {reason}");
    }
    thread.metrics.error(code);
    thread.metrics.finished(answer.status);
    thread.metrics.in_flight.subtract(1);
    let mut response = Response::new(AnswerBody::new(Source::Full(answer.body(&id)), None));
    *response.status_mut() = answer.status();
    *response.headers_mut() = answer.headers(&id);
    if let Some(body) = body {
        if body.is_drainable() {
            tokio::task::spawn_local(body.drain());
        } else {
            response.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("close"));
        }
    }
    // The answer is in memory: the connection idles from now on.
    connection.end();
    response
}

type Refused = (ErrorAnswer, &'static str);

fn begin(
    thread: &Rc<Thread>,
    connection: &Rc<ConnectionState>,
    active: &Rc<Active>,
    mut parts: http::request::Parts,
    mut notes: Notes,
    client_body: Option<ClientBody>,
) -> Result<Box<Course>, Refused> {
    if notes.expects_too_much {
        return Err((ErrorCode::ExpectationFailed.into(), "an expectation other than 100-continue"));
    }
    let uri = one_form(origin_form(parts.uri)?)?;
    let path = uri.path();
    let authority = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let (host, port) = split_authority(authority).ok_or(bad("bad host"))?;
    let (host, port): (Box<str>, u16) = (host.into(), port);
    let snapshot = &active.snapshot;
    let found = snapshot.find(&host, &parts.method, path, &parts.headers).map_err(no_match)?;

    let params = found.params.iter().map(|(name, value)| (name.into(), value.into())).collect();
    let target = match found.rewrite(path) {
        Some(path) => Some(with_query(&canonical(&path).map_err(bad)?, &uri)),
        None => None,
    };
    let (route, index, service) = (found.route, found.path.index, found.path.service);
    let now = Instant::now();
    if strip(&route.strip_headers, &mut parts.headers) {
        notes = Notes::of(&parts.headers);
    }
    if notes.names_headers {
        strip_connection_named(&mut parts.headers);
        notes.length = Notes::of(&parts.headers).length;
    }

    let peer = connection.peer.address;
    let trusted = snapshot.trusted_proxies.trusts(peer);
    let request = nylon_plugin::Request {
        id: trusted.then(|| given_id(&parts.headers)).flatten().unwrap_or_else(|| thread.ids.next()),
        client_ip: if trusted { snapshot.client(peer, &parts.headers) } else { peer },
        method: parts.method,
        host,
        port,
        params,
        tls: false,
        websocket: notes.websocket && parts.version == http::Version::HTTP_11,
        content_length: notes.length,
        timestamp_ms: thread.clock.unix_ms(now),
        given: Given::new(trusted),
        received: now,
        route: active.names[index].clone(),
        headers: parts.headers,
        uri,
    };
    let exchange = Exchange {
        request,
        request_body: match &client_body {
            Some(body) => Box::new(body.clone()) as Box<dyn RequestBody>,
            None => Box::new(NoBody),
        },
        early: EarlyResponse::default(),
        response: nylon_plugin::Response::default(),
        error: None,
    };
    let chain = &active.chains[index];
    let run = (!chain.is_empty()).then(|| Run::new(Rc::clone(chain), Rc::clone(&active.entries)));
    Ok(Box::new(Course {
        thread: Rc::clone(thread),
        connection: Rc::clone(connection),
        active: Rc::clone(active),
        exchange,
        run,
        client_body,
        trusted,
        target,
        service,
        progress: Progress::default(),
    }))
}

/// Path and query only: the authority of an absolute target was compared with `Host` before.
fn origin_form(uri: Uri) -> Result<Uri, Refused> {
    if uri.authority().is_none() {
        return Ok(uri);
    }
    let target = match uri.path_and_query() {
        // RFC 9112 §3.2.1: an empty path is a slash.
        Some(query) if query.as_str().starts_with('?') => PathAndQuery::try_from(format!("/{}", query.as_str())),
        Some(target) => Ok(target.clone()),
        None => Ok(PathAndQuery::from_static("/")),
    };
    target.map(Uri::from).map_err(|_| bad("bad request target"))
}

/// Routes, plugins and upstreams see one and the same path.
fn one_form(uri: Uri) -> Result<Uri, Refused> {
    match canonical(uri.path()).map_err(bad)? {
        Cow::Borrowed(_) => Ok(uri),
        Cow::Owned(path) => Uri::try_from(with_query(&path, &uri)).map_err(|_| bad("bad request target")),
    }
}

fn with_query(path: &str, uri: &Uri) -> String {
    uri.query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"))
}

fn bad(reason: &'static str) -> Refused {
    (ErrorCode::BadRequest.into(), reason)
}

fn no_match(reason: NoMatch) -> Refused {
    match reason {
        NoMatch::NotFound => (ErrorCode::RouteNotFound.into(), "no route matches"),
        NoMatch::EncodedSlash => bad("the path has an encoded slash"),
        NoMatch::Ambiguous => bad("the path could be taken for one with other middleware"),
        NoMatch::MethodNotAllowed(allow) => {
            let answer = ErrorAnswer { allow: Some(allow), ..ErrorCode::MethodNotAllowed.into() };
            (answer, "the path does not have this method")
        }
    }
}

/// The id that a trusted proxy has given the request.
fn given_id(headers: &HeaderMap) -> Option<Box<str>> {
    let id = headers.get(REQUEST_ID)?.to_str().ok()?;
    let clean = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    (!id.is_empty() && id.len() <= MAX_ID && id.bytes().all(clean)).then(|| id.into())
}
