//! What reaches the upstream, and what comes back.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::io::Write;

use support::{Client, Upstream, gateway, gateway_with, respond};

#[test]
fn a_request_goes_up_and_its_answer_comes_down() {
    let upstream = Upstream::echo();
    let gateway = gateway(&upstream);
    let answer = Client::connect(&gateway).get("/a/b?c=d&e");
    assert_eq!((answer.status, answer.text()), (200, "GET /a/b?c=d&e HTTP/1.1"));
    assert_eq!(answer.header("content-length"), Some("23"));
    assert!(answer.header("date").is_some());
    let seen = upstream.request();
    assert_eq!(seen.header("host"), Some("a.test"));
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.header("x-forwarded-proto"), Some("http"));
    assert_eq!(seen.header("x-forwarded-host"), Some("a.test"));
    assert_eq!(seen.header("forwarded"), Some("for=127.0.0.1;host=a.test;proto=http"));
    assert_eq!(seen.header("x-request-id").map(str::len), Some(32));
}

#[test]
fn connections_are_kept_on_both_sides() {
    let upstream = Upstream::echo();
    let gateway = gateway(&upstream);
    let mut client = Client::connect(&gateway);
    for number in 0..50 {
        assert_eq!(client.get(&format!("/{number}")).text(), format!("GET /{number} HTTP/1.1"));
    }
    assert!(upstream.requests().iter().all(|request| request.connection == 0));
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let upstream = Upstream::echo();
    let gateway = gateway(&upstream);
    let mut client = Client::connect(&gateway);
    let requests: String = (0..20).map(|number| format!("GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
    client.send(requests);
    for number in 0..20 {
        assert_eq!(client.answer().text(), format!("GET /{number} HTTP/1.1"));
    }
}

#[test]
fn bodies_go_up_with_length_and_chunked() {
    let upstream = Upstream::start(|received, socket| respond(socket, 200, &received.body));
    let gateway = gateway(&upstream);
    let mut client = Client::connect(&gateway);
    let answer = client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello").answer();
    assert_eq!(answer.text(), "hello");
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n");
    assert_eq!(client.answer().text(), "abcde");
    let requests = upstream.requests();
    assert_eq!(requests[0].header("content-length"), Some("5"));
    assert_eq!(requests[1].header("transfer-encoding"), Some("chunked"));
    assert!(requests.iter().all(|request| request.connection == 0), "connections survive uploads");
}

#[test]
fn large_bodies_pass_both_ways() {
    let upstream = Upstream::start(|received, socket| respond(socket, 200, &received.body));
    let gateway = gateway(&upstream);
    let body: Vec<u8> = (0..3_000_000u32).map(|number| (number % 251) as u8).collect();
    let mut client = Client::connect(&gateway);
    for _ in 0..2 {
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len())).send(&body);
        assert!(client.answer().body == body);
    }
}

#[test]
fn chunked_answers_and_trailers_pass() {
    let upstream = Upstream::start(|_, socket| {
        let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 7\r\n\r\n";
        socket.write_all(answer.as_bytes()).is_ok()
    });
    let gateway = gateway(&upstream);
    let mut client = Client::connect(&gateway);
    let answer = client.send("GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n").answer();
    assert_eq!((answer.text(), answer.trailers.as_str()), ("abcde", "x-sum: 7"));
    assert_eq!(upstream.request().header("te"), Some("trailers"));
    assert_eq!(client.get("/").text(), "abcde");
    assert!(upstream.requests().iter().all(|request| request.connection == 0), "kept after trailers");
}

#[test]
fn request_trailers_pass() {
    let upstream = Upstream::echo();
    let gateway = gateway(&upstream);
    let request = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n";
    assert_eq!(Client::connect(&gateway).send(request).answer().status, 200);
    let seen = upstream.request();
    assert_eq!((seen.body.as_slice(), seen.trailers.trim()), (&b"abc"[..], "x-sum: 7"));
}

