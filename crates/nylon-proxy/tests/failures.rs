//! What goes wrong on either side, and what the other side is told.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc::channel,
    },
    time::{Duration, Instant},
};

use nylon_proxy::Gateway;
use serde_json::json;
use support::{Client, PATIENCE, Upstream, eventually, gateway, gateway_with, respond, snapshot, start};

#[test]
fn an_upstream_that_is_not_there() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gateway = start(&snapshot(address));
    let mut client = Client::connect(&gateway);
    for _ in 0..2 {
        let answer = client.get("/");
        assert_eq!((answer.status, answer.error().as_str()), (502, "UPSTREAM_UNREACHABLE"));
    }
}

#[test]
fn an_endpoint_that_is_not_there_costs_no_request() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let upstream = Upstream::start(|received, socket| respond(socket, 200, &received.body));
    let gateway = gateway_with(&upstream, |snapshot| {
        let endpoints = snapshot["services"][0]["endpoints"].as_array_mut().unwrap();
        endpoints.push(json!({"address": gone.to_string(), "weight": 1}));
    });
    let mut client = Client::connect(&gateway);
    for _ in 0..6 {
        let answer = client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi").answer();
        assert_eq!((answer.status, answer.text()), (200, "hi"));
    }
}

/// A gateway in front of these endpoints.
fn balanced(endpoints: &[(SocketAddr, u32)]) -> Gateway {
    let mut snapshot = snapshot(endpoints[0].0);
    let endpoint = |&(address, weight): &(SocketAddr, u32)| json!({"address": address.to_string(), "weight": weight});
    snapshot["services"][0]["endpoints"] = endpoints.iter().map(endpoint).collect();
    start(&snapshot)
}

#[test]
fn an_endpoint_that_has_most_of_the_turns_and_is_not_there_costs_no_request() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let upstream = Upstream::start(|received, socket| respond(socket, 200, &received.body));
    let gateway = balanced(&[(gone, 3), (upstream.address, 1)]);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = Client::connect(&gateway);
                for _ in 0..20 {
                    let answer = client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi").answer();
                    assert_eq!((answer.status, answer.text()), (200, "hi"));
                }
            });
        }
    });
}

#[test]
fn an_endpoint_without_weight_is_no_way_out() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let upstream = Upstream::echo();
    let gateway = balanced(&[(gone, 1), (upstream.address, 0)]);
    assert_eq!(Client::connect(&gateway).get("/").error(), "UPSTREAM_UNREACHABLE");
    assert!(upstream.requests().is_empty());
}

#[test]
fn a_request_whose_endpoint_goes_away_is_repeated_at_another() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = Upstream::echo();
    let gateway = balanced(&[(listener.local_addr().unwrap(), 1), (upstream.address, 1)]);
    let mut client = Client::connect(&gateway);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            drop(listener);
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut request = [0; 4096];
            assert!(socket.read(&mut request).unwrap() > 0);
            respond(&mut socket, 200, b"last words");
            assert!(socket.read(&mut request).unwrap() > 0);
        });
        assert_eq!(client.get("/1").text(), "last words");
        assert_eq!(client.get("/2").text(), "GET /2 HTTP/1.1");
        assert_eq!(client.get("/3").text(), "GET /3 HTTP/1.1", "on the connection that was kept, then elsewhere");
    });
}

#[test]
fn an_upstream_that_never_answers() {
    let upstream = Upstream::start(|_, socket| socket.read(&mut [0]).is_ok_and(|count| count > 0));
    let gateway = gateway_with(&upstream, |snapshot| snapshot["services"][0]["head_timeout_ms"] = json!(100));
    let mut client = Client::connect(&gateway);
    let begin = Instant::now();
    let answer = client.get("/");
    assert_eq!((answer.status, answer.error().as_str()), (504, "UPSTREAM_TIMEOUT"));
    assert!(begin.elapsed() >= Duration::from_millis(100));
    assert_eq!(client.get("/again").status, 504, "the client's connection is kept");
}

