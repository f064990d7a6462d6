//! The normalised configuration as the control plane writes it: JSON in which everything is explicit.
//!
//! Defaults, groups, units and file positions are the control plane's business; here a missing key, an unknown
//! key or a wrong type is an error. Meaning is checked by [`crate::Snapshot::compile`].

mod plugin;
mod route;
mod service;

use serde::{Deserialize, Deserializer};

pub use plugin::{Auth, Balance, Executor, Link, LinkHeaders, Messaging, OnError, OnErrors, PhaseName, Plugin, Tls};
pub use route::{EncodedSlashes, Match, MatchKind, Path, Route};
pub use service::{Algorithm, Endpoint, Service};

/// The whole snapshot.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Which configuration this is.
    pub revision: Revision,
    /// What cannot change without a restart, except the drain limit.
    pub process: Process,
    /// Limits of the HTTP side.
    pub limits: Limits,
    /// Networks whose `X-Forwarded-For` is believed (rules §10).
    pub trusted_proxies: Vec<ipnet::IpNet>,
    /// Name of the header that selects `header` routes.
    pub header_selector: String,
    /// NATS connections.
    pub messaging: Vec<Messaging>,
    /// Plugins.
    pub plugins: Vec<Plugin>,
    /// Services.
    pub services: Vec<Service>,
    /// Routes, in file order.
    pub routes: Vec<Route>,
}

/// Identifies a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revision {
    /// Counts the reloads of this process from 1.
    pub number: u64,
    /// When it was loaded, Unix milliseconds.
    pub loaded_at_ms: u64,
}

/// Settings of the process.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Process {
    /// Addresses for clients; with none, nothing is served.
    pub listen: Vec<std::net::SocketAddr>,
    /// Addresses for health and metrics.
    pub admin: Vec<std::net::SocketAddr>,
    /// Gateway threads, at least 1.
    pub threads: usize,
    /// How long exchanges may go on after SIGTERM, milliseconds.
    pub drain_timeout_ms: u64,
}

/// Limits of the HTTP side. Times in milliseconds, sizes in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// All of a request's head.
    pub max_header_bytes: usize,
    /// Header lines of a request.
    pub max_headers: usize,
    /// Request body; `null` for no limit.
    #[serde(deserialize_with = "explicit")]
    pub max_request_body_bytes: Option<u64>,
    /// Client connections of the process.
    pub max_connections: usize,
    /// From the first byte of a head to its end.
    pub header_timeout_ms: u64,
    /// Between requests of a connection.
    pub idle_timeout_ms: u64,
    /// Between two reads of a request body.
    pub read_timeout_ms: u64,
    /// Until a write to the client makes progress.
    pub write_timeout_ms: u64,
}

/// An optional value whose key must be there all the same: `null` is said, not forgotten.
fn explicit<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Option::deserialize(deserializer)
}
