//! Plugins on the way of a request: what the upstream and the client get when they change, end or break something.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

use nylon_plugin::{
    Phase::{Logging, RequestFilter, ResponseBodyFilter, ResponseFilter},
    PluginErrorKind,
};
use nylon_proxy::Gateway;
use serde_json::json;
use support::{
    Client, Upstream, eventually, respond,
    scripted::{
        Scripts, add, add_request, body, end, fail, gateway, gateway_with, link, next, read_body, serve_by, set,
        set_request, status,
    },
};

/// Answers every request with this head and body.
fn upstream(head: &'static str, body: &'static str) -> Upstream {
    Upstream::start(move |_, socket| {
        let head = format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        std::io::Write::write_all(socket, head.as_bytes()).is_ok()
    })
}

/// Waits until the entry's request filter has been started.
fn started(gateway: &Gateway, entry: &str) {
    let line = format!("nylon_plugin_phases_total{{entry=\"scripted/{entry}\",phase=\"request_filter\"}} 1");
    eventually("the request filter runs", || gateway.metrics().contains(&line));
}

/// A body filter that makes everything upper case.
fn shouting() -> Scripts {
    Scripts::new().entry("shout", &[ResponseBodyFilter, Logging], |phase, exchange| match phase {
        ResponseBodyFilter => {
            let text = exchange.response.body.full().unwrap().to_ascii_uppercase();
            next(vec![body(text)])
        }
        _ => next(Vec::new()),
    })
}

#[test]
fn what_an_auth_plugin_says_about_the_user_reaches_the_upstream_and_nothing_else_does() {
    let upstream = Upstream::echo();
    let scripts = Scripts::new().entry("auth", &[RequestFilter], |_, exchange| {
        assert!(!exchange.request.headers.contains_key("x-auth-user"), "the client's own was not stripped");
        next(vec![set_request("X-Auth-User", "ann")])
    });
    let gateway = gateway_with(&upstream, &scripts, vec![link("auth")], |snapshot| {
        snapshot["routes"][0]["strip_headers"] = json!(["x-auth-user"]);
    });
    let request = "GET / HTTP/1.1\r\nHost: a\r\nX-Auth-User: root\r\nx-auth-USER: admin\r\n\r\n";
    assert_eq!(Client::connect(&gateway).send(request).answer().status, 200);
    assert_eq!(upstream.request().headers("x-auth-user"), ["ann"]);
    scripts.idle();
}

#[test]
fn what_a_plugin_sets_cannot_be_sent_by_a_client_in_another_spelling() {
    let upstream = Upstream::echo();
    let scripts = Scripts::new().entry("auth", &[RequestFilter], |_, _| next(vec![set_request("X-Auth-User", "ann")]));
    let gateway = gateway(&upstream, &scripts, vec![link("auth")]);
    let request = "GET / HTTP/1.1\r\nHost: a\r\nX_Auth_User: root\r\nx-auth_USER: admin\r\nX_Other: 1\r\n\r\n";
    assert_eq!(Client::connect(&gateway).send(request).answer().status, 200);
    let seen = upstream.request();
    assert_eq!(seen.headers("x-auth-user"), ["ann"]);
    assert!(!seen.head.to_ascii_lowercase().replace('_', "-").contains("root"), "{}", seen.head);
    assert!(!seen.head.contains("admin") && seen.head.contains("x_other: 1"), "{}", seen.head);
}

