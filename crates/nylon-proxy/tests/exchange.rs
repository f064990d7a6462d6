//! The edges of an exchange with plugins: every failure, bodies that are read or not, clients that leave or stall,
//! what logging sees.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::{
    future::poll_fn,
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
        mpsc::channel,
    },
};

use futures_util::{FutureExt, future::join};
use nylon_plugin::{
    Action, BodyStream, KEPT_BODY,
    Phase::{Logging, RequestFilter, ResponseBodyFilter, ResponseFilter},
    Piece, PluginError, PluginErrorKind, StreamError,
};
use nylon_wire::{ErrorCode, Operation, Text};
use serde_json::{Value, json};
use support::{
    Client, PATIENCE, Upstream, eventually, respond,
    scripted::{Scripts, body, end, fail, gateway, gateway_with, link, next, read_body, set, status},
};

/// A link with another policy for one phase.
fn with_policy(entry: &str, phase: &str, policy: &str) -> Value {
    let mut link = link(entry);
    link["on_error"][phase] = json!(policy);
    link
}

fn request_header(name: &'static str, value: String) -> Operation {
    Operation::SetRequestHeader { name: Text::from_static(name), value: value.into() }
}

/// Reads the body, up to the limit, and tells the upstream its length.
fn reader(limit: usize) -> Scripts {
    Scripts::new().waiting("reader", &[RequestFilter], move |_, exchange| {
        async move {
            let body = read_body(exchange, limit).await?;
            next(vec![request_header("x-length", body.len().to_string())])
        }
        .boxed_local()
    })
}

fn logger() -> Scripts {
    Scripts::new().entry("logger", &[Logging], |_, _| next(Vec::new()))
}

#[test]
fn every_failure_of_a_request_filter_has_its_answer_and_lets_nothing_pass() {
    for kind in PluginErrorKind::ALL.into_iter().filter(|kind| *kind != PluginErrorKind::ClientGone) {
        let upstream = Upstream::echo();
        let scripts = Scripts::new()
            .entry("before", &[RequestFilter, Logging], |_, _| next(Vec::new()))
            .entry("auth", &[RequestFilter, Logging], move |_, _| fail(kind))
            .entry("after", &[RequestFilter, Logging], |_, _| panic!("never asked"));
        // An entry that was never asked might have response filters, so nobody is left out there: keep it to logging.
        let mut after = link("after");
        after["phases"] = json!(["logging"]);
        let gateway = gateway(&upstream, &scripts, vec![link("before"), link("auth"), after]);
        let mut client = Client::connect(&gateway);
        let answer = client.get("/");
        let code = PluginError::new(kind, "").code();
        assert_eq!((answer.status, answer.error().as_str()), (code.status(), code.code()), "{kind:?}");
        let retry = matches!(code, ErrorCode::PluginUnavailable | ErrorCode::PluginBusy | ErrorCode::PluginLost);
        assert_eq!(answer.header("retry-after").is_some(), retry, "{kind:?}");
        let logged = scripts.logged(3);
        assert!(logged.iter().all(|line| line.contains(&format!("{}: ", code.code()))), "{kind:?} {logged:?}");
        assert_eq!(client.get("/").status, code.status(), "{kind:?}: the connection is kept");
        assert_eq!(upstream.requests().len(), 0, "{kind:?}");
        scripts.idle();
    }
}

#[test]
fn a_client_cannot_have_a_header_removed_that_a_plugin_sets() {
    let upstream = Upstream::echo();
    let scripts = Scripts::new()
        .entry("auth", &[RequestFilter], |_, _| next(vec![request_header("x-auth-user", "ann".to_owned())]));
    let gateway = gateway(&upstream, &scripts, vec![link("auth")]);
    let request = "GET / HTTP/1.1\r\nHost: a\r\nX-Auth-User: root\r\nConnection: x-auth-user, close\r\n\r\n";
    assert_eq!(Client::connect(&gateway).send(request).answer().status, 200);
    assert_eq!(upstream.request().headers("x-auth-user"), ["ann"]);
}

#[test]
fn a_failed_response_filter_replaces_the_answer_if_its_policy_says_so() {
    let upstream = Upstream::echo();
    for (policy, expected) in [("fail", 500), ("continue", 200)] {
        let scripts = Scripts::new()
            .entry("bad", &[ResponseFilter], |phase, _| match phase {
                ResponseFilter => fail(PluginErrorKind::Handler),
                _ => next(Vec::new()),
            })
            .entry("cors", &[ResponseFilter], |_, _| next(vec![set("x-cors", "1")]));
        let gateway = gateway(&upstream, &scripts, vec![with_policy("bad", "response_filter", policy), link("cors")]);
        let mut client = Client::connect(&gateway);
        for _ in 0..2 {
            let answer = client.get("/");
            assert_eq!((answer.status, answer.header("x-cors")), (expected, Some("1")));
        }
    }
}

