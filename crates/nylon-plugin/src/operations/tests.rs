use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use nylon_wire::{Operation, ResponseBody as WireBody, Text};
use proptest::prelude::*;

use super::{HeaderChange, Ignored};
use crate::{EarlyResponse, Exchange, Given, NoBody, Phase, PluginErrorKind, Request, Response, ResponseBody};

fn text(text: &str) -> Text {
    Text::from_utf8(Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

fn set(name: &str, value: &str) -> Operation {
    Operation::SetResponseHeader { name: text(name), value: Bytes::copy_from_slice(value.as_bytes()) }
}

fn add(name: &str, value: &str) -> Operation {
    Operation::AddResponseHeader { name: text(name), value: Bytes::copy_from_slice(value.as_bytes()) }
}

fn remove(name: &str) -> Operation {
    Operation::RemoveResponseHeader { name: text(name) }
}

fn set_request(name: &str, value: &str) -> Operation {
    Operation::SetRequestHeader { name: text(name), value: Bytes::copy_from_slice(value.as_bytes()) }
}

fn add_request(name: &str, value: &str) -> Operation {
    Operation::AddRequestHeader { name: text(name), value: Bytes::copy_from_slice(value.as_bytes()) }
}

fn remove_request(name: &str) -> Operation {
    Operation::RemoveRequestHeader { name: text(name) }
}

fn body(bytes: &'static str) -> Operation {
    Operation::SetResponseBody(WireBody::Inline(Bytes::from_static(bytes.as_bytes())))
}

fn exchange() -> Exchange {
    Exchange {
        request: Request {
            id: "r1".into(),
            method: http::Method::GET,
            uri: http::Uri::from_static("/a?b"),
            host: "a.test".into(),
            port: 0,
            headers: HeaderMap::new(),
            params: Vec::new(),
            client_ip: std::net::Ipv4Addr::LOCALHOST.into(),
            tls: false,
            websocket: false,
            content_length: None,
            timestamp_ms: 0,
            given: Default::default(),
            received: std::time::Instant::now(),
            route: "main".into(),
        },
        request_body: Box::new(NoBody),
        early: EarlyResponse::default(),
        response: Response::default(),
        error: None,
    }
}

/// Applies and gives back what was ignored.
fn apply(exchange: &mut Exchange, phase: Phase, operations: Vec<Operation>) -> Vec<Ignored> {
    let mut ignored = Vec::new();
    exchange.apply(phase, operations, |reason| ignored.push(reason)).unwrap();
    ignored
}

/// Applies an operation that is illegal; the text for the log.
fn refused(operation: Operation) -> String {
    let mut exchange = exchange();
    let operations = vec![set("x-before", "1"), operation];
    let error = exchange.apply(Phase::RequestFilter, operations, |_| {}).unwrap_err();
    assert_eq!(error.kind, PluginErrorKind::Protocol);
    assert!(exchange.early.headers.is_empty(), "what came before an illegal operation was applied");
    error.message
}

fn lines(headers: &HeaderMap) -> Vec<String> {
    headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect()
}

#[test]
fn set_replaces_every_spelling_and_every_repeat() {
    let mut exchange = exchange();
    let operations = vec![add("X-A", "1"), add("x-a", "2"), set("x-A", "3")];
    assert_eq!(apply(&mut exchange, Phase::ResponseFilter, operations), []);
    assert_eq!(lines(&exchange.response.headers), ["x-a: 3"]);
}

#[test]
fn what_the_gateway_writes_is_given_by_request_filters_and_by_no_client() {
    for (trusted, kept) in
        [(false, &["x-forwarded-for: b"][..]), (true, &["x-forwarded-for: a", "x-forwarded-for: b"][..])]
    {
        let mut exchange = exchange();
        exchange.request.given = Given::new(trusted);
        exchange.request.headers.insert("x-forwarded-for", HeaderValue::from_static("a"));
        let mut change = |operation| {
            apply(&mut exchange, Phase::RequestFilter, vec![operation]);
            (exchange.request.given.has("x-forwarded-for"), lines(&exchange.request.headers))
        };
        assert!(!change(remove_request("x-other")).0);
        assert_eq!(
            change(add_request("X-Forwarded-For", "b")),
            (true, kept.iter().map(|&line| line.to_owned()).collect())
        );
        assert_eq!(change(add_request("X-Forwarded-For", "c")).1.len(), kept.len() + 1, "to what was added");
        assert_eq!(change(remove_request("X-Forwarded-For")), (false, Vec::new()), "the gateway's own is back");
        assert!(change(set_request("X-Forwarded-For", "d")).0);
        assert!(!exchange.request.given.has("forwarded"));
    }
}

#[test]
fn add_keeps_what_is_there() {
    let mut exchange = exchange();
    apply(&mut exchange, Phase::ResponseFilter, vec![add("Set-Cookie", "a=1"), add("Set-Cookie", "b=2")]);
    assert_eq!(lines(&exchange.response.headers), ["set-cookie: a=1", "set-cookie: b=2"]);
}

#[test]
fn changes_apply_in_call_order() {
    let mut exchange = exchange();
    apply(&mut exchange, Phase::ResponseFilter, vec![set("x-a", "1"), remove("X-A")]);
    assert_eq!(lines(&exchange.response.headers), [""; 0]);
    apply(&mut exchange, Phase::ResponseFilter, vec![remove("X-A"), set("x-a", "1")]);
    assert_eq!(lines(&exchange.response.headers), ["x-a: 1"]);
}

#[test]
fn request_headers_change_at_once_in_the_request_filter() {
    let mut exchange = exchange();
    exchange.request.headers.append("x-auth-user", HeaderValue::from_static("root"));
    exchange.request.headers.append("x-auth-user", HeaderValue::from_static("admin"));
    exchange.request.headers.append("x-secret", HeaderValue::from_static("1"));
    let operations = vec![set_request("X-Auth-User", "ann"), add_request("x-group", "a"), remove_request("X-Secret")];
    assert_eq!(apply(&mut exchange, Phase::RequestFilter, operations), []);
    assert_eq!(lines(&exchange.request.headers), ["x-auth-user: ann", "x-group: a"]);
}

#[test]
fn a_changed_request_header_leaves_no_spelling_that_an_upstream_takes_for_it() {
    let mut exchange = exchange();
    let sent = ["x_auth_user", "x-auth_user", "x_secret", "x_group", "x-auth-user2"];
    for name in sent {
        exchange.request.headers.append(name, HeaderValue::from_static("root"));
    }
    let operations = vec![set_request("X-Auth-User", "ann"), remove_request("X-Secret"), add_request("X-Group", "a")];
    assert_eq!(apply(&mut exchange, Phase::RequestFilter, operations), []);
    let mut left = lines(&exchange.request.headers);
    left.sort();
    assert_eq!(left, ["x-auth-user2: root", "x-auth-user: ann", "x-group: a", "x_group: root"]);
    apply(&mut exchange, Phase::RequestFilter, vec![set_request("x_auth_user", "bob")]);
    assert!(!exchange.request.headers.contains_key("x-auth-user"));
}

#[test]
fn answers_keep_headers_that_are_spelled_differently() {
    let mut exchange = exchange();
    apply(&mut exchange, Phase::ResponseFilter, vec![set("x_a", "1"), set("x-a", "2"), remove("x-b")]);
    assert_eq!(lines(&exchange.response.headers), ["x_a: 1", "x-a: 2"]);
}

#[test]
fn request_headers_cannot_change_later() {
    for phase in [Phase::ResponseFilter, Phase::ResponseBodyFilter, Phase::Logging] {
        let mut exchange = exchange();
        let ignored = apply(&mut exchange, phase, vec![set_request("x-a", "1"), remove_request("x-b")]);
        assert_eq!(ignored, [Ignored::TooLate("a request header"), Ignored::TooLate("a request header")]);
        assert!(exchange.request.headers.is_empty());
    }
}

#[test]
fn a_body_filter_changes_the_body_only() {
    let mut exchange = exchange();
    let status = Operation::SetResponseStatus(404);
    let ignored = apply(&mut exchange, Phase::ResponseBodyFilter, vec![set("x-a", "1"), status, body("new")]);
    assert_eq!(ignored, [Ignored::TooLate("a response header"), Ignored::TooLate("the status")]);
    assert_eq!(exchange.response.body.full().unwrap(), "new");
    assert!(exchange.response.headers.is_empty());
    assert_eq!(exchange.response.status, StatusCode::OK);
}

#[test]
fn logging_changes_nothing() {
    let mut exchange = exchange();
    let operations = vec![set("x-a", "1"), Operation::SetResponseStatus(404), body("new"), set_request("x-b", "1")];
    assert_eq!(apply(&mut exchange, Phase::Logging, operations).len(), 4);
    assert!(exchange.response.headers.is_empty() && exchange.response.body.full().is_none());
}

#[test]
fn framing_and_hop_by_hop_headers_are_ignored() {
    let names = [
        "Connection",
        "Keep-Alive",
        "Proxy-Connection",
        "Proxy-Authenticate",
        "proxy-anything",
        "TE",
        "Trailer",
        "Transfer-Encoding",
        "Upgrade",
        "Content-Length",
    ];
    for name in names {
        let mut exchange = exchange();
        exchange.response.headers.insert(name, HeaderValue::from_static("kept"));
        exchange.request.headers.insert(name, HeaderValue::from_static("kept"));
        let lower = HeaderName::from_bytes(name.as_bytes()).unwrap();
        let expected = vec![Ignored::Framing(lower); 3];
        let response = vec![set(name, "1"), add(name, "1"), remove(name)];
        assert_eq!(apply(&mut exchange, Phase::ResponseFilter, response.clone()), expected);
        assert_eq!(apply(&mut exchange, Phase::RequestFilter, response), expected);
        let request = vec![set_request(name, "1"), add_request(name, "1"), remove_request(name)];
        assert_eq!(apply(&mut exchange, Phase::RequestFilter, request), expected);
        assert_eq!(lines(&exchange.response.headers), [format!("{}: kept", name.to_lowercase())]);
        assert_eq!(lines(&exchange.request.headers), [format!("{}: kept", name.to_lowercase())]);
        assert!(exchange.early.headers.is_empty());
    }
}

#[test]
fn there_is_always_exactly_one_host() {
    let mut exchange = exchange();
    exchange.request.headers.insert("host", HeaderValue::from_static("a.test"));
    let operations = vec![add_request("Host", "b.test"), remove_request("host"), set_request("HOST", "c.test")];
    let ignored = apply(&mut exchange, Phase::RequestFilter, operations);
    assert_eq!(ignored, vec![Ignored::Framing(http::header::HOST); 2]);
    assert_eq!(lines(&exchange.request.headers), ["host: c.test"]);
}

#[test]
fn illegal_names_are_refused() {
    for name in ["", "a b", "a:b", "é", "a\r\nb", "a\0"] {
        assert!(refused(set(name, "1")).contains("is no header name"), "{name:?}");
        assert!(refused(add(name, "1")).contains("is no header name"), "{name:?}");
        assert!(refused(remove(name)).contains("is no header name"), "{name:?}");
        assert!(refused(set_request(name, "1")).contains("is no header name"), "{name:?}");
        assert!(refused(add_request(name, "1")).contains("is no header name"), "{name:?}");
        assert!(refused(remove_request(name)).contains("is no header name"), "{name:?}");
    }
}

#[test]
fn illegal_values_are_refused() {
    for value in ["a\r\nb: 1", "\n", "\r", "\0", "a\x01"] {
        assert!(refused(set("x-a", value)).contains("the value of x-a"), "{value:?}");
        assert!(refused(add("x-a", value)).contains("the value of x-a"), "{value:?}");
        assert!(refused(set_request("x-a", value)).contains("the value of x-a"), "{value:?}");
        assert!(refused(add_request("x-a", value)).contains("the value of x-a"), "{value:?}");
    }
}

#[test]
fn illegal_values_are_refused_also_where_the_header_would_be_ignored() {
    assert!(refused(set("content-length", "1\r\n")).contains("the value of content-length"));
}

#[test]
fn legal_bytes_beyond_ascii_are_values() {
    let mut exchange = exchange();
    let value = Bytes::from_static(&[0xe9, b'\t', 0xff]);
    let operation = Operation::SetResponseHeader { name: text("x-a"), value: value.clone() };
    apply(&mut exchange, Phase::ResponseFilter, vec![operation]);
    assert_eq!(exchange.response.headers["x-a"].as_bytes(), value);
}

#[test]
fn a_status_is_between_200_and_999() {
    for status in [200, 599, 999] {
        let mut exchange = exchange();
        apply(&mut exchange, Phase::ResponseFilter, vec![Operation::SetResponseStatus(status)]);
        assert_eq!(exchange.response.status.as_u16(), status);
    }
    for status in [0, 99, 100, 101, 199, 1000, u16::MAX] {
        assert!(refused(Operation::SetResponseStatus(status)).contains("is outside 200 to 999"), "{status}");
    }
}

#[test]
fn a_body_that_is_not_here_is_refused() {
    let operation = Operation::SetResponseBody(WireBody::Data { id: 7, total: 1 });
    assert!(refused(operation).contains("data 7 has not arrived"));
}

#[test]
fn a_body_in_place_of_the_upstreams_takes_its_description_away() {
    let mut exchange = exchange();
    for name in ["content-encoding", "etag", "content-length", "content-range", "accept-ranges", "repr-digest"] {
        exchange.response.headers.insert(name, HeaderValue::from_static("old"));
    }
    exchange.response.headers.insert("content-type", HeaderValue::from_static("text/html"));
    apply(&mut exchange, Phase::ResponseFilter, vec![set("etag", "new"), body("")]);
    let mut kept = lines(&exchange.response.headers);
    kept.sort();
    assert_eq!(kept, ["content-type: text/html", "etag: new"]);
    assert_eq!(exchange.response.body.full().unwrap(), "", "an empty body blanks the upstream's");
}

#[test]
fn an_early_answer_is_what_was_set() {
    let mut exchange = exchange();
    let operations =
        vec![set("x-a", "1"), Operation::SetResponseStatus(401), body("no"), remove("x-a"), add("x-b", "2")];
    apply(&mut exchange, Phase::RequestFilter, operations);
    exchange.answer_early(0);
    assert_eq!(exchange.response.status, StatusCode::UNAUTHORIZED);
    assert_eq!(lines(&exchange.response.headers), ["x-b: 2"]);
    assert_eq!(exchange.response.body.full().unwrap(), "no");
}

#[test]
fn an_early_answer_without_anything_is_an_empty_200() {
    let mut exchange = exchange();
    exchange.answer_early(0);
    assert_eq!(exchange.response.status, StatusCode::OK);
    assert_eq!(exchange.response.body.full().unwrap(), "");
}

#[test]
fn early_headers_change_the_services_answer_and_early_status_and_body_do_not() {
    let mut exchange = exchange();
    let operations = vec![set("x-a", "1"), remove("server"), Operation::SetResponseStatus(401), body("no")];
    apply(&mut exchange, Phase::RequestFilter, operations);
    exchange.response.status = StatusCode::IM_A_TEAPOT;
    exchange.response.headers.insert("x-a", HeaderValue::from_static("upstream"));
    exchange.response.headers.insert("server", HeaderValue::from_static("upstream"));
    exchange.apply_early_headers(0);
    exchange.apply_early_headers(0);
    assert_eq!(lines(&exchange.response.headers), ["x-a: 1"]);
    assert_eq!(exchange.response.status, StatusCode::IM_A_TEAPOT);
    assert!(matches!(exchange.response.body, ResponseBody::Service));
}

#[test]
fn early_headers_do_not_contradict_the_gateways_own_error() {
    let mut exchange = exchange();
    let operations =
        vec![set("content-type", "text/html"), set("access-control-allow-origin", "*"), remove("x-request-id")];
    apply(&mut exchange, Phase::RequestFilter, operations);
    exchange.error = Some("PLUGIN_TIMEOUT".to_owned());
    exchange.response.headers.insert("content-type", HeaderValue::from_static("application/json"));
    exchange.response.headers.insert("x-request-id", HeaderValue::from_static("r1"));
    exchange.apply_early_headers(0);
    let mut kept = lines(&exchange.response.headers);
    kept.sort();
    assert_eq!(kept, ["access-control-allow-origin: *", "content-type: application/json", "x-request-id: r1"]);
}

/// A header operation on one of a few names in some spelling.
fn header_operation() -> impl Strategy<Value = Operation> {
    let name = prop::sample::select(vec!["x-a", "X-A", "x-b", "X-b", "set-cookie", "Set-Cookie", "Connection", "te"]);
    (0..3, name, "[a-z]{0,3}").prop_map(|(kind, name, value)| match kind {
        0 => set(name, &value),
        1 => add(name, &value),
        _ => remove(name),
    })
}

/// The simplest thing that could be right: a list of lines.
fn model(mut lines: Vec<(String, String)>, operations: &[Operation]) -> Vec<(String, String)> {
    for operation in operations {
        let (Operation::SetResponseHeader { name, .. }
        | Operation::AddResponseHeader { name, .. }
        | Operation::RemoveResponseHeader { name }) = operation
        else {
            continue;
        };
        let name = name.to_lowercase();
        if name == "connection" || name == "te" {
            continue;
        }
        if !matches!(operation, Operation::AddResponseHeader { .. }) {
            lines.retain(|(other, _)| *other != name);
        }
        if let Operation::SetResponseHeader { value, .. } | Operation::AddResponseHeader { value, .. } = operation {
            lines.push((name, String::from_utf8(value.to_vec()).unwrap()));
        }
    }
    // Order between different names means nothing; order of repeats does.
    lines.sort_by(|one, other| one.0.cmp(&other.0));
    lines
}

fn sorted(headers: &HeaderMap) -> Vec<(String, String)> {
    let mut lines: Vec<_> =
        headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    lines.sort_by(|one, other| one.0.cmp(&other.0));
    lines
}

proptest! {
    #[test]
    fn header_operations_do_what_a_list_of_lines_does(
        upstream in prop::collection::vec(("(x-a|x-b|set-cookie|connection)", "[a-z]{1,3}"), 0..4),
        early in prop::collection::vec(header_operation(), 0..8),
        late in prop::collection::vec(header_operation(), 0..8),
    ) {
        let mut exchange = exchange();
        apply(&mut exchange, Phase::RequestFilter, early.clone());
        for (name, value) in &upstream {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            exchange.response.headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        exchange.apply_early_headers(0);
        apply(&mut exchange, Phase::ResponseFilter, late.clone());
        let operations: Vec<_> = early.into_iter().chain(late).collect();
        prop_assert_eq!(sorted(&exchange.response.headers), model(upstream, &operations));
    }

    #[test]
    fn no_name_and_value_make_a_second_line(name in "[ -~\r\n\0é]{0,6}", value in "[ -~\r\n\0\t]{0,6}") {
        let mut exchange = exchange();
        if exchange.apply(Phase::ResponseFilter, vec![set(&name, &value)], |_| {}).is_ok() {
            for (name, value) in &exchange.response.headers {
                prop_assert!(name.as_str().bytes().all(|byte| byte.is_ascii_graphic() && byte != b':'));
                prop_assert!(!value.as_bytes().iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)));
            }
        }
    }
}

#[test]
fn a_change_knows_its_header() {
    let name = HeaderName::from_static("x-a");
    let value = HeaderValue::from_static("1");
    for change in [
        HeaderChange::Set(name.clone(), value.clone()),
        HeaderChange::Add(name.clone(), value),
        HeaderChange::Remove(name.clone()),
    ] {
        assert_eq!(change.name(), name);
    }
}