#[test]
fn answers_without_body_stay_without() {
    let upstream = Upstream::start(|received, socket| {
        let answer = match received.line() {
            line if line.starts_with("HEAD") => "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\nX-A: 1\r\n\r\n",
            line if line.contains("/204") => "HTTP/1.1 204 No Content\r\n\r\n",
            line if line.contains("/304") => "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 9\r\n\r\n",
            _ => "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        };
        socket.write_all(answer.as_bytes()).is_ok()
    });
    let gateway = gateway(&upstream);
    let mut client = Client::connect(&gateway);
    let head = client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").answer_to_head();
    assert_eq!((head.status, head.header("content-length"), head.header("x-a")), (200, Some("1234"), Some("1")));
    assert_eq!(client.get("/204").status, 204);
    let unchanged = client.get("/304");
    assert_eq!((unchanged.status, unchanged.header("etag")), (304, Some("\"x\"")));
    let empty = client.get("/");
    assert_eq!((empty.status, empty.header("content-length"), empty.text()), (200, Some("0"), ""));
    assert!(upstream.requests().iter().all(|request| request.connection == 0));
}

#[test]
fn hop_by_hop_headers_stay_behind() {
    let upstream = Upstream::start(|_, socket| {
        let answer = "HTTP/1.1 200 OK\r\nConnection: x-hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nProxy-Authenticate: x\r\n\
            Upgrade: h2c\r\nX-End: 1\r\nContent-Length: 0\r\n\r\n";
        socket.write_all(answer.as_bytes()).is_ok()
    });
    let gateway = gateway(&upstream);
    let request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, x-mine, upgrade\r\nX-Mine: 1\r\nKeep-Alive: 5\r\nTE: gzip\r\n\
        Upgrade: websocket\r\nProxy-Connection: keep-alive\r\nX-End: 1\r\n\r\n";
    let answer = Client::connect(&gateway).send(request).answer();
    for name in ["x-hop", "keep-alive", "proxy-authenticate", "upgrade", "connection"] {
        assert_eq!(answer.header(name), None, "{name}");
    }
    assert_eq!(answer.header("x-end"), Some("1"));
    let seen = upstream.request();
    for name in ["x-mine", "keep-alive", "te", "upgrade", "proxy-connection", "connection"] {
        assert_eq!(seen.header(name), None, "{name}");
    }
    assert_eq!(seen.header("x-end"), Some("1"));
}

#[test]
fn repeated_headers_stay_repeated() {
    let upstream = Upstream::start(|_, socket| {
        socket.write_all(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n").is_ok()
    });
    let gateway = gateway(&upstream);
    let answer = Client::connect(&gateway).send("GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nX-A: 2\r\n\r\n").answer();
    assert_eq!(answer.headers("set-cookie"), ["a=1", "b=2"]);
    assert_eq!(upstream.request().headers("x-a"), ["1", "2"]);
}

#[test]
fn what_clients_claim_is_replaced_and_what_trusted_proxies_say_is_kept() {
    let upstream = Upstream::echo();
    let request = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\n\
        Forwarded: for=1.2.3.4\r\nX-Request-Id: from-outside\r\n\r\n";
    Client::connect(&gateway(&upstream)).send(request).answer();
    let seen = upstream.requests().remove(0);
    assert_eq!(seen.headers("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(seen.headers("x-forwarded-proto"), ["http"]);
    assert_eq!(seen.headers("forwarded"), ["for=127.0.0.1;host=a;proto=http"]);
    assert_ne!(seen.header("x-request-id"), Some("from-outside"));

    let trusting = gateway_with(&upstream, |snapshot| snapshot["trusted_proxies"] = serde_json::json!(["127.0.0.0/8"]));
    Client::connect(&trusting).send(request).answer();
    let seen = upstream.requests().remove(1);
    assert_eq!(seen.headers("x-forwarded-for"), ["1.2.3.4, 127.0.0.1"]);
    assert_eq!(seen.headers("x-forwarded-proto"), ["https"]);
    assert_eq!(seen.headers("forwarded"), ["for=1.2.3.4, for=127.0.0.1;host=a;proto=http"]);
    assert_eq!(seen.header("x-request-id"), Some("from-outside"));
}

#[test]
fn a_route_strips_headers_and_rewrites_paths() {
    let upstream = Upstream::echo();
    let gateway = gateway_with(&upstream, |snapshot| {
        snapshot["routes"][0]["strip_headers"] = serde_json::json!(["x-auth-user"]);
        snapshot["routes"][0]["paths"][0]["patterns"] = serde_json::json!(["/old/{*path}"]);
        snapshot["routes"][0]["paths"][0]["rewrite"] = serde_json::json!("/new");
    });
    let request = "GET /old/x?y=1 HTTP/1.1\r\nHost: a\r\nX-Auth-User: root\r\n\r\n";
    assert_eq!(Client::connect(&gateway).send(request).answer().text(), "GET /new/x?y=1 HTTP/1.1");
    assert_eq!(upstream.request().header("x-auth-user"), None);
}

#[test]
fn http_10_clients_are_served() {
    let upstream = Upstream::start(|received, socket| {
        let answer = if received.line().contains("/chunked") {
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        } else {
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"
        };
        socket.write_all(answer.as_bytes()).is_ok()
    });
    let gateway = gateway(&upstream);
    let mut client = Client::connect(&gateway);
    let answer = client.send("GET /chunked HTTP/1.0\r\n\r\n").answer();
    assert_eq!((answer.header("transfer-encoding"), answer.text()), (None, "abc"));
    let mut client = Client::connect(&gateway);
    let answer = client.send("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n").answer();
    assert_eq!(answer.text(), "abc");
    assert_eq!(client.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n").answer().text(), "abc");
    client.assert_closed();
    assert_eq!(upstream.requests()[0].header("host").map(str::to_owned), Some(upstream.address.to_string()));
}

#[test]
fn no_route_and_no_method_have_their_answers() {
    let upstream = Upstream::echo();
    let gateway = gateway_with(&upstream, |snapshot| {
        snapshot["routes"][0]["paths"][0]["patterns"] = serde_json::json!(["/only"]);
        snapshot["routes"][0]["paths"][0]["methods"] = serde_json::json!(["PUT", "GET"]);
    });
    let mut client = Client::connect(&gateway);
    let answer = client.get("/other");
    assert_eq!((answer.status, answer.error().as_str()), (404, "ROUTE_NOT_FOUND"));
    let answer = client.send("POST /only HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi").answer();
    assert_eq!(
        (answer.status, answer.error().as_str(), answer.header("allow")),
        (405, "METHOD_NOT_ALLOWED", Some("GET, PUT"))
    );
    assert_eq!(client.get("/only").status, 200, "the connection is kept");
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn absolute_targets_become_plain_ones() {
    let upstream = Upstream::echo();
    let gateway = gateway(&upstream);
    let mut client = Client::connect(&gateway);
    let answer = client.send("GET http://a.test:81/x?y HTTP/1.1\r\nHost: a.test:81\r\n\r\n").answer();
    assert_eq!(answer.text(), "GET /x?y HTTP/1.1");
    assert_eq!(client.send("GET http://a.test HTTP/1.1\r\nHost: a.test\r\n\r\n").answer().text(), "GET / HTTP/1.1");
    assert_eq!(client.send("GET http://a.test?y HTTP/1.1\r\nHost: a.test\r\n\r\n").answer().text(), "GET /?y HTTP/1.1");
}

#[test]
fn interim_answers_of_the_upstream_are_dropped() {
    let upstream = Upstream::start(|_, socket| {
        let answer = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        socket.write_all(answer.as_bytes()).is_ok()
    });
    assert_eq!(Client::connect(&gateway(&upstream)).get("/").text(), "ok");
}
