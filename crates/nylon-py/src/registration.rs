//! What a handler function is given to register the callbacks of its session with.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use nylon_wire::Phase;
use pyo3::prelude::*;
use pyo3::types::PyAny;

use crate::call::Call;
use crate::lock::lock;

/// The phases of one session, as a function registers them. The last registration of a phase wins.
#[pyclass(frozen, name = "Phase", module = "nylon._core")]
pub(crate) struct Registration {
    call: Option<Arc<Call>>,
    /// None once they are taken: a callback that uses the phase it was registered with would keep both for ever.
    callbacks: Mutex<Option<Callbacks>>,
    /// Whether the body filter takes the body piece by piece.
    streams_body: AtomicBool,
}

type Callbacks = [Option<Py<PyAny>>; 4];

impl Registration {
    pub(crate) fn of(call: &Arc<Call>) -> Self {
        Self {
            call: Some(Arc::clone(call)),
            callbacks: Mutex::new(Some(Callbacks::default())),
            streams_body: AtomicBool::new(false),
        }
    }

    /// The callbacks that were registered; none the second time.
    pub(crate) fn take(&self) -> [Option<Py<PyAny>>; 4] {
        lock(&self.callbacks).take().unwrap_or_default()
    }

    fn register<'py>(&self, phase: Phase, callback: Bound<'py, PyAny>) -> Bound<'py, PyAny> {
        let registered = (!callback.is_none()).then(|| callback.clone().unbind());
        let index = usize::from(phase.number()) - 1;
        // What was there before is dropped after the lock.
        let _before =
            lock(&self.callbacks).as_mut().map(|callbacks| std::mem::replace(&mut callbacks[index], registered));
        callback
    }
}

#[pymethods]
impl Registration {
    /// Outside a session: to find out which phases a function registers.
    #[new]
    fn new() -> Self {
        Self { call: None, callbacks: Mutex::new(Some(Callbacks::default())), streams_body: AtomicBool::new(false) }
    }

    #[getter]
    fn session_id(&self) -> u64 {
        self.call.as_ref().map_or(0, |call| call.session.origin.number())
    }

    #[getter]
    fn session_uid(&self) -> String {
        self.call.as_ref().map_or_else(String::new, |call| call.session.origin.uid())
    }

    #[getter]
    fn cancelled(&self) -> bool {
        self.call.as_ref().is_some_and(|call| call.cancelled())
    }

    fn request_filter<'py>(&self, callback: Bound<'py, PyAny>) -> Bound<'py, PyAny> {
        self.register(Phase::RequestFilter, callback)
    }

    fn response_filter<'py>(&self, callback: Bound<'py, PyAny>) -> Bound<'py, PyAny> {
        self.register(Phase::ResponseFilter, callback)
    }

    fn response_body_stream<'py>(&self, callback: Bound<'py, PyAny>) -> Bound<'py, PyAny> {
        self.streams_body.store(true, Ordering::Relaxed);
        self.register(Phase::ResponseBodyFilter, callback)
    }

    fn _streams_body(&self) -> bool {
        self.streams_body.load(Ordering::Relaxed)
    }

    fn response_body_filter<'py>(&self, callback: Bound<'py, PyAny>) -> Bound<'py, PyAny> {
        self.streams_body.store(false, Ordering::Relaxed);
        self.register(Phase::ResponseBodyFilter, callback)
    }

    fn logging<'py>(&self, callback: Bound<'py, PyAny>) -> Bound<'py, PyAny> {
        self.register(Phase::Logging, callback)
    }

    fn _registered(&self) -> Vec<Option<Py<PyAny>>> {
        self.take().into()
    }
}
