//! What the configuration says about a messaging entry and about a plugin on it.

use std::time::Duration;

use bytes::Bytes;
use nylon_plugin::KEPT_BODY;
use nylon_wire::Revision;

use crate::ConnectionOptions;

/// One entry of `messaging:`.
#[derive(Clone, Debug)]
pub struct MessagingOptions {
    /// Servers, credentials, TLS, pings. The thread's number is added to the name.
    pub connection: ConnectionOptions,
    /// First tokens of every subject. Default `nylon`.
    pub prefix: String,
    /// How long an open may stay without a first answer. Default 250 ms (rules §2).
    pub accept_timeout: Duration,
}

impl Default for MessagingOptions {
    fn default() -> Self {
        Self {
            connection: ConnectionOptions::default(),
            prefix: "nylon".to_owned(),
            accept_timeout: Duration::from_millis(250),
        }
    }
}

/// How workers are chosen (rules §4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Balance {
    /// Directly to the better of two workers with fresh beats, through the queue group when there is none, and for
    /// less than 1 % of picks.
    #[default]
    Auto,
    /// Always through the queue group.
    Queue,
    /// Directly to the better of two; the queue group only while no worker is heard of.
    LeastLoaded,
}

/// One plugin on a messaging entry.
#[derive(Clone, Debug)]
pub struct PluginOptions {
    /// Its name in the configuration; labels metrics.
    pub name: String,
    /// The queue group of its workers.
    pub group: String,
    /// Its configuration, JSON text.
    pub config: Option<Bytes>,
    /// Which configuration that is; `None` without one.
    pub revision: Option<Revision>,
    /// How workers are chosen.
    pub balance: Balance,
    /// The most phases that wait for an answer at once, in all threads. Default 4,096.
    pub max_in_flight: usize,
    /// The longest body that moves either way, in bytes. Default 10 MiB.
    pub max_body_bytes: usize,
    /// The longest request body that is sent along with an open, in bytes. Default 32 KiB; 0 = never.
    pub prefetch_body_bytes: usize,
    /// How long a stream may stand still. Default 5 min.
    pub stream_idle: Duration,
}

impl PluginOptions {
    /// Up to this length a request body stays whole, however it is read: whether it came along with the open must make no
    /// difference (SPEC 14.7).
    pub(super) fn kept_body(&self) -> usize {
        self.prefetch_body_bytes.max(KEPT_BODY)
    }

    /// A plugin with defaults.
    #[must_use]
    pub fn new(name: &str, group: &str) -> Self {
        Self {
            name: name.to_owned(),
            group: group.to_owned(),
            config: None,
            revision: None,
            balance: Balance::Auto,
            max_in_flight: 4_096,
            max_body_bytes: 10 << 20,
            prefetch_body_bytes: 32 << 10,
            stream_idle: Duration::from_secs(300),
        }
    }
}
