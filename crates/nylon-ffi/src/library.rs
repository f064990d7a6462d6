//! A library that is loaded. It stays so until the process ends.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use nylon_plugin::BodyMode;

use crate::{
    abi::{Callback, Symbols},
    complaints::Complaints,
    pool::Pool,
    shared::Job,
};

/// What is called on a gateway thread returns within this, or is never called there again.
const PROMPT: Duration = Duration::from_millis(100);

/// Where a library is called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Executor {
    /// On threads of its own.
    #[default]
    Pool,
    /// On the gateway thread that serves the request, as long as the library returns at once.
    Inline,
}

/// A library that is loaded.
pub struct Library {
    path: PathBuf,
    pub(crate) index: usize,
    pub(crate) callback: Callback,
    pub(crate) symbols: Symbols,
    pub(crate) pool: &'static Pool<Job>,
    pub(crate) complaints: Complaints,
    /// Sessions that are open.
    pub(crate) live: AtomicUsize,
    /// It has kept a gateway thread.
    blocks: AtomicBool,
}

impl Library {
    pub(crate) fn new(
        path: PathBuf,
        index: usize,
        callback: Callback,
        symbols: Symbols,
        pool: &'static Pool<Job>,
    ) -> Self {
        Self {
            path,
            index,
            callback,
            symbols,
            pool,
            complaints: Complaints::default(),
            live: AtomicUsize::new(0),
            blocks: AtomicBool::new(false),
        }
    }

    /// One that cannot say which phases it has gets the body when it asks for it.
    pub(crate) fn body_mode(&self) -> BodyMode {
        if self.symbols.has_masks() { BodyMode::Buffered } else { BodyMode::OnDemand }
    }

    /// Sessions that are open.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.live.load(Relaxed)
    }

    /// Whether it has kept a gateway thread: it is called on its own threads only, until the process ends.
    #[must_use]
    pub fn blocks(&self) -> bool {
        self.blocks.load(Relaxed)
    }

    /// A gateway thread is, or was, in it for so long.
    pub(crate) fn blocked_for(&self, time: Duration, entry: &str) {
        if time >= PROMPT && !self.blocks.swap(true, Relaxed) {
            tracing::error!(
                plugin = entry,
                file = %self.path.display(),
                milliseconds = time.as_millis(),
                "the plugin library keeps a gateway thread: from now on it is called on threads of its own, as with \
                 'executor: pool', until the gateway is restarted",
            );
        }
    }

    /// Threads that call into it.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.pool.threads()
    }

    /// What it has done that the ABI does not allow.
    #[must_use]
    pub fn complaints(&self) -> u64 {
        self.complaints.total()
    }

    /// Its file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}
