//! Requests that two parsers could understand differently: what the client is told, and that the upstream sees
//! nothing of them. Each case is sent whole, byte by byte, and behind a good request.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

use support::{Client, Upstream, gateway, gateway_with};

const GOOD: &str = "GET /good HTTP/1.1\r\nHost: a.test\r\n\r\n";

/// The gateway refuses `request` with this status and code, closes, and the upstream hears of nothing but good
/// requests.
fn refused(request: &[u8], status: u16, code: &str) {
    let upstream = Upstream::echo();
    let gateway = gateway(&upstream);
    let text = String::from_utf8_lossy(request);

    let mut whole = Client::connect(&gateway);
    whole.send(request);
    let answer = whole.answer();
    assert_eq!((answer.status, answer.error().as_str()), (status, code), "{text:?}");
    assert_eq!(answer.header("connection"), Some("close"), "{text:?}");
    whole.finish();
    assert_eq!(whole.rest(), "", "{text:?}");
    assert_eq!(upstream.requests().len(), 0, "{text:?}");

    let mut drip = Client::connect(&gateway);
    for byte in request {
        if !drip.try_send([*byte]) {
            break;
        }
    }
    assert_eq!(drip.answer().status, status, "byte by byte: {text:?}");
    assert_eq!(upstream.requests().len(), 0, "byte by byte: {text:?}");

    let mut behind = Client::connect(&gateway);
    behind.send([GOOD.as_bytes(), request, GOOD.as_bytes()].concat());
    assert_eq!(behind.answer().text(), "GET /good HTTP/1.1", "behind another: {text:?}");
    assert_eq!(behind.answer().status, status, "behind another: {text:?}");
    behind.finish();
    assert_eq!(behind.rest(), "", "behind another: {text:?}");
    assert_eq!(upstream.requests().len(), 1, "behind another: {text:?}");
}

/// The head is good, the body is not: the upstream never gets a whole request, and no second one.
fn broken_body(request: &[u8]) {
    let upstream = Upstream::echo();
    let gateway = gateway(&upstream);
    let text = String::from_utf8_lossy(request);
    let mut client = Client::connect(&gateway);
    client.send(request);
    let answer = client.answer();
    assert_eq!((answer.status, answer.error().as_str()), (400, "BAD_REQUEST"), "{text:?}");
    assert_eq!(answer.header("connection"), Some("close"), "{text:?}");
    client.finish();
    assert_eq!(client.rest(), "", "{text:?}");
    let seen = upstream.requests();
    assert!(seen.iter().all(|request| !request.line().contains("/smuggled")), "{seen:?}");
    assert!(seen.len() <= 1, "{seen:?}");
    // Nothing is left in a pool that could answer the wrong client.
    assert_eq!(Client::connect(&gateway).get("/good").text(), "GET /good HTTP/1.1", "{text:?}");
}

macro_rules! refused {
    ($($name:ident: $request:expr => $status:literal $code:literal;)*) => {
        $(#[test]
        fn $name() {
            let request = $request;
            refused(request.as_ref(), $status, $code);
        })*
    };
}

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

