//! NATS, or a bus in memory: connections, request layer, both halves of a session. Only user of async-nats.
//!
//! [`gateway`] is the half that serves HTTP: it opens sessions, chooses workers and implements the session port of
//! `nylon-plugin`. [`worker`] is the half that every SDK stands on. Both share [`Connection`].

mod bus;
mod clock;
mod connection;
pub mod gateway;
mod lock;
mod subscription;
pub mod worker;

pub use clock::Clock;
pub use connection::{
    Auth, Connection, ConnectionError, ConnectionEvent, ConnectionOptions, ConnectionState, ConnectionWatch,
    PublishError, TlsOptions,
};
pub use subscription::Subscription;