#[test]
fn an_upstream_that_stops_reading() {
    let (keep, kept) = channel();
    let upstream = Upstream::raw(move |_, socket, _| {
        keep.send(socket.try_clone().unwrap()).unwrap();
        false
    });
    let gateway = gateway_with(&upstream, |snapshot| snapshot["services"][0]["write_timeout_ms"] = json!(100));
    let mut client = Client::connect(&gateway);
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n");
    let chunk = vec![0; 1 << 20];
    let writer = client.socket.try_clone().unwrap();
    let sender = std::thread::spawn(move || while (&writer).write_all(&chunk).is_ok() {});
    let answer = client.answer();
    assert_eq!((answer.status, answer.error().as_str()), (504, "UPSTREAM_TIMEOUT"));
    drop(kept);
    // The gateway may have ended it already.
    client.socket.shutdown(Shutdown::Both).ok();
    sender.join().unwrap();
}

#[test]
fn an_upstream_that_closes_without_an_answer() {
    let upstream = Upstream::start(|_, _| false);
    let gateway = gateway(&upstream);
    let mut client = Client::connect(&gateway);
    let answer = client.get("/");
    assert_eq!((answer.status, answer.error().as_str()), (502, "UPSTREAM_ERROR"));
    assert_eq!(upstream.requests().len(), 1, "a fresh connection is no reason to repeat");
}

#[test]
fn an_upstream_that_talks_nonsense() {
    for nonsense in [
        "SSH-2.0-OpenSSH\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nBad Name: x\r\nContent-Length: 0\r\n\r\n",
    ] {
        let upstream = Upstream::start(move |_, socket| socket.write_all(nonsense.as_bytes()).is_ok());
        let gateway = gateway(&upstream);
        let answer = Client::connect(&gateway).get("/");
        assert_eq!((answer.status, answer.error().as_str()), (502, "UPSTREAM_ERROR"), "{nonsense:?}");
        eventually("the connection is closed", || upstream.closed.load(SeqCst) == 1);
    }
}

#[test]
fn a_body_that_breaks_off_resets_the_client() {
    for half in [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nnonsense\r\n",
    ] {
        for version in ["1.1", "1.0"] {
            let upstream = Upstream::start(move |_, socket| {
                socket.write_all(half.as_bytes()).unwrap();
                false
            });
            let gateway = gateway(&upstream);
            let mut client = Client::connect(&gateway);
            client.send(format!("GET / HTTP/{version}\r\nHost: a\r\n\r\n"));
            client.assert_reset();
            eventually("it is counted", || gateway.metrics().contains("nylon_upstream_broken_bodies_total 1"));
        }
    }
}

#[test]
fn a_body_that_stalls_resets_the_client() {
    let upstream = Upstream::start(|_, socket| {
        socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").unwrap();
        socket.read(&mut [0]).is_ok_and(|count| count > 0)
    });
    let gateway = gateway_with(&upstream, |snapshot| snapshot["services"][0]["read_timeout_ms"] = json!(100));
    let mut client = Client::connect(&gateway);
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").assert_reset();
}

/// An upstream that closes each connection after so many requests, without saying so beforehand.
fn forgetful(requests: usize) -> Upstream {
    let counts: Arc<std::sync::Mutex<std::collections::HashMap<usize, usize>>> = Arc::default();
    Upstream::start(move |received, socket| {
        let mut counts = counts.lock().unwrap();
        let count = counts.entry(received.connection).or_default();
        *count += 1;
        // The last one is read and not answered.
        *count <= requests && respond(socket, 200, b"ok")
    })
}

#[test]
fn a_dead_idle_connection_costs_nothing() {
    let upstream = forgetful(3);
    let gateway = gateway(&upstream);
    let mut client = Client::connect(&gateway);
    for _ in 0..40 {
        assert_eq!(client.get("/").status, 200);
    }
    assert!(gateway.metrics().contains("nylon_upstream_retries_total 13"), "{}", gateway.metrics());
}

