//! What keeps a library from being used.

use std::time::Duration;

/// Why a library cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// There is no such file, or it cannot be read.
    #[error("{0}")]
    File(#[from] std::io::Error),
    /// The dynamic linker refuses it.
    #[error("it is no library for this process: {0}")]
    Open(String),
    /// It is no plugin.
    #[error("it is no plugin of the Nylon ABI: it has no function `{0}` of its own")]
    Missing(&'static str),
    /// There are more than this.
    #[error("one process can have {0} plugin libraries")]
    TooMany(usize),
    /// `initialize` does not return.
    #[error("its `initialize` has not returned within {0:?}")]
    Initialize(Duration),
}
