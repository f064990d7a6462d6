//! Snapshots for tests: the smallest complete configuration, changed where a test wants it.

use http::{HeaderMap, Method};
use nylon_routing::{CompileError, NoMatch, Snapshot};
use serde_json::{Value, json};

/// Everything explicit, one route for all hosts that leads to an http service.
pub fn config() -> Value {
    json!({
        "revision": {"number": 1, "loaded_at_ms": 0},
        "process": {"listen": ["0.0.0.0:8080"], "admin": ["127.0.0.1:6192"], "threads": 2, "drain_timeout_ms": 30000},
        "limits": {"max_header_bytes": 65536, "max_headers": 100, "max_request_body_bytes": null,
            "max_connections": 16384, "header_timeout_ms": 10000, "idle_timeout_ms": 60000,
            "read_timeout_ms": 60000, "write_timeout_ms": 60000},
        "trusted_proxies": ["10.0.0.0/8"],
        "header_selector": "x-nylon-proxy",
        "messaging": [{"name": "local", "servers": ["nats://127.0.0.1:4222"], "prefix": "nylon", "timeout_ms": 5000,
            "accept_timeout_ms": 250, "ping_interval_ms": 5000, "auth": null, "tls": null}],
        "plugins": [{"name": "auth", "type": "messaging", "messaging": "local", "group": "auth_workers",
            "config": null, "config_hash": "00".repeat(32), "balance": "auto", "max_in_flight": 4096, "max_body_bytes": 10485760,
            "prefetch_body_bytes": 32768}],
        "services": [
            {"name": "api", "type": "http", "algorithm": "round_robin",
                "endpoints": [{"address": "127.0.0.1:9000", "weight": 1}], "connect_timeout_ms": 5000,
                "head_timeout_ms": 60000, "read_timeout_ms": 60000, "write_timeout_ms": 60000,
                "idle_timeout_ms": 60000, "max_idle_connections": 128},
            {"name": "hello", "type": "plugin", "link": link("auth", "hello")}],
        "routes": [route("main", "host", &["*"], vec![path(&["/", "/{*path}"])])]
    })
}

/// A link with the default policy.
pub fn link(plugin: &str, entry: &str) -> Value {
    json!({"plugin": plugin, "entry": entry, "payload": null, "timeout_ms": 5000,
        "on_error": {"request_filter": "fail", "response_filter": "continue", "response_body_filter": "fail",
            "logging": "continue"},
        "phases": null, "headers": {"allow": null, "deny": []}, "retry": 1})
}

/// A route.
pub fn route(name: &str, kind: &str, values: &[&str], paths: Vec<Value>) -> Value {
    json!({"name": name, "match": {"type": kind, "values": values}, "strip_headers": [], "paths": paths})
}

/// A path for the nine methods.
pub fn path(patterns: &[&str]) -> Value {
    json!({"patterns": patterns, "methods": null, "encoded_slashes": "refuse", "service": "api", "rewrite": null, "chain": []})
}

/// A path for some methods.
pub fn path_for(methods: &[&str], patterns: &[&str]) -> Value {
    let mut path = path(patterns);
    path["methods"] = json!(methods);
    path
}

/// Compiles a configuration with these routes.
pub fn with_routes(routes: Vec<Value>) -> Result<Snapshot, CompileError> {
    compile(|config| config["routes"] = Value::Array(routes))
}

/// Compiles the configuration after a change.
pub fn compile(change: impl FnOnce(&mut Value)) -> Result<Snapshot, CompileError> {
    let mut config = config();
    change(&mut config);
    Snapshot::compile(config.to_string().as_bytes())
}

/// `route pattern name=value…` of what a request matches, or `404`, or `405 Allow`.
pub fn find(snapshot: &Snapshot, method: &str, host: &str, path: &str) -> String {
    find_with(snapshot, method, host, path, &HeaderMap::new())
}

/// As [`find`], with headers.
pub fn find_with(snapshot: &Snapshot, method: &str, host: &str, path: &str, headers: &HeaderMap) -> String {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    match snapshot.find(host, &method, path, headers) {
        Ok(found) => {
            let mut text = format!("{} {}", found.route.name, found.pattern.as_str());
            for (name, value) in found.params.iter() {
                text.push_str(&format!(" {name}={value}"));
            }
            text
        }
        Err(NoMatch::NotFound) => "404".to_owned(),
        Err(NoMatch::Ambiguous) => "400".to_owned(),
        Err(NoMatch::EncodedSlash) => "400 %2F".to_owned(),
        Err(NoMatch::MethodNotAllowed(allow)) => format!("405 {allow}"),
    }
}
