//! What a handler function is given to register the callbacks of its session with.

use std::sync::{Arc, Mutex};

use nylon_wire::Phase;
use pyo3::prelude::*;
use pyo3::types::PyAny;

use crate::call::{Call, lock};

/// The phases of one session, as a function registers them. The last registration of a phase wins.
#[pyclass(frozen, name = "Phase", module = "nylon._core")]
pub(crate) struct Registration {
    call: Option<Arc<Call>>,
    callbacks: Mutex<[Option<Py<PyAny>>; 4]>,
}

impl Registration {
    pub(crate) fn of(call: &Arc<Call>) -> Self {
        Self { call: Some(Arc::clone(call)), callbacks: Mutex::default() }
    }

    /// The callbacks that were registered.
    pub(crate) fn take(&self, py: Python<'_>) -> [Option<Py<PyAny>>; 4] {
        let callbacks = lock(&self.callbacks);
        std::array::from_fn(|index| callbacks[index].as_ref().map(|callback| callback.clone_ref(py)))
    }

    fn register<'py>(&self, phase: Phase, callback: Bound<'py, PyAny>) -> Bound<'py, PyAny> {
        let registered = (!callback.is_none()).then(|| callback.clone().unbind());
        let index = usize::from(phase.number()) - 1;
        let _before = std::mem::replace(&mut lock(&self.callbacks)[index], registered);
        callback
    }
}

#[pymethods]
impl Registration {
    /// Outside a session: to find out which phases a function registers.
    #[new]
    fn new() -> Self {
        Self { call: None, callbacks: Mutex::default() }
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

    fn response_body_filter<'py>(&self, callback: Bound<'py, PyAny>) -> Bound<'py, PyAny> {
        self.register(Phase::ResponseBodyFilter, callback)
    }

    fn logging<'py>(&self, callback: Bound<'py, PyAny>) -> Bound<'py, PyAny> {
        self.register(Phase::Logging, callback)
    }

    fn _registered(&self, py: Python<'_>) -> Vec<Option<Py<PyAny>>> {
        self.take(py).into()
    }
}
