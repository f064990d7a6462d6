//! The client's side: sockets, what is let through to the codec, time limits.

mod connection;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
mod guard;
mod state;
mod stream;

pub(crate) use connection::serve;
pub(crate) use state::ConnectionState;
pub(crate) use stream::{ClientStream, REFUSED_METHOD};
