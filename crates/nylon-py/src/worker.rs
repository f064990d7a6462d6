//! `Worker`: the plugin's entries on NATS. Rust threads do the network; Python's threads come here for work.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use nylon_messaging::worker::{self, EntryOptions, JobKind, Lane, Next, WorkerOptions};
use nylon_messaging::{Auth, ConnectionOptions, ConnectionState, TlsOptions};
use nylon_wire::{Action, BodyMode, PhaseMask, WorkerState, failure};
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::event_loop::EventLoopLane;
use crate::job::Job;
use crate::outcome;
use crate::runtime::{Dispatcher, Runtime};

/// A worker of a group.
#[pyclass(frozen, module = "nylon._core")]
pub(crate) struct Worker {
    worker: worker::Worker,
    runtime: Arc<Runtime>,
    on_initialize: Py<PyAny>,
    on_shutdown: Py<PyAny>,
    /// Threads that wait for work.
    idle: AtomicUsize,
}

fn duration(seconds: f64, what: &str) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds).map_err(|_| PyValueError::new_err(format!("{what} must not be negative")))
}

/// The values of a dict, each read at most once; what is left in the end is unknown.
struct Options<'py>(Bound<'py, PyDict>);

impl<'py> Options<'py> {
    fn take<T>(&self, name: &str) -> PyResult<Option<T>>
    where
        T: for<'a> FromPyObject<'a, 'py, Error: Into<PyErr>>,
    {
        let Some(value) = self.0.get_item(name)? else { return Ok(None) };
        self.0.del_item(name)?;
        if value.is_none() { Ok(None) } else { value.extract().map(Some).map_err(Into::into) }
    }

    fn auth(&self) -> PyResult<Auth> {
        let user: Option<String> = self.take("user")?;
        let password: Option<String> = self.take("password")?;
        let token: Option<String> = self.take("token")?;
        let nkey_seed: Option<String> = self.take("nkey_seed")?;
        let creds_file: Option<PathBuf> = self.take("creds_file")?;
        let given = [user.is_some(), token.is_some(), nkey_seed.is_some(), creds_file.is_some()];
        if given.iter().filter(|given| **given).count() > 1 {
            return Err(PyValueError::new_err("user, token, nkey_seed and creds_file exclude each other"));
        }
        Ok(match (user, token, nkey_seed, creds_file) {
            (Some(user), ..) => Auth::User { user, password: password.unwrap_or_default() },
            (_, Some(token), ..) => Auth::Token(token),
            (_, _, Some(seed), _) => Auth::NkeySeed(seed),
            (.., Some(path)) => Auth::CredsFile(path),
            _ => Auth::None,
        })
    }

    fn tls(&self) -> PyResult<Option<TlsOptions>> {
        let tls = TlsOptions {
            ca_file: self.take("tls_ca_file")?,
            cert_file: self.take("tls_cert_file")?,
            key_file: self.take("tls_key_file")?,
        };
        let wanted = self.take("tls")?.unwrap_or(false);
        let given = wanted || tls.ca_file.is_some() || tls.cert_file.is_some() || tls.key_file.is_some();
        Ok(given.then_some(tls))
    }

    fn read(self, group: String, entries: Vec<EntryOptions>) -> PyResult<WorkerOptions> {
        let mut options = WorkerOptions::new(group, entries);
        options.connection = ConnectionOptions {
            servers: self.take("servers")?.unwrap_or_default(),
            auth: self.auth()?,
            tls: self.tls()?,
            ..ConnectionOptions::default()
        };
        if let Some(name) = self.take("name")? {
            options.connection.name = name;
        }
        if let Some(seconds) = self.take("ping_interval")? {
            options.connection.ping_interval = duration(seconds, "ping_interval")?;
        }
        if let Some(prefix) = self.take("prefix")? {
            options.prefix = prefix;
        }
        if let Some(limit) = self.take("max_sessions")? {
            options.max_sessions = limit;
        }
        if let Some(limit) = self.take("max_body_bytes")? {
            options.max_body = limit;
        }
        if let Some(seconds) = self.take("drain_timeout")? {
            options.drain_timeout = duration(seconds, "drain_timeout")?;
        }
        if let Some(version) = self.take("version")? {
            options.version = version;
        }
        if let Some(metadata) = self.take("metadata")? {
            options.metadata = metadata;
        }
        options.initialize = self.take("initialize")?.unwrap_or(false);
        options.config = self.take::<Vec<u8>>("config")?.map(Bytes::from);
        match self.0.keys().get_item(0) {
            Ok(unknown) => Err(PyTypeError::new_err(format!("starting a worker: unknown option {unknown}"))),
            Err(_) => Ok(options),
        }
    }
}

