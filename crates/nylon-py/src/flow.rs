//! `ResponseStream` and `BodyReader`: bodies that are never in memory as a whole.

use std::sync::{Arc, OnceLock};

use nylon_wire::Outcome;
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyAny, PyBytes};

use crate::arrival::{Arrival, Doing, OnArrival, Which};
use crate::call::Call;
use crate::failure::Failure;
use crate::job::Writer;
use crate::lane::LaneSlot;
use crate::python;
use crate::reading::Reading;
use crate::waiting::{self, over};

/// The body of the answer while it is written.
#[pyclass(frozen, module = "nylon._core")]
pub(crate) struct ResponseStream {
    call: Arc<Call>,
    writer: OnceLock<Writer>,
}

impl ResponseStream {
    /// Not begun: `with` or `async with` does that.
    pub(crate) fn new(call: Arc<Call>) -> Self {
        Self { call, writer: OnceLock::new() }
    }

    /// Of a body filter, which has begun.
    pub(crate) fn begun(call: Arc<Call>, writer: Writer) -> Self {
        Self { call, writer: OnceLock::from(writer) }
    }

    fn begin(&self, py: Python<'_>) -> PyResult<()> {
        if self.writer.get().is_some() {
            return Err(PyRuntimeError::new_err("opening the stream: it has been opened before"));
        }
        let writer = self.call.start_stream().map_err(|failure| failure.raise_while(py, "opening the stream"))?;
        let _ = self.writer.set(writer); // the call gives one only once
        Ok(())
    }

    fn writer(&self) -> PyResult<&Writer> {
        let text = "writing to the stream: it is not open; use `async with ctx.response.stream() as stream:`";
        self.writer.get().ok_or_else(|| PyRuntimeError::new_err(text))
    }

    fn leave(&self, py: Python<'_>, error: &Bound<'_, PyAny>) -> PyResult<()> {
        let writer = self.writer()?;
        if !error.is_none() {
            // What it raises goes on; nobody needs a second exception.
            let _ = writer.end(Outcome::Abort);
            return Ok(());
        }
        writer.end(Outcome::Ok).map_err(|failure| failure.raise_while(py, "ending the stream"))
    }
}

#[pymethods]
impl ResponseStream {
    fn __enter__<'py>(slf: Bound<'py, Self>) -> PyResult<Bound<'py, Self>> {
        let py = slf.py();
        if python::running_loop(py)?.is_some() {
            return Err(PyTypeError::new_err("opening the stream: in an `async def` handler use `async with`"));
        }
        slf.get().begin(py)?;
        Ok(slf)
    }

    fn __exit__(
        &self,
        py: Python<'_>,
        error: Bound<'_, PyAny>,
        _value: Bound<'_, PyAny>,
        _trace: Bound<'_, PyAny>,
    ) -> PyResult<bool> {
        self.leave(py, &error).map(|()| false)
    }

    fn __aenter__<'py>(slf: Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        slf.get().begin(py)?;
        over(py, slf.into_any())
    }

    fn __aexit__<'py>(
        &self,
        py: Python<'py>,
        error: Bound<'py, PyAny>,
        _value: Bound<'py, PyAny>,
        _trace: Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.leave(py, &error)?;
        over(py, py.None().into_bound(py))
    }

    fn write<'py>(&self, py: Python<'py>, data: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let bytes = python::to_bytes(data)?;
        let writer = self.writer()?.clone();
        waiting::result(py, &self.call.lane, Doing::Writing, move |done| writer.write(bytes, done))
    }

    fn end<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.leave(py, py.None().bind(py))?;
        over(py, py.None().into_bound(py))
    }
}

/// A body while it comes.
#[pyclass(frozen, module = "nylon._core")]
pub(crate) struct BodyReader {
    lane: Arc<LaneSlot>,
    reading: Arc<Reading>,
}

impl BodyReader {
    /// The next piece, at most so long.
    fn next(&self, most: usize) -> impl FnOnce(OnArrival) + Send + 'static {
        let reading = Arc::clone(&self.reading);
        move |done: OnArrival| reading.ready(most, done)
    }
}

#[pymethods]
impl BodyReader {
    fn read<'py>(&self, py: Python<'py>, n: isize) -> PyResult<Bound<'py, PyAny>> {
        let most = usize::try_from(n).ok().filter(|most| *most > 0);
        let most = most.ok_or_else(|| PyValueError::new_err("reading the body: ask for at least one byte"))?;
        waiting::result(py, &self.lane, Doing::Reading, self.next(most))
    }

    fn __iter__(slf: PyRef<'_, Self>) -> PyResult<PyRef<'_, Self>> {
        if python::running_loop(slf.py())?.is_some() {
            return Err(PyTypeError::new_err("reading the body: in an `async def` handler use `async for`"));
        }
        Ok(slf)
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        match waiting::wait(py, self.next(usize::MAX)) {
            Ok(Arrival::Piece(reading, most)) => match reading.take(most) {
                Some(piece) => Ok(Some(PyBytes::new(py, &piece))),
                None => Err(Failure::overtaken().raise(py)),
            },
            Ok(_) => Ok(None),
            Err(failure) => Err(failure.raise(py)),
        }
    }

    fn __aiter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __anext__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let Some(running) = python::running_loop(py)? else {
            return Err(PyRuntimeError::new_err("reading the body: `async for` needs an event loop"));
        };
        waiting::future(&running, &self.lane, Doing::Iterating, self.next(usize::MAX))
    }
}

/// The reader of a body. Errors: the phase is over.
pub(crate) fn reader(py: Python<'_>, call: &Call, which: Which) -> PyResult<BodyReader> {
    let reader = call.with_job(|job| job.read(which));
    let reader = reader.ok_or_else(|| Failure::Closed.raise(py))?;
    Ok(BodyReader { lane: Arc::clone(&call.lane), reading: Reading::new(reader) })
}
