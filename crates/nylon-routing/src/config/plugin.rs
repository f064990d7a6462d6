//! Plugins, the NATS connections they use, and the links of a chain.

use std::fmt;

use serde::Deserialize;

use super::explicit;

/// A NATS connection.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Messaging {
    /// Name that plugins refer to.
    pub name: String,
    /// Server addresses, `nats://host:port`; at least one.
    pub servers: Vec<String>,
    /// First token of every subject.
    pub prefix: String,
    /// How long a phase may take when its link says nothing else, milliseconds.
    pub timeout_ms: u64,
    /// How long an open may wait to be accepted, milliseconds (rules §2).
    pub accept_timeout_ms: u64,
    /// Between two pings of the server, milliseconds.
    pub ping_interval_ms: u64,
    /// Credentials; `null` for none.
    #[serde(deserialize_with = "explicit")]
    pub auth: Option<Auth>,
    /// TLS; `null` for plain TCP.
    #[serde(deserialize_with = "explicit")]
    pub tls: Option<Tls>,
}

/// Credentials for NATS. Never printed.
#[derive(Clone, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Auth {
    /// User and password.
    Password {
        /// User name.
        user: String,
        /// Password.
        password: String,
    },
    /// Token.
    Token {
        /// The token.
        token: String,
    },
    /// Seed of an nkey.
    Nkey {
        /// The seed, `SU…`.
        nkey_seed: String,
    },
    /// Credentials file (JWT and seed).
    File {
        /// Path of the file.
        creds_file: std::path::PathBuf,
    },
}

impl fmt::Debug for Auth {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Password { .. } => "Password(…)",
            Self::Token { .. } => "Token(…)",
            Self::Nkey { .. } => "Nkey(…)",
            Self::File { .. } => "File(…)",
        })
    }
}

/// TLS towards NATS.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// Certificates to trust; `null` for the system's.
    #[serde(deserialize_with = "explicit")]
    pub ca_file: Option<std::path::PathBuf>,
    /// Client certificate; `null` for none.
    #[serde(deserialize_with = "explicit")]
    pub cert_file: Option<std::path::PathBuf>,
    /// Key of the client certificate.
    #[serde(deserialize_with = "explicit")]
    pub key_file: Option<std::path::PathBuf>,
}

/// A plugin.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Plugin {
    /// Workers on NATS.
    Messaging {
        /// Name that links refer to.
        name: String,
        /// Name of the NATS connection.
        messaging: String,
        /// Queue group of the workers.
        group: String,
        /// Configuration for `initialize`, JSON text; `null` for none.
        #[serde(deserialize_with = "explicit")]
        config: Option<String>,
        /// Hex SHA-256 of it; a worker that has been given the same one is not given it again.
        config_hash: String,
        /// How a worker is chosen (rules §4).
        balance: Balance,
        /// Sessions in flight over all threads; beyond it 503 `PLUGIN_BUSY`.
        max_in_flight: usize,
        /// Largest body that a handler may read or write, bytes.
        max_body_bytes: usize,
        /// How much of a request body an open may bring unasked, bytes.
        prefetch_body_bytes: usize,
    },
    /// A shared library with the Nylon ABI.
    Ffi {
        /// Name that links refer to.
        name: String,
        /// Path of the library.
        file: std::path::PathBuf,
        /// Which threads call it.
        executor: Executor,
        /// Name of the NATS connection that its rooms reach other gateways by; `null` for rooms of this process.
        #[serde(deserialize_with = "explicit")]
        messaging: Option<String>,
        /// Configuration for `initialize`, JSON text; `null` for none.
        #[serde(deserialize_with = "explicit")]
        config: Option<String>,
        /// Sessions in flight over all threads; beyond it 503 `PLUGIN_BUSY`.
        max_in_flight: usize,
        /// Largest body that a handler may read or write, bytes.
        max_body_bytes: usize,
    },
}

/// Which threads call a library (rules §13).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Executor {
    /// Threads of its own.
    Pool,
    /// The gateway thread that serves the request.
    Inline,
}

/// How a worker is chosen (rules §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Balance {
    /// Direct while beats are fresh, the queue group otherwise.
    Auto,
    /// Always the queue group.
    Queue,
    /// Always direct.
    LeastLoaded,
}

/// One middleware of a chain, or the entry that is a service.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Name of the plugin.
    pub plugin: String,
    /// Name of the entry.
    pub entry: String,
    /// JSON text; `null` for none.
    #[serde(deserialize_with = "explicit")]
    pub payload: Option<String>,
    /// How long a phase may take, milliseconds.
    pub timeout_ms: u64,
    /// What happens when a phase fails.
    pub on_error: OnErrors,
    /// The only phases to run; `null` leaves it to the plugin (rules §5).
    #[serde(deserialize_with = "explicit")]
    pub phases: Option<Vec<PhaseName>>,
    /// Which request headers the worker may see.
    pub headers: LinkHeaders,
    /// How often an open that was not accepted is tried again: 0 or 1 (rules §3).
    pub retry: u32,
}

/// What happens when a phase fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// The client gets an error.
    Fail,
    /// It is logged, and the request goes on.
    Continue,
}

/// The policy of each phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OnErrors {
    /// Default `fail`.
    pub request_filter: OnError,
    /// Default `continue`.
    pub response_filter: OnError,
    /// Default `fail`.
    pub response_body_filter: OnError,
    /// Default `continue`; nothing else makes sense, nobody waits for it.
    pub logging: OnError,
}

/// A phase by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum PhaseName {
    /// Number 1.
    RequestFilter = 1,
    /// Number 2.
    ResponseFilter = 2,
    /// Number 3.
    ResponseBodyFilter = 3,
    /// Number 4.
    Logging = 4,
}

impl PhaseName {
    /// The phase's number on the wire.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }
}

/// Which request headers a worker may see.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkHeaders {
    /// Only these; `null` for all.
    #[serde(deserialize_with = "explicit")]
    pub allow: Option<Vec<String>>,
    /// Never these.
    pub deny: Vec<String>,
}