#[test]
fn a_long_body_without_length_passes_a_filter_that_may_be_left_out() {
    let upstream = Upstream::start(|_, socket| {
        socket.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
        for _ in 0..100 {
            socket.write_all(format!("3e8\r\n{}\r\n", "y".repeat(1000)).as_bytes()).unwrap();
        }
        socket.write_all(b"0\r\n\r\n").is_ok()
    });
    let mut scripts = Scripts::new().entry("shout", &[ResponseBodyFilter], |_, _| next(vec![body("never")]));
    scripts.max_body = 50_000;
    let gateway = gateway(&upstream, &scripts, vec![with_policy("shout", "response_body_filter", "continue")]);
    let mut client = Client::connect(&gateway);
    for _ in 0..2 {
        let answer = client.get("/");
        assert!(answer.text() == "y".repeat(100_000));
        assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
    }
}

#[test]
fn a_chunked_body_too_large_for_a_plugin_still_passes_whole_if_the_policy_lets_it() {
    let upstream = Upstream::start(|received, socket| respond(socket, 200, &received.body));
    let chunked =
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n6\r\nghijkl\r\n0\r\n\r\n";
    let failing = gateway(&upstream, &reader(10), vec![link("reader")]);
    let answer = Client::connect(&failing).send(chunked).answer();
    assert_eq!((answer.status, answer.error().as_str()), (413, "BODY_TOO_LARGE"));
    let mut link = with_policy("reader", "request_filter", "continue");
    link["phases"] = json!(["request_filter"]);
    let lenient = gateway(&upstream, &reader(10), vec![link]);
    assert_eq!(Client::connect(&lenient).send(chunked).answer().text(), "abcdefghijkl");
}

#[test]
fn only_a_plugin_that_reads_the_body_causes_a_continue() {
    let upstream = Upstream::start(|received, socket| respond(socket, 200, &received.body));
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
    let peeking = Scripts::new().entry("peek", &[RequestFilter], |_, exchange| {
        assert!(exchange.request_body.ready(1000).is_none());
        end(vec![status(403)])
    });
    let peeking = gateway(&upstream, &peeking, vec![link("peek")]);
    let answer = Client::connect(&peeking).send(head).answer();
    assert_eq!((answer.status, answer.header("connection")), (403, Some("close")), "and no 100 before it");

    let reading = gateway(&upstream, &reader(1000), vec![link("reader")]);
    let mut client = Client::connect(&reading);
    client.send(head);
    assert_eq!(client.head().status, 100);
    assert_eq!(client.send("hello").answer().text(), "hello");
    assert_eq!(upstream.request().header("x-length"), Some("5"));
}

#[test]
fn a_body_that_is_here_already_is_ready() {
    let upstream = Upstream::echo();
    let scripts = Scripts::new().entry("peek", &[RequestFilter], |_, exchange| {
        let body = exchange.request_body.ready(1000).unwrap();
        next(vec![request_header("x-body", String::from_utf8(body.to_vec()).unwrap())])
    });
    let gateway = gateway(&upstream, &scripts, vec![link("peek")]);
    let request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
    assert_eq!(Client::connect(&gateway).send(request).answer().status, 200);
    let seen = upstream.request();
    assert_eq!((seen.header("x-body"), seen.body.as_slice()), (Some("hello"), &b"hello"[..]));
}

/// Reads the body as it comes, all of it or its first piece, and lets the request go on.
fn taker(all: bool) -> Scripts {
    Scripts::new().waiting("taker", &[RequestFilter], move |_, exchange| {
        async move {
            let mut body = exchange.request_body.stream(KEPT_BODY).unwrap();
            while let Some(piece) = poll_fn(|cx| body.poll_piece(cx)).await {
                piece.unwrap();
                if !all {
                    break;
                }
            }
            next(vec![])
        }
        .boxed_local()
    })
}

#[test]
fn only_a_long_body_that_was_read_as_it_comes_is_gone() {
    let upstream = Upstream::echo();
    for all in [false, true] {
        let gateway = gateway(&upstream, &taker(all), vec![link("taker")]);
        for (length, status) in [(5, 200), (KEPT_BODY, 200), (KEPT_BODY + 1, 502)] {
            let body = "x".repeat(length);
            let head = "POST / HTTP/1.1\r\nHost: a\r\n";
            let declared = format!("{head}Content-Length: {length}\r\n\r\n{body}");
            let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n");
            for request in [declared, chunked] {
                let answer = Client::connect(&gateway).send(&request).answer();
                assert_eq!(answer.status, status, "{length}, all of it: {all}");
                if status == 200 {
                    assert_eq!(upstream.requests().last().unwrap().body.len(), length);
                } else {
                    assert_eq!(answer.error(), "PLUGIN_PROTOCOL");
                }
            }
        }
    }
}