#[test]
fn what_request_filters_say_about_the_way_reaches_the_upstream_and_no_claim_of_a_client_does() {
    let scripts = Scripts::new().entry("way", &[RequestFilter], |_, exchange| {
        assert_eq!(exchange.request.headers["x-forwarded-proto"], "https", "what the modifier has set");
        next(vec![set_request("X-Forwarded-For", "10.9.9.9"), add_request("X-Forwarded-Host", "b")])
    });
    let mut modifier = link("");
    modifier["plugin"] = json!("RequestHeaderModifier");
    modifier["payload"] = json!(r#"{"set":[{"name":"X-Forwarded-Proto","value":"https"}]}"#);
    let request = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: http\r\nX_Forwarded_Proto: http\r\nX_Forwarded_Host: c\r\n\
        X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-Host: c\r\nX-Forwarded-Port: 1\r\nForwarded: for=1.1.1.1\r\n\r\n";
    for (trusted, hosts, port, forwarded) in [
        (json!([]), &["b"][..], None, "for=127.0.0.1;host=a;proto=http"),
        (json!(["127.0.0.0/8"]), &["c", "b"][..], Some("1"), "for=1.1.1.1, for=127.0.0.1;host=a;proto=http"),
    ] {
        let upstream = Upstream::echo();
        let links = vec![modifier.clone(), link("way")];
        let gateway = gateway_with(&upstream, &scripts, links, |snapshot| snapshot["trusted_proxies"] = trusted);
        assert_eq!(Client::connect(&gateway).send(request).answer().status, 200);
        let seen = upstream.request();
        assert_eq!(seen.headers("x-forwarded-proto"), ["https"]);
        assert_eq!(seen.headers("x-forwarded-for"), ["10.9.9.9"]);
        assert_eq!(seen.headers("x-forwarded-host"), hosts);
        assert_eq!(seen.header("x-forwarded-port"), port);
        assert_eq!(seen.headers("forwarded"), [forwarded]);
        assert!(!seen.head.contains("x_forwarded"), "{}", seen.head);
    }
}

#[test]
fn an_early_end_answers_at_once_and_keeps_the_connection() {
    let upstream = Upstream::echo();
    let scripts = Scripts::new().entry("auth", &[RequestFilter, Logging], |_, exchange| {
        if exchange.request.headers.contains_key("authorization") {
            return next(Vec::new());
        }
        end(vec![status(401), set("WWW-Authenticate", "Bearer"), body("who are you?")])
    });
    let gateway = gateway(&upstream, &scripts, vec![link("auth")]);
    let mut client = Client::connect(&gateway);
    let answer = client.get("/");
    assert_eq!((answer.status, answer.text()), (401, "who are you?"));
    assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    assert_eq!(answer.header("content-length"), Some("12"));
    assert!(upstream.requests().is_empty());
    let answer = client.send("GET / HTTP/1.1\r\nHost: a\r\nAuthorization: x\r\n\r\n").answer();
    assert_eq!((answer.status, upstream.requests().len()), (200, 1));
    assert_eq!(scripts.logged(2), ["auth 401 12 -", "auth 200 14 -"]);
}

#[test]
fn an_early_end_to_an_upload_arrives_whole() {
    let upstream = Upstream::echo();
    let scripts = Scripts::new().entry("auth", &[RequestFilter], |_, _| end(vec![status(401), body("no")]));
    let gateway = gateway(&upstream, &scripts, vec![link("auth")]);
    let mut client = Client::connect(&gateway);
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n");
    let sent = client.try_send(vec![b'x'; 3_000_000]);
    let answer = client.answer();
    assert_eq!((answer.status, answer.text()), (401, "no"), "all of the upload went: {sent}");
    assert!(upstream.requests().is_empty());
}

#[test]
fn a_response_filter_changes_status_and_headers() {
    let upstream = upstream("404 Not Found\r\nserver: up\r\nx-a: 1\r\nX-A: 2", "gone");
    let scripts = Scripts::new().entry("f", &[ResponseFilter, Logging], |phase, exchange| {
        if phase != ResponseFilter {
            return next(Vec::new());
        }
        assert_eq!(exchange.response.status.as_u16(), 404);
        next(vec![
            status(410),
            set("X-a", "3"),
            add("Set-Cookie", "a=1"),
            add("Set-Cookie", "b=2"),
            set("content-length", "1"),
            set("transfer-encoding", "chunked"),
            set("connection", "close"),
        ])
    });
    let gateway = gateway(&upstream, &scripts, vec![link("f")]);
    let mut client = Client::connect(&gateway);
    for _ in 0..2 {
        let answer = client.get("/");
        assert_eq!((answer.status, answer.text()), (410, "gone"));
        assert_eq!(answer.headers("x-a"), ["3"]);
        assert_eq!(answer.headers("set-cookie"), ["a=1", "b=2"]);
        assert_eq!(answer.headers("content-length"), ["4"]);
        assert_eq!(answer.header("transfer-encoding"), None);
    }
    assert_eq!(scripts.logged(2), ["f 410 4 -", "f 410 4 -"]);
}

#[test]
fn a_body_set_by_a_response_filter_replaces_a_long_one_and_the_next_request_works() {
    let upstream = Upstream::start(|_, socket| respond(socket, 200, &vec![b'x'; 5_000_000]));
    let scripts = Scripts::new().entry("f", &[ResponseFilter], |phase, _| match phase {
        ResponseFilter => next(vec![body("short"), set("content-type", "text/plain")]),
        _ => next(Vec::new()),
    });
    let gateway = gateway(&upstream, &scripts, vec![link("f")]);
    let mut client = Client::connect(&gateway);
    for _ in 0..3 {
        let answer = client.get("/");
        assert_eq!((answer.text(), answer.header("content-length")), ("short", Some("5")));
    }
}

#[test]
fn a_body_filter_gets_the_complete_body_and_the_client_the_exact_length() {
    let upstream = Upstream::start(|_, socket| {
        let answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\netag: \"1\"\r\naccept-ranges: bytes\r\n\
            \r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n";
        std::io::Write::write_all(socket, answer.as_bytes()).is_ok()
    });
    let scripts = shouting();
    let gateway = gateway(&upstream, &scripts, vec![link("shout")]);
    let request = "GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\naccept-encoding: br\r\nRange: bytes=0-1\r\n\
        If-Range: \"1\"\r\n\r\n";
    let answer = Client::connect(&gateway).send(request).answer();
    assert_eq!((answer.text(), answer.header("content-length")), ("HELLO WORLD", Some("11")));
    assert_eq!((answer.header("etag"), answer.header("accept-ranges")), (None, None));
    let seen = upstream.request();
    assert_eq!(seen.headers("accept-encoding"), ["identity"]);
    assert_eq!((seen.header("range"), seen.header("if-range")), (None, None));
    assert_eq!(scripts.logged(1), ["shout 200 11 -"]);
}

#[test]
fn a_head_answer_under_a_body_filter_gives_no_length() {
    let upstream = Upstream::start(|_, socket| {
        std::io::Write::write_all(socket, b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\netag: \"1\"\r\n\r\n").is_ok()
    });
    let scripts = shouting();
    let gateway = gateway(&upstream, &scripts, vec![link("shout")]);
    let mut client = Client::connect(&gateway);
    for _ in 0..2 {
        let answer = client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").answer_to_head();
        assert_eq!((answer.status, answer.header("content-length"), answer.header("etag")), (200, None, None));
    }
}

#[test]
fn a_head_answer_of_a_plugin_under_a_body_filter_gives_no_length() {
    let upstream = Upstream::echo();
    let scripts = Scripts::new().entry("made", &[RequestFilter], |_, _| end(vec![body("hello")])).entry(
        "filter",
        &[ResponseBodyFilter],
        |phase, exchange| match phase {
            ResponseBodyFilter => {
                let text = [exchange.response.body.full().unwrap(), &b" world"[..]].concat();
                next(vec![body(text)])
            }
            _ => next(Vec::new()),
        },
    );
    let by_service = gateway_with(&upstream, &scripts, vec![link("filter")], |snapshot| serve_by(snapshot, "made"));
    let by_middleware = gateway(&upstream, &scripts, vec![link("filter"), link("made")]);
    for gateway in [by_service, by_middleware] {
        let mut client = Client::connect(&gateway);
        let answer = client.get("/");
        assert_eq!((answer.text(), answer.header("content-length")), ("hello world", Some("11")));
        let head = client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").answer_to_head();
        assert_eq!((head.status, head.header("content-length")), (200, None));
    }
}

#[test]
fn a_head_answer_without_a_body_filter_keeps_its_length() {
    let upstream = Upstream::start(|_, socket| {
        std::io::Write::write_all(socket, b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\netag: \"1\"\r\n\r\n").is_ok()
    });
    let scripts = Scripts::new().entry("f", &[RequestFilter, ResponseFilter], |_, _| next(Vec::new()));
    let gateway = gateway(&upstream, &scripts, vec![link("f")]);
    let answer = Client::connect(&gateway).send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").answer_to_head();
    assert_eq!((answer.header("content-length"), answer.header("etag")), (Some("5"), Some("\"1\"")));
}

#[test]
fn an_encoded_body_under_a_body_filter_is_502_and_the_connection_goes_on() {
    let upstream = upstream("200 OK\r\ncontent-encoding: gzip", "xxxxx");
    let scripts = shouting();
    let gateway = gateway(&upstream, &scripts, vec![link("shout")]);
    let mut client = Client::connect(&gateway);
    for _ in 0..2 {
        let answer = client.get("/");
        assert_eq!((answer.status, answer.error()), (502, "PLUGIN_ERROR".to_owned()));
        assert_eq!(answer.header("content-encoding"), None);
    }
    assert!(scripts.logged(2)[0].starts_with("shout 502 "));
}

#[test]
fn a_body_beyond_the_filters_limit_is_502_or_passes_whole() {
    let upstream = Upstream::start(|_, socket| respond(socket, 200, &vec![b'x'; 300_000]));
    let mut scripts = shouting();
    scripts.max_body = 100_000;
    let gateway = gateway(&upstream, &scripts, vec![link("shout")]);
    assert_eq!(Client::connect(&gateway).get("/").error(), "BODY_TOO_LARGE");
    let mut going_on = link("shout");
    going_on["on_error"]["response_body_filter"] = json!("continue");
    let gateway = self::gateway(&upstream, &scripts, vec![going_on]);
    let answer = Client::connect(&gateway).get("/");
    assert_eq!((answer.status, answer.body.len()), (200, 300_000));
}

#[test]
fn a_body_beyond_the_limit_of_one_filter_goes_whole_through_one_that_streams() {
    let text = |length: usize| "abcdefghij".repeat(length / 10);
    let upstream = Upstream::start(move |received, socket| {
        let body = text(300_000);
        if received.line().contains("/length") {
            return respond(socket, 200, body.as_bytes());
        }
        let (one, two) = body.split_at(200_000);
        let answer = format!(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{one}\r\n{:x}\r\n{two}\r\n0\r\n\r\n",
            one.len(),
            two.len()
        );
        std::io::Write::write_all(socket, answer.as_bytes()).is_ok()
    });
    let mut scripts = shouting().shouting("pieces");
    scripts.max_body = 100_000;
    let mut going_on = link("shout");
    going_on["on_error"]["response_body_filter"] = json!("continue");
    let gateway = gateway(&upstream, &scripts, vec![going_on, link("pieces")]);
    let mut client = Client::connect(&gateway);
    for path in ["/", "/length"] {
        let answer = client.get(path);
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.text() == text(300_000).to_uppercase(), "{path}: {} bytes", answer.body.len());
    }
}

