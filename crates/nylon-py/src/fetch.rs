//! Reading bodies: at once when they are here, blocking in plain code, as a future where an event loop runs.

use std::sync::{Arc, mpsc};

use bytes::Bytes;
use nylon_wire::Phase;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::arrival::{Fetched, Which};
use crate::call::Call;
use crate::failure::Failure;
use crate::python;
use crate::waiting::over;

/// The body as `bytes` in plain code, as an awaitable of `bytes` where an event loop runs in this thread.
pub(crate) fn body<'py>(py: Python<'py>, call: &Arc<Call>, which: Which) -> PyResult<Bound<'py, PyAny>> {
    if let Some(body) = known(call, which) {
        return over(py, PyBytes::new(py, &body).into_any());
    }
    let Some(running) = python::running_loop(py)? else {
        return Ok(PyBytes::new(py, &wait(py, call, which)?).into_any());
    };
    let Some(lane) = call.lane.get().filter(|lane| lane.runs(&running)) else {
        // A loop of the user's own in another thread: nobody here can wake it, so one of its threads waits.
        return python::READ_IN_THREAD.get(py)?.call1((running, Blocking(Arc::clone(call), which)));
    };
    let future = running.call_method0(intern!(py, "create_future"))?;
    let (waiting, kept) = (future.clone().unbind(), Arc::clone(call));
    start(call, which, move |fetched| {
        keep(&kept, which, &fetched);
        lane.fetched(waiting, fetched);
    })
    .map_err(|failure| failure.raise(py))?;
    Ok(future)
}

fn known(call: &Call, which: Which) -> Option<Bytes> {
    match which {
        Which::Request => call.session.body(),
        Which::Response if call.phase == Phase::ResponseBodyFilter => call.body_set().or_else(|| call.body_read()),
        Which::Response => Some(call.body_set().unwrap_or_default()),
    }
}

fn keep(call: &Call, which: Which, fetched: &Fetched) {
    match (which, fetched) {
        (Which::Request, Ok(body)) => call.session.keep_body(body),
        (Which::Response, Ok(body)) => call.keep_body(body),
        (_, Err(_)) => {}
    }
}

fn start(call: &Call, which: Which, done: impl FnOnce(Fetched) + Send + 'static) -> Result<(), Failure> {
    call.with_job(|job| job.fetch(which, Box::new(done))).ok_or(Failure::Closed)
}

fn wait(py: Python<'_>, call: &Arc<Call>, which: Which) -> PyResult<Bytes> {
    let (sender, receiver) = mpsc::sync_channel(1);
    let fetched = start(call, which, move |fetched| {
        let _ = sender.send(fetched); // the receiver waits below
    })
    .and_then(|()| py.detach(move || receiver.recv().unwrap_or(Err(Failure::Closed))));
    keep(call, which, &fetched);
    fetched.map_err(|failure| failure.raise(py))
}

/// A blocking read, to be called in a thread.
#[pyclass(frozen, module = "nylon._core")]
struct Blocking(Arc<Call>, Which);

#[pymethods]
impl Blocking {
    fn __call__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &wait(py, &self.0, self.1)?))
    }
}
