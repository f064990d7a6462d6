//! The chain without any transport: scripted sessions, and a gateway reduced to its order of calls.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may stop at the first surprise")]

mod bodies;
mod failures;
mod logs;
mod masks;
mod on_demand;
mod outcomes;
mod requests;
mod sessions;
mod streams;
mod support;
