//! The upstreams' side: pooled connections, one request at a time on each.
//!
//! Requests are written straight from the exchange's headers, which stay where they are: a retry needs no copy, and
//! later phases still see the request. Nothing runs in a task of its own except an upload that streams.

mod body;
mod connection;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
mod pool;
mod request;
mod response;
mod send;
mod upload;

pub(crate) use body::{Collected, UpstreamBody};
pub(crate) use pool::Pool;
pub(crate) use request::{Outbound, Peer};
pub(crate) use send::{Failure, Outgoing, send};
