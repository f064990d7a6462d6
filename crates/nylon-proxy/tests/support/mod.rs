//! What the tests stand on: a gateway, an upstream that records every byte, and clients that speak raw HTTP.
#![allow(dead_code, unused_imports, missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod client;
pub mod library;
pub mod scripted;
mod upstream;

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use nylon_proxy::{Gateway, NoPlugins, PluginSource};
use serde_json::{Value, json};

pub use self::{
    client::{Answer, Client},
    upstream::{Received, Upstream, respond},
};

/// No test waits longer for anything.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub fn eventually(what: &str, mut is: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::yield_now();
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The values of a header, as they came.
fn headers_of<'a>(head: &'a str, name: &str) -> Vec<&'a str> {
    let lines = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    lines.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).collect()
}

/// The snapshot of a gateway in front of one upstream; change what a test is about.
pub fn snapshot(upstream: SocketAddr) -> Value {
    json!({
        "revision": {"number": 1, "loaded_at_ms": 0},
        "process": {"listen": ["127.0.0.1:0"], "admin": ["127.0.0.1:0"], "threads": 1, "drain_timeout_ms": 1000},
        "limits": {"max_header_bytes": 65536, "max_headers": 100, "max_request_body_bytes": null, "max_connections": 1000,
            "header_timeout_ms": 10000, "idle_timeout_ms": 60000, "read_timeout_ms": 60000, "write_timeout_ms": 60000},
        "trusted_proxies": [], "header_selector": "x-nylon-proxy", "messaging": [], "plugins": [],
        "services": [service("api", upstream)],
        "routes": [{"name": "main", "match": {"type": "host", "values": ["*"]}, "strip_headers": [],
            "paths": [{"patterns": ["/", "/{*path}"], "methods": null, "encoded_slashes": "refuse", "service": "api", "rewrite": null, "chain": []}]}],
    })
}

pub fn service(name: &str, upstream: SocketAddr) -> Value {
    json!({"name": name, "type": "http", "algorithm": "round_robin", "endpoints": [{"address": upstream.to_string(), "weight": 1}],
        "connect_timeout_ms": 5000, "head_timeout_ms": 60000, "read_timeout_ms": 60000, "write_timeout_ms": 60000,
        "idle_timeout_ms": 60000, "max_idle_connections": 16})
}

pub fn start(snapshot: &Value) -> Gateway {
    start_with(snapshot, Arc::new(NoPlugins))
}

pub fn start_with(snapshot: &Value, source: Arc<dyn PluginSource>) -> Gateway {
    Gateway::start(snapshot.to_string().as_bytes(), source).unwrap()
}

/// A gateway in front of an upstream.
pub fn gateway(upstream: &Upstream) -> Gateway {
    start(&snapshot(upstream.address))
}

/// A gateway whose snapshot was changed.
pub fn gateway_with(upstream: &Upstream, change: impl FnOnce(&mut Value)) -> Gateway {
    let mut snapshot = snapshot(upstream.address);
    change(&mut snapshot);
    start(&snapshot)
}
