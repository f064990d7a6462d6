//! Start, reload, drain, stop, health and metrics.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::{
    net::{TcpListener, TcpStream},
    sync::{Arc, mpsc::channel},
    time::{Duration, Instant},
};

use nylon_proxy::{Gateway, NoPlugins, Transports};
use serde_json::json;
use support::{
    Client, PATIENCE, Upstream, eventually, gateway, gateway_with, library, respond, scripted::link, service, snapshot,
    start_with,
};

#[test]
fn a_taken_address_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let mut snapshot = snapshot(address);
    snapshot["process"]["listen"] = json!(["127.0.0.1:0", address.to_string()]);
    let error = Gateway::start(snapshot.to_string().as_bytes(), Arc::new(NoPlugins)).err().unwrap();
    assert!(error.to_string().starts_with(&format!("binding {address}: ")), "{error}");
}

#[test]
fn a_bad_snapshot_is_refused_and_the_old_one_serves_on() {
    let upstream = Upstream::echo();
    let gateway = gateway(&upstream);
    let mut bad = snapshot(upstream.address);
    bad["routes"][0]["paths"][0]["service"] = json!("nowhere");
    let error = gateway.reload(bad.to_string().as_bytes()).unwrap_err();
    assert!(error.to_string().contains("nowhere"), "{error}");
    let mut bad = snapshot(upstream.address);
    bad["process"]["listen"] = json!(["127.0.0.1:0", gateway.addresses()[0].to_string()]);
    assert!(gateway.reload(bad.to_string().as_bytes()).unwrap_err().to_string().starts_with("binding"));
    assert_eq!((gateway.revision(), gateway.addresses().len()), (1, 1));
    assert_eq!(Client::connect(&gateway).get("/").status, 200);
}

#[test]
fn new_requests_see_the_new_snapshot_and_old_ones_end_on_the_old() {
    let (enter, entered) = channel();
    let (leave, left) = channel::<()>();
    let left = std::sync::Mutex::new(left);
    let old = Upstream::start(move |received, socket| {
        if received.line().contains("/slow") {
            enter.send(()).unwrap();
            left.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        }
        respond(socket, 200, b"old")
    });
    let new = Upstream::start(|_, socket| respond(socket, 200, b"new"));
    let gateway = gateway(&old);
    let (mut slow, mut kept) = (Client::connect(&gateway), Client::connect(&gateway));
    assert_eq!(kept.get("/").text(), "old");
    slow.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    entered.recv_timeout(PATIENCE).unwrap();

    let mut next = snapshot(new.address);
    next["revision"]["number"] = json!(2);
    gateway.reload(next.to_string().as_bytes()).unwrap();
    assert_eq!(gateway.revision(), 2);
    assert_eq!(kept.get("/").text(), "new", "on the connection that was there before");
    leave.send(()).unwrap();
    assert_eq!(slow.answer().text(), "old");
    assert_eq!(slow.get("/").text(), "new");
}

#[test]
fn pools_survive_a_reload() {
    let upstream = Upstream::echo();
    let gateway = gateway(&upstream);
    let mut client = Client::connect(&gateway);
    for _ in 0..5 {
        assert_eq!(client.get("/").status, 200);
        gateway.reload(snapshot(upstream.address).to_string().as_bytes()).unwrap();
    }
    assert!(upstream.requests().iter().all(|request| request.connection == 0));
}

#[test]
fn sessions_in_flight_count_across_reloads() {
    let upstream = Upstream::echo();
    let limited = |limit| {
        let mut snapshot = snapshot(upstream.address);
        snapshot["plugins"] = json!([library::plugin(limit)]);
        snapshot["routes"][0]["paths"][0]["chain"] = json!([link("until_closed")]);
        snapshot
    };
    let gateway = start_with(&limited(1), Arc::new(Transports::default()));
    let reload = |snapshot: &serde_json::Value| gateway.reload(snapshot.to_string().as_bytes()).unwrap();
    let in_flight = |count: usize| {
        let line = format!("nylon_ffi_sessions{{plugin=\"scripted\"}} {count}\n");
        eventually("sessions begin and end", || gateway.metrics().contains(&line));
    };
    let waiting = || {
        let mut client = Client::connect(&gateway);
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        client
    };
    let is_busy = || {
        let answer = Client::connect(&gateway).get("/");
        assert_eq!((answer.status, answer.error()), (503, "PLUGIN_BUSY".to_owned()));
    };
    let first = waiting();
    in_flight(1);
    reload(&limited(1));
    is_busy();

    reload(&limited(2));
    let second = waiting();
    in_flight(2);
    is_busy();

    reload(&limited(1));
    drop(first);
    in_flight(1);
    is_busy();

    // A plugin that is gone for a while still has them.
    reload(&snapshot(upstream.address));
    reload(&limited(1));
    is_busy();
    drop(second);
    in_flight(0);
    let _third = waiting();
    in_flight(1);
}

#[test]
fn addresses_come_and_go_with_reloads() {
    let upstream = Upstream::echo();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gateway = gateway(&upstream);
    let first = gateway.addresses()[0];
    let mut next = snapshot(upstream.address);
    next["process"]["listen"] = json!(["127.0.0.1:0", free.to_string()]);
    gateway.reload(next.to_string().as_bytes()).unwrap();
    assert_eq!(gateway.addresses(), [first, free]);
    let mut kept = Client::to(first);
    assert_eq!((kept.get("/").status, Client::to(free).get("/").status), (200, 200));
    next["process"]["listen"] = json!([free.to_string()]);
    gateway.reload(next.to_string().as_bytes()).unwrap();
    assert_eq!(gateway.addresses(), [free]);
    eventually("the old address is closed", || TcpStream::connect(first).is_err());
    assert_eq!(kept.get("/").status, 200, "its connections are not");
}