refused! {
    content_length_beside_transfer_encoding:
        format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{SMUGGLED}") => 400 "BAD_REQUEST";
    transfer_encoding_beside_content_length:
        format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n{SMUGGLED}") => 400 "BAD_REQUEST";
    differing_content_lengths:
        format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 37\r\n\r\n{SMUGGLED}") => 400 "BAD_REQUEST";
    repeated_content_lengths:
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nhi" => 400 "BAD_REQUEST";
    a_list_of_content_lengths:
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2, 2\r\n\r\nhi" => 400 "BAD_REQUEST";
    a_content_length_with_plus:
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +2\r\n\r\nhi" => 400 "BAD_REQUEST";
    a_content_length_with_minus:
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -2\r\n\r\nhi" => 400 "BAD_REQUEST";
    a_content_length_in_hex:
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x2\r\n\r\nhi" => 400 "BAD_REQUEST";
    a_content_length_with_inner_space:
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2 2\r\n\r\nhi" => 400 "BAD_REQUEST";
    an_empty_content_length:
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\nhi" => 400 "BAD_REQUEST";
    a_content_length_beyond_all_numbers:
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\nhi" => 400 "BAD_REQUEST";
    a_vertical_tab_in_a_content_length:
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \x0b2\r\n\r\nhi" => 400 "BAD_REQUEST";
    space_before_the_colon:
        format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 37\r\n\r\n{SMUGGLED}") => 400 "BAD_REQUEST";
    space_before_a_header_name:
        "GET / HTTP/1.1\r\n Host: a\r\n\r\n" => 400 "BAD_REQUEST";
    obsolete_folding:
        "GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r\n 2\r\n\r\n" => 400 "BAD_REQUEST";
    a_folded_transfer_encoding:
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n" => 400 "BAD_REQUEST";
    bare_lf_lines:
        "GET / HTTP/1.1\nHost: a\n\n" => 400 "BAD_REQUEST";
    one_bare_lf:
        format!("POST / HTTP/1.1\r\nHost: a\r\nX: 1\nContent-Length: 37\r\n\r\n{SMUGGLED}") => 400 "BAD_REQUEST";
    a_bare_cr_in_a_value:
        format!("POST / HTTP/1.1\r\nHost: a\r\nX: 1\rContent-Length: 37\r\n\r\n{SMUGGLED}") => 400 "BAD_REQUEST";
    nul_in_a_value:
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n" => 400 "BAD_REQUEST";
    escape_in_a_value:
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\x1bb\r\n\r\n" => 400 "BAD_REQUEST";
    nul_in_a_name:
        "GET / HTTP/1.1\r\nHost: a\r\nX\0Y: a\r\n\r\n" => 400 "BAD_REQUEST";
    an_empty_header_name:
        "GET / HTTP/1.1\r\nHost: a\r\n: a\r\n\r\n" => 400 "BAD_REQUEST";
    a_line_without_colon:
        "GET / HTTP/1.1\r\nHost: a\r\nnothing\r\n\r\n" => 400 "BAD_REQUEST";
    transfer_encoding_identity:
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n" => 400 "BAD_REQUEST";
    chunked_not_last:
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n" => 400 "BAD_REQUEST";
    chunked_behind_another_coding:
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" => 501 "NOT_IMPLEMENTED";
    chunked_twice:
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" => 400 "BAD_REQUEST";
    chunked_with_a_suffix:
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" => 400 "BAD_REQUEST";
    a_quoted_chunked:
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n" => 400 "BAD_REQUEST";
    transfer_encoding_in_http_10:
        "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" => 400 "BAD_REQUEST";
    no_host:
        "GET / HTTP/1.1\r\n\r\n" => 400 "BAD_REQUEST";
    an_empty_host:
        "GET / HTTP/1.1\r\nHost: \r\n\r\n" => 400 "BAD_REQUEST";
    two_hosts:
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" => 400 "BAD_REQUEST";
    the_same_host_twice:
        "GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n" => 400 "BAD_REQUEST";
    a_host_with_a_path:
        "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n" => 400 "BAD_REQUEST";
    a_host_with_user_info:
        "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n" => 400 "BAD_REQUEST";
    a_host_with_space:
        "GET / HTTP/1.1\r\nHost: a b\r\n\r\n" => 400 "BAD_REQUEST";
    a_host_with_a_bad_port:
        "GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n" => 400 "BAD_REQUEST";
    an_absolute_target_for_another_host:
        "GET http://b.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n" => 400 "BAD_REQUEST";
    an_absolute_target_with_user_info:
        "GET http://a.test@b.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n" => 400 "BAD_REQUEST";
    an_absolute_target_of_another_scheme:
        "GET ftp://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n" => 400 "BAD_REQUEST";
    a_relative_target:
        "GET admin HTTP/1.1\r\nHost: a\r\n\r\n" => 400 "BAD_REQUEST";
    an_asterisk_for_get:
        "GET * HTTP/1.1\r\nHost: a\r\n\r\n" => 400 "BAD_REQUEST";
    a_target_with_a_fragment:
        "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n" => 400 "BAD_REQUEST";
    a_target_with_space:
        "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n" => 400 "BAD_REQUEST";
    a_target_with_a_control_character:
        "GET /a\x01b HTTP/1.1\r\nHost: a\r\n\r\n" => 400 "BAD_REQUEST";
    a_target_with_a_tab:
        "GET /a\tb HTTP/1.1\r\nHost: a\r\n\r\n" => 400 "BAD_REQUEST";
    a_target_with_a_backtick:
        "GET /a`b HTTP/1.1\r\nHost: a\r\n\r\n" => 400 "BAD_REQUEST";
    a_query_with_a_quote:
        "GET /a?\"b HTTP/1.1\r\nHost: a\r\n\r\n" => 400 "BAD_REQUEST";
    an_absolute_target_with_an_escaped_host:
        "GET http://a%41b/ HTTP/1.1\r\nHost: a%41b\r\n\r\n" => 400 "BAD_REQUEST";
    a_target_with_raw_utf8:
        "GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n" => 400 "BAD_REQUEST";
    two_spaces_in_the_request_line:
        "GET  / HTTP/1.1\r\nHost: a\r\n\r\n" => 400 "BAD_REQUEST";
    a_tab_in_the_request_line:
        "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n" => 400 "BAD_REQUEST";
    a_request_line_without_version:
        "GET /\r\nHost: a\r\n\r\n" => 400 "BAD_REQUEST";
    an_unknown_version:
        "GET / HTTP/1.2\r\nHost: a\r\n\r\n" => 400 "BAD_REQUEST";
    http_2_without_asking:
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" => 400 "BAD_REQUEST";
    a_lower_case_method:
        "get / HTTP/1.1\r\nHost: a\r\n\r\n" => 400 "BAD_REQUEST";
    a_method_that_is_no_token:
        "GE(T / HTTP/1.1\r\nHost: a\r\n\r\n" => 400 "BAD_REQUEST";
    connect:
        "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n" => 501 "NOT_IMPLEMENTED";
    trace:
        "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n" => 501 "NOT_IMPLEMENTED";
    connection_names_content_length:
        format!("POST / HTTP/1.1\r\nHost: a\r\nConnection: close, Content-Length\r\nContent-Length: 37\r\n\r\n{SMUGGLED}") => 400 "BAD_REQUEST";
    connection_names_host:
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: host\r\n\r\n" => 400 "BAD_REQUEST";
    connection_names_transfer_encoding:
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" => 400 "BAD_REQUEST";
    the_gateways_own_mark_for_refused_requests:
        "NYLON-REFUSED / HTTP/1.1\r\nHost: a\r\n : \r\n\r\n" => 400 "BAD_REQUEST";
    too_many_headers:
        format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: 1\r\n".repeat(100)) => 431 "HEADERS_TOO_LARGE";
    a_target_that_is_too_long:
        format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(17_000)) => 414 "URI_TOO_LONG";
    an_unknown_expectation:
        "GET / HTTP/1.1\r\nHost: a\r\nExpect: the-unexpected\r\nConnection: close\r\n\r\n" => 417 "EXPECTATION_FAILED";
}