/// How many bytes a reader gets.
async fn length(mut reader: Box<dyn BodyStream>) -> Result<usize, StreamError> {
    let mut length = 0;
    while let Some(piece) = poll_fn(|cx| reader.poll_piece(cx)).await.transpose()? {
        if let Piece::Data(data) = piece {
            length += data.len();
        }
    }
    Ok(length)
}

#[test]
fn of_two_readers_each_gets_a_short_body_and_the_first_a_long_one() {
    let upstream = Upstream::echo();
    let scripts = Scripts::new().waiting("readers", &[RequestFilter], |_, exchange| {
        async move {
            let [first, second] = [(); 2].map(|()| exchange.request_body.stream(KEPT_BODY).unwrap());
            // The second begins.
            let (second, first) = join(length(second), length(first)).await;
            end(vec![body(format!("{first:?} {second:?}"))])
        }
        .boxed_local()
    });
    let gateway = gateway(&upstream, &scripts, vec![link("readers")]);
    let chunk = |length: usize| format!("{length:x}\r\n{}\r\n", "x".repeat(length));
    for (length, seen) in [(5, "Ok(10) Ok(10)"), (KEPT_BODY, "Ok(32773) Err(Taken)")] {
        let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        let request = format!("{head}{}{}0\r\n\r\n", chunk(5), chunk(length));
        assert_eq!(Client::connect(&gateway).send(&request).answer().text(), seen);
    }
}

/// Says in `x-read` what a response filter can have of the request's body, and in `asks` when it asks for it.
fn later_reader(asks: &Arc<AtomicBool>) -> Scripts {
    let asks = Arc::clone(asks);
    Scripts::new().waiting("later", &[ResponseFilter], move |_, exchange| {
        let asks = Arc::clone(&asks);
        async move {
            asks.store(true, SeqCst);
            let read = exchange.request_body.read_all(1_000_000).await;
            let ready = exchange.request_body.ready(1_000_000);
            assert_eq!(ready, read.as_ref().ok().cloned(), "what goes along with an open");
            assert_eq!(exchange.request_body.stream(KEPT_BODY).is_ok(), read.is_ok());
            let read = match read {
                Ok(body) => body.len().to_string(),
                Err(error) => format!("{error:?}"),
            };
            let name = Text::from_static("x-read");
            next(vec![Operation::SetResponseHeader { name, value: read.into() }])
        }
        .boxed_local()
    })
}

/// A body as it was declared, and in two chunks.
fn framings(length: usize) -> [(String, String); 2] {
    let body = "x".repeat(length);
    let (front, last) = body.split_at(length - 1);
    let chunked = format!("{:x}\r\n{front}\r\n1\r\n{last}\r\n0\r\n\r\n", front.len());
    [(format!("Content-Length: {length}"), body), ("Transfer-Encoding: chunked".to_owned(), chunked)]
}

#[test]
fn what_went_upstream_as_it_came_is_whole_for_later_phases_or_gone() {
    for early in [false, true] {
        let (tell, told) = channel();
        let upstream = Upstream::raw(move |received, socket, read_body| {
            tell.send(()).unwrap();
            let (head, body) = (&b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"[..], &b"done"[..]);
            if early {
                socket.write_all(head).unwrap();
                read_body(socket, received);
                return socket.write_all(body).is_ok();
            }
            read_body(socket, received);
            socket.write_all(&[head, body].concat()).is_ok()
        });
        let asks = Arc::new(AtomicBool::new(false));
        let gateway = gateway(&upstream, &later_reader(&asks), vec![link("later")]);
        for (length, read) in [(5, "5"), (KEPT_BODY, "32768"), (KEPT_BODY + 1, "Taken"), (200_000, "Taken")] {
            for (framing, body) in framings(length) {
                asks.store(false, SeqCst);
                let mut client = Client::connect(&gateway);
                client.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n"));
                told.recv_timeout(PATIENCE).unwrap();
                if early {
                    eventually("the filter asks for the body", || asks.load(SeqCst));
                }
                let answer = client.send(&body).answer();
                let what = format!("{length}, {framing}, early: {early}");
                assert_eq!((answer.text(), answer.header("x-read")), ("done", Some(read)), "{what}");
                assert_eq!(upstream.requests().last().unwrap().body.len(), length, "{what}");
            }
        }
    }
}

#[test]
fn a_short_body_that_the_upstream_did_not_take_is_whole_for_later_phases() {
    let upstream = Upstream::raw(|_, socket, _| respond(socket, 403, b""));
    let asks = Arc::new(AtomicBool::new(false));
    let gateway = gateway(&upstream, &later_reader(&asks), vec![link("later")]);
    for (framing, body) in framings(5) {
        asks.store(false, SeqCst);
        let mut client = Client::connect(&gateway);
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n"));
        eventually("the filter asks for the body", || asks.load(SeqCst));
        let answer = client.send(&body).answer();
        assert_eq!((answer.status, answer.header("x-read")), (403, Some("5")), "{framing}");
    }
}

#[test]
fn a_body_with_trailers_that_an_entry_has_read_can_be_read_again() {
    let upstream = Upstream::echo();
    let asks = Arc::new(AtomicBool::new(false));
    let scripts = later_reader(&asks).waiting("reader", &[RequestFilter], |_, exchange| {
        async move { read_body(exchange, 1_000_000).await.map(|_| (Vec::new(), Action::Next)) }.boxed_local()
    });
    let gateway = gateway(&upstream, &scripts, vec![link("reader"), link("later")]);
    let chunk = format!("9c40\r\n{}\r\n", "x".repeat(40_000));
    let request =
        format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}{chunk}0\r\nX-Sum: 7\r\n\r\n");
    assert_eq!(Client::connect(&gateway).send(request).answer().header("x-read"), Some("80000"));
    let seen = upstream.request();
    assert_eq!((seen.body.len(), seen.trailers.trim()), (80_000, "x-sum: 7"));
}