#[test]
fn draining_answers_what_is_there_and_closes_what_idles() {
    let (enter, entered) = channel();
    let (leave, left) = channel::<()>();
    let left = std::sync::Mutex::new(left);
    let upstream = Upstream::start(move |received, socket| {
        if received.line().contains("/slow") {
            enter.send(()).unwrap();
            left.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        }
        respond(socket, 200, b"ok")
    });
    let gateway = gateway(&upstream);
    let (mut busy, mut idle, mut fresh) =
        (Client::connect(&gateway), Client::connect(&gateway), Client::connect(&gateway));
    assert_eq!(idle.get("/").status, 200);
    busy.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    entered.recv_timeout(PATIENCE).unwrap();
    assert!(gateway.ready());
    std::thread::scope(|scope| {
        let drained = scope.spawn(|| gateway.drain(PATIENCE));
        idle.assert_closed();
        fresh.assert_closed();
        assert!(!gateway.ready());
        eventually("nobody listens", || TcpStream::connect(gateway.addresses()[0]).is_err());
        assert!(!drained.is_finished());
        leave.send(()).unwrap();
        let answer = busy.answer();
        assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
        busy.assert_closed();
        assert!(drained.join().unwrap());
    });
    assert!(gateway.reload(snapshot(upstream.address).to_string().as_bytes()).is_err());
}

#[test]
fn a_drain_gives_up_in_time_and_stop_ends_the_rest() {
    let upstream = Upstream::start(|_, socket| std::io::Read::read(socket, &mut [0]).is_ok_and(|count| count > 0));
    let gateway = gateway(&upstream);
    let mut client = Client::connect(&gateway);
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("the request runs", || upstream.requests().len() == 1);
    let begin = Instant::now();
    assert!(!gateway.drain(Duration::from_millis(100)));
    assert!(begin.elapsed() >= Duration::from_millis(100));
    gateway.stop();
    assert_eq!(client.rest(), "");
}

fn admin(gateway: &Gateway, path: &str) -> support::Answer {
    Client::to(gateway.admin_addresses()[0]).get(path)
}

#[test]
fn health_readiness_and_metrics_have_their_own_address() {
    let upstream = Upstream::echo();
    let gateway = gateway_with(&upstream, |snapshot| snapshot["process"]["threads"] = json!(2));
    assert_eq!(admin(&gateway, "/healthz").status, 200);
    assert_eq!(admin(&gateway, "/readyz").status, 200);
    assert_eq!(admin(&gateway, "/other").status, 404);
    for _ in 0..4 {
        assert_eq!(Client::connect(&gateway).get("/").status, 200);
    }
    assert_eq!(Client::connect(&gateway).send("GET /\r\n\r\n").answer().status, 400);
    eventually("all is counted", || {
        let text = admin(&gateway, "/metrics").text().to_owned();
        [
            "nylon_requests_total{class=\"2xx\"} 4\n",
            "nylon_requests_total{class=\"4xx\"} 1\n",
            "nylon_errors_total{code=\"BAD_REQUEST\",status=\"400\"} 1\n",
            "nylon_requests_in_flight 0\n",
            "nylon_connections_total 5\n",
            "nylon_connections 0\n",
            "nylon_upstream_requests_total 4\n",
        ]
        .iter()
        .all(|line| text.contains(line))
    });
    gateway.drain(PATIENCE);
    assert_eq!(admin(&gateway, "/healthz").status, 200);
    let answer = admin(&gateway, "/readyz");
    assert_eq!((answer.status, answer.text()), (503, "draining\n"));
}

#[test]
fn a_modifier_in_many_places_is_counted_once() {
    let upstream = Upstream::echo();
    let gateway = gateway_with(&upstream, |snapshot| {
        let mut modifier = link("");
        modifier["plugin"] = json!("RequestHeaderModifier");
        snapshot["routes"][0]["paths"][0]["chain"] = json!([modifier, modifier]);
        let mut other = snapshot["routes"][0].clone();
        other["name"] = json!("other");
        other["match"]["values"] = json!(["other.test"]);
        snapshot["routes"].as_array_mut().unwrap().push(other);
    });
    assert_eq!(Client::connect(&gateway).get("/").status, 200);
    let text = gateway.metrics();
    let counted = "nylon_plugin_phases_total{entry=\"RequestHeaderModifier\",phase=\"request_filter\"} 2\n";
    assert!(text.contains(counted), "{text}");
}

#[test]
fn connections_are_spread_over_the_threads() {
    let upstream = Upstream::start(|_, socket| respond(socket, 200, b"ok"));
    let gateway = gateway_with(&upstream, |snapshot| {
        snapshot["process"]["threads"] = json!(4);
        snapshot["services"] = json!([service("api", upstream.address)]);
    });
    let mut clients: Vec<_> = (0..8).map(|_| Client::connect(&gateway)).collect();
    for client in &mut clients {
        assert_eq!(client.get("/").status, 200);
    }
    // Each thread has a pool of its own.
    assert_eq!(upstream.connections.load(std::sync::atomic::Ordering::SeqCst), 4);
}