#[test]
fn an_upstream_that_breaks_off_under_a_body_filter_is_502() {
    let upstream = Upstream::start(|_, socket| {
        std::io::Write::write_all(socket, b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhello").unwrap();
        false
    });
    let scripts = shouting();
    let gateway = gateway(&upstream, &scripts, vec![link("shout")]);
    assert_eq!(Client::connect(&gateway).get("/").error(), "UPSTREAM_ERROR");
}

#[test]
fn a_plugin_service_answers() {
    let upstream = Upstream::echo();
    let scripts = Scripts::new()
        .entry("made", &[RequestFilter, ResponseFilter, Logging], |phase, exchange| {
            assert_ne!(phase, ResponseFilter, "a service has no response filter");
            let text = format!("{} {}", exchange.request.method, exchange.request.path());
            end(vec![body(text), set("content-type", "text/plain")])
        })
        .entry("f", &[ResponseFilter], |phase, _| match phase {
            ResponseFilter => next(vec![set("x-filtered", "1")]),
            _ => next(Vec::new()),
        });
    let gateway = gateway_with(&upstream, &scripts, vec![link("f")], |snapshot| serve_by(snapshot, "made"));
    let mut client = Client::connect(&gateway);
    let answer = client.get("/hello");
    assert_eq!((answer.status, answer.text(), answer.header("x-filtered")), (200, "GET /hello", Some("1")));
    let head = client.send("HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\n").answer_to_head();
    assert_eq!((head.status, head.header("content-length")), (200, Some("11")));
    assert!(upstream.requests().is_empty());
    assert_eq!(scripts.logged(2), ["made 200 10 -", "made 200 0 -"]);
}

#[test]
fn a_plugin_service_that_says_next_is_502() {
    let upstream = Upstream::echo();
    let scripts = Scripts::new().entry("made", &[RequestFilter], |_, _| next(Vec::new()));
    let gateway = gateway_with(&upstream, &scripts, Vec::new(), |snapshot| serve_by(snapshot, "made"));
    let answer = Client::connect(&gateway).get("/");
    assert_eq!((answer.status, answer.error()), (502, "PLUGIN_PROTOCOL".to_owned()));
    assert!(upstream.requests().is_empty());
}

#[test]
fn a_failed_plugin_lets_nothing_through_and_the_others_see_the_error() {
    for (kind, status, code, retry_after) in [
        (PluginErrorKind::Unavailable, 503, "PLUGIN_UNAVAILABLE", Some("1")),
        (PluginErrorKind::Timeout, 504, "PLUGIN_TIMEOUT", None),
        (PluginErrorKind::Handler, 500, "PLUGIN_ERROR", None),
        (PluginErrorKind::Protocol, 502, "PLUGIN_PROTOCOL", None),
        (PluginErrorKind::Busy, 503, "PLUGIN_BUSY", Some("1")),
    ] {
        let upstream = Upstream::echo();
        let scripts = Scripts::new()
            .entry("cors", &[RequestFilter, ResponseFilter, Logging], |phase, exchange| match phase {
                ResponseFilter => {
                    assert!(exchange.error.is_some());
                    next(vec![set("access-control-allow-origin", "*")])
                }
                _ => next(Vec::new()),
            })
            .entry("auth", &[RequestFilter, ResponseFilter, Logging], move |phase, _| {
                assert_eq!(phase, RequestFilter, "a failed entry was asked again");
                fail(kind)
            });
        let gateway = gateway(&upstream, &scripts, vec![link("cors"), link("auth")]);
        let mut client = Client::connect(&gateway);
        for _ in 0..2 {
            let answer = client.get("/");
            assert_eq!((answer.status, answer.error().as_str()), (status, code));
            assert_eq!(answer.header("retry-after"), retry_after);
            assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        }
        assert!(upstream.requests().is_empty(), "{code}");
        let logged = scripts.logged(4);
        assert!(logged.iter().all(|line| line.contains(code)), "{logged:?}");
        scripts.idle();
    }
}

#[test]
fn a_header_that_would_split_the_answer_is_502() {
    let upstream = Upstream::echo();
    let scripts = Scripts::new().entry("f", &[RequestFilter], |_, _| next(vec![set("x-a", "1\r\nx-b: 2")]));
    let gateway = gateway(&upstream, &scripts, vec![link("f")]);
    let answer = Client::connect(&gateway).get("/");
    assert_eq!((answer.error().as_str(), answer.header("x-b")), ("PLUGIN_PROTOCOL", None));
    assert!(upstream.requests().is_empty());
}

#[test]
fn a_request_body_read_by_a_plugin_still_reaches_the_upstream() {
    let upstream = Upstream::start(|received, socket| respond(socket, 200, &received.body));
    let scripts = Scripts::new().waiting("reads", &[RequestFilter], |_, exchange| {
        Box::pin(async move {
            let read = read_body(exchange, 1_000).await?;
            assert_eq!(read, "hello world");
            next(Vec::new())
        })
    });
    let gateway = gateway(&upstream, &scripts, vec![link("reads"), link("reads")]);
    let mut client = Client::connect(&gateway);
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nhello ").send("world");
    assert_eq!(client.answer().text(), "hello world");
    client
        .send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n");
    assert_eq!(client.answer().text(), "hello world");
    assert_eq!(upstream.requests().len(), 2);
}

#[test]
fn a_request_body_beyond_what_a_plugin_may_read_is_413() {
    let upstream = Upstream::echo();
    let scripts = Scripts::new().waiting("reads", &[RequestFilter], |_, exchange| {
        Box::pin(async move {
            read_body(exchange, 5).await?;
            next(Vec::new())
        })
    });
    let gateway = gateway(&upstream, &scripts, vec![link("reads")]);
    for framing in
        ["Content-Length: 11\r\n\r\nhello world", "Transfer-Encoding: chunked\r\n\r\nb\r\nhello world\r\n0\r\n\r\n"]
    {
        let answer = Client::connect(&gateway).send(format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}")).answer();
        assert_eq!((answer.status, answer.error().as_str()), (413, "BODY_TOO_LARGE"));
    }
    assert!(upstream.requests().is_empty());
}

#[test]
fn a_client_that_leaves_while_a_plugin_thinks_ends_the_session_and_is_logged() {
    let upstream = Upstream::echo();
    let scripts = Scripts::new()
        .waiting("slow", &[RequestFilter, ResponseFilter, Logging], |_, _| Box::pin(std::future::pending()))
        .entry("other", &[RequestFilter, Logging], |_, _| next(Vec::new()));
    let gateway = gateway(&upstream, &scripts, vec![link("other"), link("slow")]);
    let mut client = Client::connect(&gateway);
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    started(&gateway, "slow");
    drop(client);
    let logged = scripts.logged(2);
    assert_eq!(logged[0], "other 499 0 the client left before the answer");
    assert_eq!(logged[1], "slow 499 0 the client left before the answer");
    scripts.idle();
    assert!(upstream.requests().is_empty());
}

#[test]
fn a_client_that_leaves_while_a_plugin_reads_its_body_is_no_failure_of_the_plugin() {
    let upstream = Upstream::echo();
    let scripts = Scripts::new().waiting("reads", &[RequestFilter, ResponseFilter, Logging], |phase, exchange| {
        Box::pin(async move {
            assert_eq!(phase, RequestFilter, "only logging runs for a client that has left");
            read_body(exchange, 1_000).await?;
            next(Vec::new())
        })
    });
    let gateway = gateway(&upstream, &scripts, vec![link("reads")]);
    let mut client = Client::connect(&gateway);
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nhello");
    started(&gateway, "reads");
    drop(client);
    let logged = scripts.logged(1);
    assert!(logged[0].starts_with("reads 499 0 the client left"), "{logged:?}");
    scripts.idle();
    assert!(upstream.requests().is_empty());
}

#[test]
fn a_chain_that_only_logs_costs_the_request_path_nothing() {
    let upstream = Upstream::echo();
    let scripts = Scripts::new().entry("log", &[RequestFilter, ResponseFilter, Logging], |phase, _| {
        unreachable!("{phase:?} is not configured")
    });
    let mut only_logging = link("log");
    only_logging["phases"] = json!(["logging"]);
    let gateway = gateway(&upstream, &scripts, vec![only_logging]);
    assert_eq!(Client::connect(&gateway).get("/").status, 200);
    assert_eq!(scripts.logged(1), ["log 200 14 -"]);
}