#[test]
fn stalled_bodies_and_nonsense_are_the_clients_fault() {
    let upstream = Upstream::echo();
    let gateway = gateway_with(&upstream, &reader(1000), vec![link("reader")], |snapshot| {
        snapshot["limits"]["read_timeout_ms"] = json!(100);
    });
    let answer =
        Client::connect(&gateway).send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf").answer();
    assert_eq!((answer.status, answer.error().as_str()), (408, "REQUEST_TIMEOUT"));
    let bad = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n";
    let answer = Client::connect(&gateway).send(bad).answer();
    assert_eq!((answer.status, answer.error().as_str()), (400, "BAD_REQUEST"));
    assert_eq!(upstream.requests().len(), 0);
}

#[test]
fn logging_knows_how_many_bytes_went_out() {
    let text = "x".repeat(500_000);
    let upstream = Upstream::start(move |_, socket| respond(socket, 203, text.as_bytes()));
    let scripts = logger();
    let gateway = gateway(&upstream, &scripts, vec![link("logger")]);
    let mut client = Client::connect(&gateway);
    assert_eq!(client.get("/").body.len(), 500_000);
    assert_eq!(scripts.logged(1), ["logger 203 500000 -"]);
}

#[test]
fn a_client_that_leaves_in_its_answer_is_logged() {
    let upstream = Upstream::start(|_, socket| {
        socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n").unwrap();
        let chunk = vec![0; 1 << 16];
        while socket.write_all(&chunk).is_ok() {}
        false
    });
    let scripts = logger();
    let gateway = gateway(&upstream, &scripts, vec![link("logger")]);
    let mut client = Client::connect(&gateway);
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.head().status, 200);
    drop(client);
    let logged = scripts.logged(1);
    assert!(logged[0].contains("the client left after"), "{logged:?}");
    eventually("it is counted", || gateway.metrics().contains("nylon_requests_total{class=\"client_gone\"} 1"));
}

#[test]
fn an_upstream_that_breaks_off_is_logged() {
    let upstream = Upstream::start(|_, socket| {
        socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").unwrap();
        false
    });
    let scripts = logger();
    let gateway = gateway(&upstream, &scripts, vec![link("logger")]);
    Client::connect(&gateway).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").assert_reset();
    let logged = scripts.logged(1);
    assert!(logged[0].starts_with("logger 200 4 ") && logged[0].contains("broke off"), "{logged:?}");
}

#[test]
fn a_drain_waits_for_plugins() {
    let upstream = Upstream::echo();
    let (entered, released) = (Arc::new(AtomicBool::new(false)), Arc::new(tokio::sync::Notify::new()));
    let (enter, release) = (entered.clone(), released.clone());
    let scripts = Scripts::new().waiting("slow", &[RequestFilter], move |_, _| {
        enter.store(true, SeqCst);
        let release = release.clone();
        async move {
            release.notified().await;
            next(Vec::new())
        }
        .boxed_local()
    });
    let gateway = gateway(&upstream, &scripts, vec![link("slow")]);
    let mut client = Client::connect(&gateway);
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("the filter runs", || entered.load(SeqCst));
    std::thread::scope(|scope| {
        let drained = scope.spawn(|| gateway.drain(PATIENCE));
        eventually("it drains", || !gateway.ready());
        assert!(!drained.is_finished());
        released.notify_one();
        assert_eq!(client.answer().status, 200);
        assert!(drained.join().unwrap());
    });
}
