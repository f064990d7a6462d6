//! Both halves of a session against each other, over a bus in memory: the tests of `halves`, on the other transport.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "../gateway/fake.rs"]
#[allow(dead_code)]
mod fake;
#[path = "../gateway/gateway.rs"]
#[allow(dead_code)]
mod gateway;
#[path = "../support/bus.rs"]
mod server;

#[path = "../halves/ends.rs"]
mod ends;
#[path = "../halves/phases.rs"]
mod phases;
#[path = "../halves/work.rs"]
mod work;

pub use work::{pass, serve, worker};