/// nginx with `keepalive_requests 100`: the last answer of a connection says `Connection: close`, or does not.
fn limited(said: bool) -> Upstream {
    let counts: Arc<std::sync::Mutex<std::collections::HashMap<usize, usize>>> = Arc::default();
    Upstream::start(move |received, socket| {
        let count = {
            let mut counts = counts.lock().unwrap();
            let count = counts.entry(received.connection).or_default();
            *count += 1;
            *count
        };
        let last = count == 100;
        let close = if last && said { "Connection: close\r\n" } else { "" };
        let answer = format!("HTTP/1.1 200 OK\r\n{close}Content-Length: 2\r\n\r\nok");
        socket.write_all(answer.as_bytes()).is_ok() && !last
    })
}

#[test]
fn an_upstream_that_keeps_a_connection_for_100_requests_costs_none() {
    for said in [true, false] {
        let upstream = limited(said);
        let gateway = gateway(&upstream);
        let address = gateway.addresses()[0];
        let clients = 4;
        std::thread::scope(|scope| {
            for _ in 0..clients {
                scope.spawn(move || {
                    let mut client = Client::to(address);
                    for number in 0..200 {
                        assert_eq!(client.get("/").status, 200, "request {number}, said: {said}");
                    }
                });
            }
        });
        let metrics = gateway.metrics();
        let connections = upstream.connections.load(SeqCst);
        assert!((8..8 + clients).contains(&connections), "{connections} for 800 requests, said: {said}");
        if said {
            assert!(metrics.contains("nylon_upstream_retries_total 0"), "what was said is heeded: {metrics}");
        }
    }
}

#[test]
fn what_is_not_idempotent_is_not_repeated() {
    let upstream = forgetful(1);
    let gateway = gateway(&upstream);
    let mut client = Client::connect(&gateway);
    assert_eq!(client.get("/").status, 200);
    let answer = client.send("POST / HTTP/1.1\r\nHost: a\r\n\r\n").answer();
    assert_eq!((answer.status, answer.error().as_str()), (502, "UPSTREAM_ERROR"));
    assert_eq!(upstream.requests().len(), 2);
}