macro_rules! broken_bodies {
    ($($name:ident: $body:expr;)*) => {
        $(#[test]
        fn $name() {
            let head = "POST /first HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
            broken_body(format!("{head}{}{SMUGGLED}", $body).as_bytes());
        })*
    };
}

broken_bodies! {
    a_chunk_size_that_is_no_number: "xyz\r\nabc\r\n0\r\n\r\n";
    a_chunk_size_with_0x: "0x3\r\nabc\r\n0\r\n\r\n";
    a_negative_chunk_size: "-3\r\nabc\r\n0\r\n\r\n";
    a_chunk_size_that_wraps_round: "10000000000000003\r\nabc\r\n0\r\n\r\n";
    an_empty_chunk_size: "\r\n0\r\n\r\n";
    a_chunk_size_that_ends_with_lf: "3\nabc\r\n0\r\n\r\n";
    a_chunk_that_ends_with_lf: "3\r\nabc\n0\r\n\r\n";
    a_chunk_longer_than_its_size: "3\r\nabcd\r\n0\r\n\r\n";
    a_chunk_shorter_than_its_size: "5\r\nabc\r\n0\r\n\r\n";
    a_chunk_size_behind_space: " 3\r\nabc\r\n0\r\n\r\n";
    a_lf_in_a_chunk_extension: "3;a\nb\r\nabc\r\n0\r\n\r\n";
    a_huge_chunk_extension: format!("3;{}\r\nabc\r\n0\r\n\r\n", "x".repeat(5000));
    a_content_length_in_the_trailers: "3\r\nabc\r\n0\r\nContent-Length: 5\r\n\r\n";
    a_host_in_the_trailers: "3\r\nabc\r\n0\r\nHost: b\r\n\r\n";
    a_bad_trailer: "3\r\nabc\r\n0\r\nX : 1\r\n\r\n";
    endless_trailers: format!("3\r\nabc\r\n0\r\n{}\r\n", "X: 1\r\n".repeat(5000));
}

