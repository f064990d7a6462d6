//! The gateway half against a real nats-server and workers that speak raw NATS, well and badly.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "../support/server.rs"]
mod server;

mod balance;
mod bodies;
mod failures;
mod fake;
mod gateway;
mod outages;
mod phases;
mod retries;
mod sockets;
mod storm;
mod streams;