#[test]
fn a_request_with_body_is_not_repeated() {
    let upstream = forgetful(1);
    let gateway = gateway(&upstream);
    let mut client = Client::connect(&gateway);
    assert_eq!(client.get("/").status, 200);
    assert_eq!(client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi").answer().status, 502);
    assert_eq!(upstream.requests().len(), 2);
}

#[test]
fn half_an_answer_is_not_repeated() {
    let count = AtomicUsize::new(0);
    let upstream = Upstream::start(move |_, socket| {
        if count.fetch_add(1, SeqCst) == 0 {
            return respond(socket, 200, b"ok");
        }
        socket.write_all(b"HTTP/1.1 2").unwrap();
        false
    });
    let gateway = gateway(&upstream);
    let mut client = Client::connect(&gateway);
    assert_eq!(client.get("/").status, 200);
    assert_eq!(client.get("/").status, 502);
    assert_eq!(upstream.requests().len(), 2);
}

#[test]
fn a_connection_that_the_upstream_has_closed_is_not_used() {
    let upstream = Upstream::start(|_, socket| {
        respond(socket, 200, b"ok");
        false
    });
    let gateway = gateway(&upstream);
    let mut client = Client::connect(&gateway);
    for number in 1..10 {
        // A post would not be repeated.
        assert_eq!(client.send("POST / HTTP/1.1\r\nHost: a\r\n\r\n").answer().status, 200);
        eventually("the upstream closes", || upstream.closed.load(SeqCst) == number);
    }
}

#[test]
fn an_early_answer_to_an_upload_reaches_the_client() {
    let upstream = Upstream::raw(|_, socket, _| {
        respond(socket, 413, b"too much");
        // The body is never read.
        assert!(socket.read(&mut [0; 64]).unwrap() > 0);
        false
    });
    let gateway = gateway(&upstream);
    let mut client = Client::connect(&gateway);
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50000000\r\n\r\n");
    let writer = client.socket.try_clone().unwrap();
    let sender = std::thread::spawn(move || {
        let chunk = vec![0; 1 << 16];
        while (&writer).write_all(&chunk).is_ok() {}
    });
    let answer = client.answer();
    assert_eq!((answer.status, answer.text()), (413, "too much"));
    sender.join().unwrap();
}

#[test]
fn a_refused_upload_keeps_the_connection_if_it_is_small() {
    let upstream = Upstream::echo();
    let gateway = gateway_with(&upstream, |snapshot| {
        snapshot["routes"][0]["paths"][0]["patterns"] = json!(["/only"]);
    });
    let mut client = Client::connect(&gateway);
    let body = "x".repeat(100_000);
    for _ in 0..3 {
        client.send(format!("POST /other HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
        let answer = client.answer();
        assert_eq!((answer.status, answer.header("connection")), (404, None));
    }
    assert_eq!(client.get("/only").status, 200);
}

#[test]
fn a_refused_long_upload_gets_its_answer_and_loses_the_connection() {
    let upstream = Upstream::echo();
    let gateway = gateway_with(&upstream, |snapshot| snapshot["limits"]["max_request_body_bytes"] = json!(1000));
    let mut client = Client::connect(&gateway);
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 600000\r\n\r\n").send(vec![0; 600_000]);
    let answer = client.answer();
    assert_eq!((answer.status, answer.error().as_str()), (413, "BODY_TOO_LARGE"));
    assert_eq!(answer.header("connection"), Some("close"));
    client.assert_closed();
    assert_eq!(upstream.requests().len(), 0);
}

#[test]
fn a_chunked_body_beyond_the_limit_is_refused() {
    let upstream = Upstream::echo();
    let gateway = gateway_with(&upstream, |snapshot| snapshot["limits"]["max_request_body_bytes"] = json!(10));
    let mut client = Client::connect(&gateway);
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n01234567890\r\n0\r\n\r\n");
    let answer = client.answer();
    assert_eq!((answer.status, answer.error().as_str()), (413, "BODY_TOO_LARGE"));
    let mut client = Client::connect(&gateway);
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n0\r\n\r\n");
    assert_eq!(client.answer().status, 200);
}

#[test]
fn continue_is_said_only_when_the_body_is_wanted() {
    let upstream = Upstream::start(|received, socket| respond(socket, 200, &received.body));
    let gateway = gateway_with(&upstream, |snapshot| {
        snapshot["routes"][0]["paths"][0]["patterns"] = json!(["/only"]);
    });
    let mut client = Client::connect(&gateway);
    let head =
        |path: &str| format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    client.send(head("/only"));
    assert_eq!(client.head().status, 100);
    assert_eq!(client.send("hello").answer().text(), "hello");
    assert_eq!(upstream.request().header("expect"), None);
    // Refused: no continue, and the connection is closed because nobody knows whether the body comes.
    let answer = client.send(head("/other")).answer();
    assert_eq!(answer.status, 404);
}

#[test]
fn a_slow_head_is_given_up() {
    let upstream = Upstream::echo();
    let gateway = gateway_with(&upstream, |snapshot| snapshot["limits"]["header_timeout_ms"] = json!(150));
    let mut client = Client::connect(&gateway);
    assert_eq!(client.get("/").status, 200);
    client.send("GET / HTTP/1.1\r\nHos");
    let answer = client.answer();
    assert_eq!((answer.status, answer.error().as_str()), (408, "REQUEST_TIMEOUT"));
}

#[test]
fn a_head_that_drips_is_given_up() {
    let upstream = Upstream::echo();
    let gateway = gateway_with(&upstream, |snapshot| snapshot["limits"]["header_timeout_ms"] = json!(150));
    let mut client = Client::connect(&gateway);
    client.socket.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    client.send("GET / HTTP/1.1\r\n");
    let begin = Instant::now();
    let mut space = [0; 512];
    let length = loop {
        assert!(begin.elapsed() < PATIENCE);
        client.try_send("X: 1\r\n");
        match client.socket.read(&mut space) {
            Ok(length) => break length,
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
        }
    };
    assert!(String::from_utf8_lossy(&space[..length]).starts_with("HTTP/1.1 408 "));
}

#[test]
fn an_idle_connection_is_closed_and_a_busy_one_is_not() {
    let upstream = Upstream::start(|received, socket| {
        if received.line().contains("/slow") {
            std::thread::sleep(Duration::from_millis(400));
        }
        respond(socket, 200, b"ok")
    });
    let gateway = gateway_with(&upstream, |snapshot| snapshot["limits"]["idle_timeout_ms"] = json!(150));
    let mut client = Client::connect(&gateway);
    assert_eq!(client.get("/slow").status, 200, "a wait for the upstream is not idling");
    let begin = Instant::now();
    client.assert_closed();
    assert!(begin.elapsed() >= Duration::from_millis(140), "{:?}", begin.elapsed());
    Client::connect(&gateway).assert_closed();
}

#[test]
fn a_body_that_stops_is_given_up() {
    let upstream = Upstream::echo();
    let gateway = gateway_with(&upstream, |snapshot| snapshot["limits"]["read_timeout_ms"] = json!(150));
    let mut client = Client::connect(&gateway);
    let answer = client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf").answer();
    assert_eq!((answer.status, answer.error().as_str()), (408, "REQUEST_TIMEOUT"));
    eventually("no upload is left", || gateway.metrics().contains("nylon_requests_in_flight 0"));
}

#[test]
fn a_client_that_does_not_read_is_given_up() {
    let upstream = Upstream::start(|_, socket| {
        socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n").unwrap();
        let chunk = vec![0; 1 << 16];
        while socket.write_all(&chunk).is_ok() {}
        false
    });
    let gateway = gateway_with(&upstream, |snapshot| snapshot["limits"]["write_timeout_ms"] = json!(150));
    let mut client = Client::connect(&gateway);
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("the exchange ends", || gateway.metrics().contains("nylon_requests_total{class=\"client_gone\"} 1"));
    eventually("the connection ends", || gateway.connections() == 0);
    client.assert_reset();
}

#[test]
fn a_client_that_leaves_ends_the_upstreams_request() {
    let (gone, left) = channel();
    let upstream = Upstream::start(move |_, socket| {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        gone.send(socket.read(&mut [0]).is_ok_and(|count| count == 0)).unwrap();
        false
    });
    let gateway = gateway(&upstream);
    let mut client = Client::connect(&gateway);
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("the request is at the upstream", || upstream.requests().len() == 1);
    drop(client);
    assert!(left.recv_timeout(PATIENCE).unwrap(), "the upstream's connection is closed");
    eventually("it is counted", || {
        let metrics = gateway.metrics();
        metrics.contains("class=\"client_gone\"} 1") && metrics.contains("nylon_requests_in_flight 0")
    });
    assert!(!gateway.metrics().contains("UPSTREAM"), "never the upstream's failure");
}

#[test]
fn a_client_that_leaves_in_its_upload_ends_the_upstreams_request() {
    let upstream = Upstream::echo();
    let gateway = gateway(&upstream);
    let mut client = Client::connect(&gateway);
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf");
    eventually("the upload runs", || gateway.metrics().contains("nylon_requests_in_flight 1"));
    drop(client);
    eventually("the exchange ends", || gateway.metrics().contains("nylon_requests_in_flight 0"));
    eventually("the upstream sees the end", || {
        upstream.requests().first().is_some_and(|request| request.body == b"half")
    });
    assert!(!gateway.metrics().contains("UPSTREAM"));
}

#[test]
fn too_many_connections_are_turned_away() {
    let upstream = Upstream::echo();
    let gateway = gateway_with(&upstream, |snapshot| snapshot["limits"]["max_connections"] = json!(2));
    let mut clients = [Client::connect(&gateway), Client::connect(&gateway)];
    assert!(clients.iter_mut().all(|client| client.get("/").status == 200));
    let answer = Client::connect(&gateway).answer();
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    assert_eq!(answer.error(), "OVERLOADED");
    drop(clients);
    eventually("there is room again", || gateway.connections() == 0);
    assert_eq!(Client::connect(&gateway).get("/").status, 200);
}