#[pymethods]
impl Worker {
    /// Starts at once and connects in the background. Entries are (name, phase mask, mask of `async def` phases, whether
    /// the body filter takes the body piece by piece).
    #[new]
    fn new(
        dispatcher: PyRef<'_, Dispatcher>,
        group: String,
        entries: Vec<(String, u32, u32, bool)>,
        on_initialize: Py<PyAny>,
        on_shutdown: Py<PyAny>,
        options: Bound<'_, PyDict>,
    ) -> PyResult<Self> {
        let py = options.py();
        let entries = entries
            .into_iter()
            .map(|(name, phases, looped, streams_body)| EntryOptions {
                body_mode: if streams_body { BodyMode::Streaming } else { BodyMode::Buffered },
                loop_phases: PhaseMask(looped),
                ..EntryOptions::new(name, PhaseMask(phases))
            })
            .collect();
        let options = Options(options.copy()?).read(group, entries)?;
        let worker =
            py.detach(|| worker::Worker::start(options)).map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
        Ok(Self { worker, runtime: Arc::clone(&dispatcher.0), on_initialize, on_shutdown, idle: AtomicUsize::new(0) })
    }

    #[getter]
    fn id(&self) -> &str {
        self.worker.id()
    }

    /// Works in this thread until the worker has ended. `grow` is called when no other thread waits for work, until it
    /// says that there will be no more.
    fn serve(&self, py: Python<'_>, grow: Bound<'_, PyAny>) -> PyResult<()> {
        let mut may_grow = true;
        loop {
            // With something queued the lock stays ours: a trivial handler costs no hand-over.
            let job = match self.worker.next_now(Lane::Threads) {
                Some(job) => job,
                None => {
                    self.idle.fetch_add(1, Ordering::AcqRel);
                    let next = py.detach(|| self.worker.next(Lane::Threads, None));
                    self.idle.fetch_sub(1, Ordering::AcqRel);
                    match next {
                        Next::Job(job) => job,
                        Next::TimedOut => continue,
                        Next::Closed => return Ok(()),
                    }
                }
            };
            if may_grow && self.idle.load(Ordering::Acquire) == 0 {
                may_grow = grow.call0()?.is_truthy()?;
            }
            match Job::of(job) {
                Ok(job) => {
                    if let Err(interrupt) = self.runtime.run(py, job) {
                        interrupt.write_unraisable(py, None);
                    }
                }
                Err(job) => self.lifecycle(py, job),
            }
        }
    }

    /// Gives the jobs of `async def` handlers to an event loop.
    fn attach(&self, lane: PyRef<'_, EventLoopLane>) {
        lane.serve(&self.worker);
    }

    /// Begins to end: no new sessions, running ones may finish.
    fn drain(&self) {
        self.worker.drain();
    }

    /// Whether the worker has ended within so many seconds (for ever if none).
    #[pyo3(signature = (timeout=None))]
    fn wait_drained(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        let limit = timeout.map(|seconds| duration(seconds, "timeout")).transpose()?;
        Ok(py.detach(|| self.worker.wait_drained(limit)))
    }

    /// The connection to NATS: connecting, connected, disconnected or closed.
    #[getter]
    fn connection(&self) -> &'static str {
        match self.worker.state().connection {
            ConnectionState::Connecting => "connecting",
            ConnectionState::Connected => "connected",
            ConnectionState::Disconnected => "disconnected",
            ConnectionState::Closed => "closed",
        }
    }

    /// The configuration: ready, initializing, failed, or failed_keeping_old.
    #[getter]
    fn config_state(&self) -> &'static str {
        match self.worker.state().config {
            WorkerState::Ready => "ready",
            WorkerState::Initializing => "initializing",
            WorkerState::FailedFirst => "failed",
            WorkerState::FailedKeepingOld => "failed_keeping_old",
        }
    }

    #[getter]
    fn ready(&self) -> bool {
        self.worker.state().ready()
    }

    #[getter]
    fn drained(&self) -> bool {
        self.worker.drained()
    }

    /// Counters and gauges.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let (stats, values) = (self.worker.stats(), PyDict::new(py));
        let counts = &stats.counts;
        for (name, value) in [
            ("opens", counts.opens),
            ("phases", counts.phases),
            ("results", counts.results),
            ("errors", counts.errors),
            ("late", counts.late),
            ("accepts", counts.accepts),
            ("busy_full", counts.busy_full),
            ("busy_draining", counts.busy_draining),
            ("busy_initializing", counts.busy_initializing),
            ("expired", counts.expired),
            ("timeouts", counts.timeouts),
            ("aborted", counts.aborted),
            ("gateway_lost", counts.gateway_lost),
            ("gaps", counts.gaps),
            ("protocol", counts.protocol),
            ("fetches", counts.fetches),
            ("initialized", counts.initialized),
            ("initialize_failed", counts.initialize_failed),
            ("sessions", stats.sessions as u64),
            ("active", stats.active as u64),
            ("queued", stats.queued as u64),
            ("connects", stats.connects),
            ("slow_consumers", stats.slow_consumers),
        ] {
            values.set_item(name, value)?;
        }
        Ok(values)
    }
}

impl Worker {
    fn lifecycle(&self, py: Python<'_>, job: worker::Job) {
        let called = match job.kind() {
            JobKind::Initialize { config, .. } => self.on_initialize.call1(py, (PyBytes::new(py, config),)),
            JobKind::Shutdown => self.on_shutdown.call0(py),
            JobKind::Phase(_) => return, // no session: dropping it answers
        };
        match called {
            Ok(_) => job.finish(Vec::new(), Action::Next),
            Err(error) => job.fail(failure::INIT_FAILED, outcome::describe(py, &error), None),
        }
    }
}
