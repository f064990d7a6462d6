//! Waiting for what the I/O thread brings: blocking in plain code, as a future where an event loop runs.

use std::sync::{Arc, Mutex, mpsc};

use pyo3::exceptions::PyStopAsyncIteration;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::arrival::{Arrival, Arrived, Doing, OnArrival};
use crate::failure::Failure;
use crate::lane::LaneSlot;
use crate::lock::lock;
use crate::python;
use crate::websocket::{self, WebSocket};

/// What Python gets for what has come.
fn value<'py>(py: Python<'py>, slot: &Arc<LaneSlot>, doing: Doing, arrived: Arrived) -> PyResult<Bound<'py, PyAny>> {
    match arrived {
        Ok(Arrival::Piece(reading, most)) => match reading.take(most) {
            Some(piece) => Ok(PyBytes::new(py, &piece).into_any()),
            None => Err(Failure::overtaken().raise_while(py, doing.name())),
        },
        Ok(Arrival::Done) => Ok(py.None().into_bound(py)),
        Ok(Arrival::Socket(socket, subprotocol)) => {
            Ok(Bound::new(py, WebSocket { lane: Arc::clone(slot), socket, subprotocol })?.into_any())
        }
        Ok(Arrival::Ready(socket)) => match websocket::next_of(py, &socket)? {
            Some(message) => Ok(message),
            None if matches!(doing, Doing::IteratingMessages) => Err(PyStopAsyncIteration::new_err(())),
            None => Ok(py.None().into_bound(py)),
        },
        Ok(Arrival::End) if matches!(doing, Doing::Iterating) => Err(PyStopAsyncIteration::new_err(())),
        Ok(Arrival::End) => Ok(PyBytes::new(py, b"").into_any()),
        Err(failure) => Err(failure.raise_while(py, doing.name())),
    }
}

/// What this gives, once it has come: in plain code the value itself, a future of it where an event loop runs.
pub(crate) fn result<'py>(
    py: Python<'py>,
    slot: &Arc<LaneSlot>,
    doing: Doing,
    start: impl FnOnce(OnArrival) + Send + 'static,
) -> PyResult<Bound<'py, PyAny>> {
    match python::running_loop(py)? {
        None => value(py, slot, doing, wait(py, start)),
        Some(running) => future(&running, slot, doing, start),
    }
}

/// What is over at once: an awaitable where an event loop runs.
pub(crate) fn over<'py>(py: Python<'py>, value: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let Some(running) = python::running_loop(py)? else { return Ok(value) };
    let future = running.call_method0(intern!(py, "create_future"))?;
    future.call_method1(intern!(py, "set_result"), (value,))?;
    Ok(future)
}

/// Waits in this thread.
pub(crate) fn wait(py: Python<'_>, start: impl FnOnce(OnArrival)) -> Arrived {
    let (sender, receiver) = mpsc::sync_channel(1);
    start(Box::new(move |arrived| {
        let _ = sender.send(arrived); // the receiver waits below
    }));
    match receiver.try_recv() {
        Ok(arrived) => arrived,
        Err(_) => py.detach(move || receiver.recv().unwrap_or(Err(Failure::Closed))),
    }
}

enum Stage {
    Starting,
    Here(Arrived),
    Later(Py<PyAny>),
}

/// A future of the loop that runs in this thread.
pub(crate) fn future<'py>(
    running: &Bound<'py, PyAny>,
    slot: &Arc<LaneSlot>,
    doing: Doing,
    start: impl FnOnce(OnArrival) + Send + 'static,
) -> PyResult<Bound<'py, PyAny>> {
    let py = running.py();
    let Some(lane) = slot.get().filter(|lane| lane.runs(running)) else {
        // A loop of the user's own in another thread: nobody here can wake it, so one of its threads waits.
        let blocking = Blocking(Mutex::new(Some(Box::new(start))), Arc::clone(slot), doing);
        return awaited(doing, python::READ_IN_THREAD.get(py)?.call1((running, blocking))?);
    };
    let stage = Arc::new(Mutex::new(Stage::Starting));
    let shared = Arc::clone(&stage);
    start(Box::new(move |arrived| {
        let mut stage = lock(&shared);
        match std::mem::replace(&mut *stage, Stage::Starting) {
            Stage::Later(future) => lane.arrived(future, doing, arrived),
            _ => *stage = Stage::Here(arrived),
        }
    }));
    let future = running.call_method0(intern!(py, "create_future"))?;
    let arrived = {
        let mut stage = lock(&stage);
        match std::mem::replace(&mut *stage, Stage::Later(future.clone().unbind())) {
            Stage::Here(arrived) => {
                *stage = Stage::Starting;
                Some(arrived)
            }
            _ => None,
        }
    };
    if let Some(arrived) = arrived {
        settle(&future, slot, doing, arrived)?;
    }
    awaited(doing, future)
}

/// What a handler awaits for this future.
fn awaited(doing: Doing, future: Bound<'_, PyAny>) -> PyResult<Bound<'_, PyAny>> {
    if doing.takes() { python::TAKEN.get(future.py())?.call1((future,)) } else { Ok(future) }
}

/// Gives a future what it waits for.
pub(crate) fn settle(future: &Bound<'_, PyAny>, slot: &Arc<LaneSlot>, doing: Doing, arrived: Arrived) -> PyResult<()> {
    let py = future.py();
    match given(py, slot, doing, arrived) {
        Ok(value) => future.call_method1(intern!(py, "set_result"), (value,))?,
        Err(error) => future.call_method1(intern!(py, "set_exception"), (error.value(py),))?,
    };
    Ok(())
}

/// The value, or what takes it.
fn given<'py>(py: Python<'py>, slot: &Arc<LaneSlot>, doing: Doing, arrived: Arrived) -> PyResult<Bound<'py, PyAny>> {
    if !doing.takes() {
        return value(py, slot, doing, arrived);
    }
    Ok(Bound::new(py, Taking(Mutex::new(Some(arrived)), Arc::clone(slot), doing))?.into_any())
}

/// Takes what has come, once.
#[pyclass(frozen, module = "nylon._core")]
struct Taking(Mutex<Option<Arrived>>, Arc<LaneSlot>, Doing);

#[pymethods]
impl Taking {
    fn __call__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let arrived = lock(&self.0).take();
        value(py, &self.1, self.2, arrived.unwrap_or(Err(Failure::Closed)))
    }
}

type Start = Box<dyn FnOnce(OnArrival) + Send>;

/// A blocking wait, to be called in a thread.
#[pyclass(frozen, module = "nylon._core")]
struct Blocking(Mutex<Option<Start>>, Arc<LaneSlot>, Doing);

#[pymethods]
impl Blocking {
    fn __call__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let start = lock(&self.0).take();
        let arrived = match start {
            Some(start) => wait(py, start),
            None => Err(Failure::Closed),
        };
        given(py, &self.1, self.2, arrived)
    }
}
