//! Why a gateway does not start.

use std::{io, net::SocketAddr};

use nylon_routing::CompileError;

/// Why a gateway does not start or a new snapshot is not taken.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The snapshot is not valid.
    #[error(transparent)]
    Snapshot(#[from] CompileError),
    /// The plugins cannot be set up.
    #[error("preparing plugins: {0}")]
    Plugins(String),
    /// An address cannot be listened on.
    #[error("binding {address}: {cause}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        cause: io::Error,
    },
    /// A thread cannot be started.
    #[error("starting a thread: {0}")]
    Thread(#[from] io::Error),
    /// The gateway is draining or has stopped.
    #[error("reloading: the gateway is shutting down")]
    ShuttingDown,
}
