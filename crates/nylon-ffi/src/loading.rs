//! How libraries are loaded, get their configuration and shut down.

use std::{
    os::unix::fs::MetadataExt,
    path::Path,
    sync::{Mutex, Once, mpsc::sync_channel},
    time::{Duration, Instant},
};

use crate::{
    abi::Symbols, callback::CALLBACKS, library::Library, load_error::LoadError, lock::lock, pool::Pool, shared::Job,
    table::TABLE,
};

/// How often sessions are looked for whose logging phase takes too long.
const SWEEP: Duration = Duration::from_millis(100);
/// How often a drain looks whether it is done.
const LOOK: Duration = Duration::from_millis(5);

/// A file as it was loaded.
type Stamp = (u64, u64, i64, i64, u64);

/// Opening a library twice gives the same one, so this is of the process.
static LOADED: Mutex<Vec<(&'static Library, Stamp)>> = Mutex::new(Vec::new());

impl Library {
    /// Loads a library, or finds it among those that are.
    ///
    /// # Errors
    /// [`LoadError`]: what is wrong with it.
    pub fn load(path: &Path) -> Result<&'static Self, LoadError> {
        let path = path.canonicalize()?;
        let stamp = stamp(&path)?;
        let mut loaded = lock(&LOADED);
        if let Some(&(known, then)) = loaded.iter().find(|(library, _)| library.path() == path) {
            if then != stamp {
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
        if symbols.go && loaded.iter().any(|(library, _)| library.symbols.go) {
            tracing::warn!(
                file = %path.display(),
                "this is not the only Go library: each brings a runtime with threads, a heap and signal handlers of \
                 its own; as workers on NATS they stay apart",
            );
        }
        let library = Box::leak(Box::new(Self::new(path, index, callback, symbols, Pool::start(Job::run)?)));
        loaded.push((library, stamp));
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
}

fn stamp(path: &Path) -> Result<Stamp, std::io::Error> {
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
