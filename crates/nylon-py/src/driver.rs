//! What a handler's task runs: the handler's coroutine, stepped from here, so that its end costs no Python code.
//!
//! To asyncio it is a coroutine like any other. Whatever the handler raises ends its phase and never the event loop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::exceptions::PyStopIteration;
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyAny, PyTuple};

use crate::call::Call;
use crate::job::Work;
use crate::lane::Lane;
use crate::{outcome, python};

/// A handler's coroutine together with the phase that it runs.
#[pyclass(frozen, module = "nylon._core")]
pub(crate) struct Driver {
    call: Arc<Call>,
    coroutine: Py<PyAny>,
    started: AtomicBool,
}

/// References to a call while its task runs: the driver's.
const OURS: usize = 1;

/// Starts a task for what a handler has returned. In the loop's thread only.
pub(crate) fn start(lane: &Arc<Lane>, call: &Arc<Call>, awaitable: Bound<'_, PyAny>) -> PyResult<()> {
    let py = awaitable.py();
    let driver = Bound::new(py, Driver::new(Arc::clone(call), awaitable)?)?;
    let id = lane.create_task(driver.into_any())?;
    if !call.runs_in(lane, id) {
        lane.forget(id); // a loop that begins its tasks at once
    }
    Ok(())
}

enum Step<'py> {
    Yielded(Bound<'py, PyAny>),
    Returned(Bound<'py, PyAny>),
}

impl Driver {
    /// Drives an awaitable. Errors: it is none.
    fn new(call: Arc<Call>, awaitable: Bound<'_, PyAny>) -> PyResult<Self> {
        let py = awaitable.py();
        let is_coroutine = awaitable.get_type().is(python::COROUTINE.get(py)?);
        let coroutine = if is_coroutine { awaitable } else { awaitable.call_method0(intern!(py, "__await__"))? };
        Ok(Self { call, coroutine: coroutine.unbind(), started: AtomicBool::new(false) })
    }

    fn step<'py>(&self, value: &Bound<'py, PyAny>) -> PyResult<Step<'py>> {
        let py = value.py();
        if !self.started.load(Ordering::Relaxed) {
            self.started.store(true, Ordering::Relaxed); // a task takes one step at a time
            let _over = self.call.with_job(Work::begins);
            // Inside the task, so it is seen by what the handler starts, and by nobody else.
            python::SET_CURRENT.get(py)?.call1((self.call.request_id(),))?;
        }
        let mut result = std::ptr::null_mut();
        // SAFETY: both are live objects, the thread is attached, and `result` is written unless an error is set.
        let sent = unsafe { ffi::PyIter_Send(self.coroutine.as_ptr(), value.as_ptr(), &raw mut result) };
        if sent == ffi::PySendResult::PYGEN_ERROR {
            return Err(PyErr::fetch(py));
        }
        // SAFETY: without an error the result is a reference that is ours.
        let result = unsafe { Bound::from_owned_ptr(py, result) };
        Ok(if sent == ffi::PySendResult::PYGEN_RETURN { Step::Returned(result) } else { Step::Yielded(result) })
    }

    /// What asyncio gets: something to wait for, or the end.
    fn settle<'py>(&self, py: Python<'py>, step: PyResult<Step<'py>>) -> PyResult<Option<Bound<'py, PyAny>>> {
        match step {
            Ok(Step::Yielded(awaited)) => Ok(Some(awaited)),
            Ok(Step::Returned(value)) => outcome::complete(&self.call, OURS, &value).map(|()| None),
            Err(error) => outcome::fail(py, &self.call, error).map(|()| None),
        }
    }
}

fn or_stop(settled: Option<Bound<'_, PyAny>>) -> PyResult<Bound<'_, PyAny>> {
    settled.ok_or_else(|| PyStopIteration::new_err(()))
}

#[pymethods]
impl Driver {
    fn __await__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.settle(py, self.step(py.None().bind(py)))
    }

    fn send<'py>(&self, value: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        or_stop(self.settle(value.py(), self.step(&value))?)
    }

    /// Mostly a cancellation.
    #[pyo3(signature = (*error))]
    fn throw<'py>(&self, error: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
        let py = error.py();
        let step = match self.coroutine.bind(py).call_method1(intern!(py, "throw"), error) {
            Ok(awaited) => Ok(Step::Yielded(awaited)),
            Err(stopped) if stopped.is_instance_of::<PyStopIteration>(py) => {
                stopped.value(py).getattr(intern!(py, "value")).map(Step::Returned)
            }
            Err(error) => Err(error),
        };
        or_stop(self.settle(py, step)?)
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.coroutine.call_method0(py, intern!(py, "close")).map(drop)
    }

    /// Names and frames, for debuggers and for asyncio's own messages.
    fn __getattr__<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        self.coroutine.bind(py).getattr(name)
    }
}
