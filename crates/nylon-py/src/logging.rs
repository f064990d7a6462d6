//! Log lines of the Rust half: written by a thread of their own, so that no request waits for a terminal or a pipe.

use std::sync::{Mutex, OnceLock};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

use crate::lock::lock;

static GUARD: OnceLock<Mutex<Option<WorkerGuard>>> = OnceLock::new();

/// Writes the log lines of the Rust half to stderr, from `level` upwards. Only the first call counts.
#[pyfunction]
pub(crate) fn init_logging(py: Python<'_>, level: &str, format: &str) -> PyResult<()> {
    if !["debug", "info", "warn", "error"].contains(&level) {
        return Err(PyValueError::new_err(format!("starting the log: unknown level {level:?}")));
    }
    if !["text", "json"].contains(&format) {
        return Err(PyValueError::new_err(format!("starting the log: unknown format {format:?}")));
    }
    // The NATS client tells of every connection; our own rooms do that with more sense.
    let quiet = if level == "error" { "error" } else { "warn" };
    let filter = EnvFilter::new(format!("{level},async_nats={quiet},hyper={quiet},rustls={quiet}"));
    let (writer, guard) = NonBlockingBuilder::default().lossy(true).finish(std::io::stderr());
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(writer);
    let started = if format == "json" { log.json().flatten_event(true).try_init() } else { log.try_init() };
    if started.is_ok() {
        GUARD.get_or_init(|| Mutex::new(Some(guard)));
        // What is still queued at the end has to be written: the lines of a failing process are the ones that matter.
        py.import("atexit")?.call_method1("register", (wrap_pyfunction!(flush, py)?,))?;
    }
    Ok(())
}

#[pyfunction]
fn flush(py: Python<'_>) {
    if let Some(guard) = GUARD.get().and_then(|guard| lock(guard).take()) {
        py.detach(|| drop(guard));
    }
}