#[test]
fn a_long_head_is_refused_before_it_ends() {
    let upstream = Upstream::echo();
    let gateway = gateway_with(&upstream, |snapshot| snapshot["limits"]["max_header_bytes"] = 2048.into());
    let mut client = Client::connect(&gateway);
    client.send("GET / HTTP/1.1\r\nHost: a\r\n");
    while client.try_send("X-Filler: 0123456789012345678901234567890123456789\r\n".repeat(50)) {
        if client.socket.take_error().unwrap().is_some() {
            break;
        }
        // The gateway reads on for a while, so that the answer is not lost.
        if client.socket.peek(&mut [0]).is_ok_and(|count| count > 0) {
            break;
        }
    }
    let answer = client.answer();
    assert_eq!((answer.status, answer.error().as_str()), (431, "HEADERS_TOO_LARGE"));
    assert_eq!(upstream.requests().len(), 0);
}

#[test]
fn a_long_request_line_is_refused_before_it_ends() {
    let upstream = Upstream::echo();
    let gateway = gateway_with(&upstream, |snapshot| snapshot["limits"]["max_header_bytes"] = 2048.into());
    let mut client = Client::connect(&gateway);
    client.send(format!("GET /{}", "x".repeat(3000)));
    let answer = client.answer();
    assert_eq!((answer.status, answer.error().as_str()), (414, "URI_TOO_LONG"));
}

#[test]
fn the_mark_for_refused_requests_is_an_ordinary_unknown_method() {
    let upstream = Upstream::echo();
    let gateway = gateway(&upstream);
    let mut client = Client::connect(&gateway);
    let answer = client.send("NYLON-REFUSED / HTTP/1.1\r\nHost: a\r\n\r\n").answer();
    assert_eq!((answer.status, answer.error().as_str()), (405, "METHOD_NOT_ALLOWED"));
}

#[test]
fn empty_lines_before_a_request_are_forgiven() {
    let upstream = Upstream::echo();
    let gateway = gateway(&upstream);
    let mut client = Client::connect(&gateway);
    assert_eq!(client.send("\r\nGET /a HTTP/1.1\r\nHost: a\r\n\r\n").answer().status, 200);
    assert_eq!(client.send("\r\n\r\n\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n").answer().status, 400);
}

#[test]
fn a_header_that_connection_names_cannot_remove_what_the_gateway_adds() {
    let upstream = Upstream::echo();
    let gateway = gateway(&upstream);
    let mut client = Client::connect(&gateway);
    let names = "x-forwarded-for, forwarded, x-request-id, x-mine";
    client.send(format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: {names}\r\nX-Mine: 1\r\n\r\n")).answer();
    let seen = upstream.request();
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
    assert!(seen.header("forwarded").is_some() && seen.header("x-request-id").is_some());
    assert_eq!(seen.header("x-mine"), None);
}

#[test]
fn a_get_with_a_body_keeps_its_framing() {
    let upstream = Upstream::echo();
    let gateway = gateway(&upstream);
    let mut client = Client::connect(&gateway);
    let body = SMUGGLED;
    client.send(format!("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len())).answer();
    let seen = upstream.request();
    assert_eq!(seen.body, body.as_bytes());
    assert_eq!(client.get("/next").text(), "GET /next HTTP/1.1");
}
