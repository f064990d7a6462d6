//! Listeners, HTTP, upstream pools: drives one exchange through gateway and plugin chain.
//!
//! ```text
//! acceptor ─▶ thread ─▶ down (socket, guard, codec) ─▶ exchange ─▶ up (pool, connection)
//!                                                        │
//!                                                        └─▶ nylon_plugin::Run (filters, plugin service, logging)
//! ```

mod acceptor;
mod active;
mod admin;
mod admission;
mod body;
mod broken;
mod built_in;
mod clock;
mod down;
mod errors;
mod exchange;
mod framing;
mod gateway;
mod headers;
mod libraries;
mod lock;
mod log_limit;
mod metrics;
mod nats;
mod plugins;
mod request_body;
mod request_id;
mod shared;
mod start_error;
mod starting;
mod target;
mod thread;
mod transports;
mod up;
mod websocket;

/// Any bytes for the parts that read what clients and upstreams send; they panic where something is wrong.
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzz {
    pub use crate::{down::fuzz::request, up::fuzz::response, websocket::fuzz::websocket};
}

pub use gateway::Gateway;
pub use plugins::{Heard, NoPlugins, PluginSource, PreparedPlugins};
pub use start_error::StartError;
pub use starting::{Group, Starting};
pub use transports::Transports;

#[cfg(test)]
mod fuzz_tests;
