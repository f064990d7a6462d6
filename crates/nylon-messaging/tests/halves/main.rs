//! Both halves of a session against each other, over a real nats-server.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "../gateway/fake.rs"]
#[allow(dead_code)]
mod fake;
#[path = "../gateway/gateway.rs"]
#[allow(dead_code)]
mod gateway;
#[path = "../support/server.rs"]
mod server;

mod ends;
mod phases;
mod work;

pub use work::{pass, serve, worker};
