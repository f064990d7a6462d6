//! Services: where requests go.

use serde::Deserialize;

use super::Link;

/// A service.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Service {
    /// HTTP/1.1 upstreams. Times in milliseconds.
    Http {
        /// Name that paths refer to.
        name: String,
        /// How an endpoint is chosen.
        algorithm: Algorithm,
        /// At least one.
        endpoints: Vec<Endpoint>,
        /// To connect.
        connect_timeout_ms: u64,
        /// From the end of the request to the response head.
        head_timeout_ms: u64,
        /// Between two reads of the response body.
        read_timeout_ms: u64,
        /// Until a write of the request makes progress.
        write_timeout_ms: u64,
        /// How long an unused connection is kept.
        idle_timeout_ms: u64,
        /// Unused connections kept per thread and endpoint.
        max_idle_connections: usize,
    },
    /// A plugin entry that makes the response.
    Plugin {
        /// Name that paths refer to.
        name: String,
        /// The entry.
        link: Link,
    },
}

/// How an endpoint is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// In turn, by weight, evenly interleaved.
    RoundRobin,
}

/// An upstream address.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// IP literal and port; IPv6 in brackets.
    pub address: std::net::SocketAddr,
    /// Share of the traffic; 0 for none.
    pub weight: u32,
}
