//! The contexts of the four phases.

use std::sync::{Arc, OnceLock};

use nylon_wire::{Action, Phase};
use pyo3::prelude::*;
use pyo3::types::{PyAny, PyDict, PyString, PyTuple};

use crate::call::Call;
use crate::request::Request;
use crate::response::Response;
use crate::websocket::WebSocket;
use crate::{python, reports};

/// The longest message that a WebSocket takes if its handler does not say, in bytes.
const MAX_MESSAGE: usize = 1 << 20;

/// What the contexts of all phases have.
#[pyclass(frozen, subclass, module = "nylon._core")]
pub(crate) struct PhaseContext {
    call: Arc<Call>,
    request: OnceLock<Py<Request>>,
    response: OnceLock<Py<Response>>,
    payload: OnceLock<Py<PyDict>>,
}

/// What is made when it is first asked for. Should two threads do that at once, the first one's counts: a `PyOnceLock`
/// would let go of the GIL each time to exclude it.
fn made<T>(py: Python<'_>, once: &OnceLock<Py<T>>, make: impl FnOnce() -> PyResult<Py<T>>) -> PyResult<Py<T>> {
    let found = match once.get() {
        Some(found) => found,
        None => {
            let new = make()?;
            once.get_or_init(|| new)
        }
    };
    Ok(found.clone_ref(py))
}

impl PhaseContext {
    fn next_or_end(&self, py: Python<'_>, action: Action) -> PyResult<()> {
        reports::tell(py, &self.call, self.call.terminate(action))
    }

    fn payload_value<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match &self.call.payload {
            Some(json) => python::from_json(py, json),
            None => Ok(py.None().into_bound(py)),
        }
    }
}

#[pymethods]
impl PhaseContext {
    #[getter]
    fn request(&self, py: Python<'_>) -> PyResult<Py<Request>> {
        made(py, &self.request, || Py::new(py, Request(Arc::clone(&self.call))))
    }

    #[getter]
    fn response(&self, py: Python<'_>) -> PyResult<Py<Response>> {
        made(py, &self.response, || Py::new(py, Response(Arc::clone(&self.call))))
    }

    #[getter]
    fn payload(&self, py: Python<'_>) -> PyResult<Py<PyDict>> {
        made(py, &self.payload, || {
            let value = self.payload_value(py)?;
            Ok(value.cast_into::<PyDict>().unwrap_or_else(|_| PyDict::new(py)).unbind())
        })
    }

    fn payload_as<'py>(&self, py: Python<'py>, r#type: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        python::DECODE.get(py)?.call1((r#type, self.payload_value(py)?, "the payload"))
    }

    #[getter]
    fn entry(&self) -> &str {
        self.call.entry()
    }

    #[getter]
    fn phase<'py>(&self, py: Python<'py>) -> &Bound<'py, PyString> {
        python::phase_name_py(py, self.call.phase)
    }

    #[getter]
    fn request_id(&self) -> &str {
        self.call.request_id()
    }

    #[getter]
    fn session_id(&self) -> u64 {
        self.call.session.origin.number()
    }

    #[getter]
    fn session_uid(&self) -> String {
        self.call.session.origin.uid()
    }

    #[getter]
    fn cancelled(&self) -> bool {
        self.call.cancelled()
    }

    fn next(&self, py: Python<'_>) -> PyResult<()> {
        self.next_or_end(py, Action::Next)
    }

    fn __repr__(&self) -> String {
        let phase = python::phase_name(self.call.phase);
        format!("<{phase} of {} id={}>", self.call.entry(), self.request_id())
    }
}

/// Before the service is asked. May end the request.
#[pyclass(frozen, extends = PhaseContext, module = "nylon._core")]
pub(crate) struct RequestFilterContext;

#[pymethods]
impl RequestFilterContext {
    fn end(slf: PyRef<'_, Self>) -> PyResult<()> {
        slf.as_super().next_or_end(slf.py(), Action::End)
    }

    #[pyo3(
        signature = (*, subprotocols=Vec::new(), max_message_bytes=MAX_MESSAGE, on_open=None, on_message_text=None,
            on_message_binary=None, on_close=None, on_error=None),
        text_signature = "($self, /, *, subprotocols=(), max_message_bytes=1048576, on_open=None, \
            on_message_text=None, on_message_binary=None, on_close=None, on_error=None)"
    )]
    #[allow(clippy::too_many_arguments)] // keywords of Python
    fn websocket_upgrade<'py>(
        slf: PyRef<'py, Self>,
        subprotocols: Vec<String>,
        max_message_bytes: usize,
        on_open: Option<Bound<'py, PyAny>>,
        on_message_text: Option<Bound<'py, PyAny>>,
        on_message_binary: Option<Bound<'py, PyAny>>,
        on_close: Option<Bound<'py, PyAny>>,
        on_error: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let upgraded = WebSocket::upgrade(py, &slf.as_super().call, &subprotocols, max_message_bytes)?;
        let callbacks = [on_open, on_message_text, on_message_binary, on_close, on_error];
        if callbacks.iter().all(Option::is_none) {
            return Ok(upgraded);
        }
        let drive = if python::running_loop(py)?.is_some() { &python::SERVE } else { &python::SERVE_PLAIN };
        drive.get(py)?.call1((upgraded, PyTuple::new(py, callbacks)?))
    }
}

/// When status and headers of the answer are known.
#[pyclass(frozen, extends = PhaseContext, module = "nylon._core")]
pub(crate) struct ResponseFilterContext;

/// When the complete body of the answer is known.
#[pyclass(frozen, extends = PhaseContext, module = "nylon._core")]
pub(crate) struct ResponseBodyFilterContext;

/// After the last byte. Read-only.
#[pyclass(frozen, extends = PhaseContext, module = "nylon._core")]
pub(crate) struct LoggingContext;

/// The context of this phase run.
pub(crate) fn make(py: Python<'_>, call: Arc<Call>) -> PyResult<Bound<'_, PyAny>> {
    let phase = call.phase;
    let base = PyClassInitializer::from(PhaseContext {
        call,
        request: OnceLock::new(),
        response: OnceLock::new(),
        payload: OnceLock::new(),
    });
    Ok(match phase {
        Phase::RequestFilter => Bound::new(py, base.add_subclass(RequestFilterContext))?.into_any(),
        Phase::ResponseFilter => Bound::new(py, base.add_subclass(ResponseFilterContext))?.into_any(),
        Phase::ResponseBodyFilter => Bound::new(py, base.add_subclass(ResponseBodyFilterContext))?.into_any(),
        Phase::Logging => Bound::new(py, base.add_subclass(LoggingContext))?.into_any(),
    })
}
