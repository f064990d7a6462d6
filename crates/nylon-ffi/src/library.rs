//! A library that is loaded. It stays so until the process ends.

use std::{
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Mutex, Once,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
        mpsc::sync_channel,
    },
    time::{Duration, Instant},
};

use nylon_plugin::BodyMode;

use crate::{
    abi::{Callback, Symbols},
    callback::{CALLBACKS, STRAY},
    complaints::Complaints,
    load_error::LoadError,
    lock::lock,
    pool::{Job, Pool},
    table::TABLE,
};

/// How often sessions are looked for whose logging phase takes too long.
const SWEEP: Duration = Duration::from_millis(100);
/// What is called on a gateway thread returns within this, or is never called there again.
const PROMPT: Duration = Duration::from_millis(100);
/// How often a drain looks whether it is done.
const LOOK: Duration = Duration::from_millis(5);

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
    pub(crate) pool: &'static Pool,
    pub(crate) complaints: Complaints,
    /// Sessions that are open.
    pub(crate) live: AtomicUsize,
    /// It has kept a gateway thread.
    blocks: AtomicBool,
    /// The file as it was loaded.
    stamp: (u64, u64, i64, i64, u64),
}

/// Opening a library twice gives the same one, so this is of the process.
static LOADED: Mutex<Vec<&'static Library>> = Mutex::new(Vec::new());

impl Library {
    /// One that cannot say which phases it has gets the body when it asks for it.
    pub(crate) fn body_mode(&self) -> BodyMode {
        if self.symbols.has_masks() { BodyMode::Buffered } else { BodyMode::OnDemand }
    }

    /// Loads a library, or finds it among those that are.
    ///
    /// # Errors
    /// [`LoadError`]: what is wrong with it.
    pub fn load(path: &Path) -> Result<&'static Self, LoadError> {
        let path = path.canonicalize()?;
        let stamp = stamp(&path)?;
        let mut loaded = lock(&LOADED);
        if let Some(known) = loaded.iter().find(|library| library.path == path) {
            if known.stamp != stamp {
                tracing::warn!(
                    file = %path.display(),
                    "the plugin library has changed: the process goes on with the old one until it is restarted",
                );
            }
            return Ok(known);
        }
        let index = loaded.len();
        let callback = *CALLBACKS.get(index).ok_or(LoadError::TooMany(CALLBACKS.len()))?;
        let symbols = Symbols::open(&path)?;
        if symbols.go && loaded.iter().any(|library| library.symbols.go) {
            tracing::warn!(
                file = %path.display(),
                "this is not the only Go library: each brings a runtime with threads, a heap and signal handlers of \
                 its own; as workers on NATS they stay apart",
            );
        }
        let library: &'static Self = Box::leak(Box::new(Self {
            path,
            index,
            callback,
            symbols,
            pool: Pool::start()?,
            complaints: Complaints::default(),
            live: AtomicUsize::new(0),
            blocks: AtomicBool::new(false),
            stamp,
        }));
        loaded.push(library);
        sweep();
        Ok(library)
    }

    /// Hands a configuration over: JSON text. Blocks for at most `limit`.
    ///
    /// # Errors
    /// [`LoadError::Initialize`].
    pub fn initialize(&'static self, config: Option<&str>, limit: Duration) -> Result<(), LoadError> {
        let config = config.unwrap_or_default().to_owned();
        let done = self.within(limit, move |symbols| symbols.initialize(config.as_bytes()));
        if done { Ok(()) } else { Err(LoadError::Initialize(limit)) }
    }

    /// Waits until the sessions are over, then lets the library shut down. Blocks for at most `limit`; whether it
    /// has returned by then.
    pub fn shut_down(&'static self, limit: Duration) -> bool {
        let until = Instant::now() + limit;
        while self.sessions() > 0 && Instant::now() < until - limit / 2 {
            std::thread::sleep(LOOK);
        }
        self.within(until.saturating_duration_since(Instant::now()), Symbols::shutdown)
    }

    fn within(&'static self, limit: Duration, call: impl FnOnce(&'static Symbols) + Send + 'static) -> bool {
        let (sender, receiver) = sync_channel(1);
        self.pool.submit(Job::Call(Box::new(move || {
            call(&self.symbols);
            // Whoever asked may have given up waiting.
            let _ = sender.send(());
        })));
        receiver.recv_timeout(limit).is_ok()
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

/// Calls of all libraries for sessions that were over, or never theirs.
#[must_use]
pub fn stray_calls() -> u64 {
    STRAY.total()
}

fn stamp(path: &Path) -> Result<(u64, u64, i64, i64, u64), std::io::Error> {
    let file = path.metadata()?;
    Ok((file.dev(), file.ino(), file.mtime(), file.mtime_nsec(), file.len()))
}

/// Ends logging phases that take too long: nobody waits for them.
fn sweep() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        let started = std::thread::Builder::new().name("nylon-ffi-sweep".to_owned()).spawn(|| {
            loop {
                std::thread::sleep(SWEEP);
                let now = Instant::now();
                TABLE.all().iter().for_each(|session| session.expire(now));
            }
        });
        if let Err(error) = started {
            tracing::error!(%error, "starting the thread that ends forgotten sessions of plugin libraries");
        }
    });
}
