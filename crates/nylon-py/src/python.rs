//! What this module borrows from Python: functions of the standard library and of `nylon.sdk`, looked up once.

use bytes::Bytes;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyString};

/// A function or class of a Python module, kept after the first look-up.
pub(crate) struct Borrowed {
    module: &'static str,
    name: &'static str,
    found: PyOnceLock<Py<PyAny>>,
}

impl Borrowed {
    const fn new(module: &'static str, name: &'static str) -> Self {
        Self { module, name, found: PyOnceLock::new() }
    }

    /// The object itself. Errors: the module does not import, or has no such name.
    pub(crate) fn get<'py>(&self, py: Python<'py>) -> PyResult<&Bound<'py, PyAny>> {
        self.found.import(py, self.module, self.name)
    }
}

pub(crate) static JSON_LOADS: Borrowed = Borrowed::new("json", "loads");
pub(crate) static RUNNING_LOOP: Borrowed = Borrowed::new("asyncio", "_get_running_loop");
pub(crate) static JSON_ENCODE: Borrowed = Borrowed::new("nylon.sdk.decoding", "encode");
pub(crate) static DECODE: Borrowed = Borrowed::new("nylon.sdk.decoding", "decode");
pub(crate) static HTTP_ERROR: Borrowed = Borrowed::new("nylon.sdk.errors", "HttpError");
pub(crate) static BODY_TOO_LARGE: Borrowed = Borrowed::new("nylon.sdk.errors", "BodyTooLargeError");
pub(crate) static CLIENT_GONE: Borrowed = Borrowed::new("nylon.sdk.errors", "ClientGoneError");
pub(crate) static PHASE_TIMEOUT: Borrowed = Borrowed::new("nylon.sdk.errors", "PhaseTimeoutError");
pub(crate) static SESSION_CLOSED: Borrowed = Borrowed::new("nylon.sdk.errors", "SessionClosedError");
pub(crate) static SHUTTING_DOWN: Borrowed = Borrowed::new("nylon.sdk.errors", "ShuttingDownError");
pub(crate) static NOT_WEBSOCKET: Borrowed = Borrowed::new("nylon.sdk.errors", "NotWebSocketError");
pub(crate) static PLUGIN_ERROR: Borrowed = Borrowed::new("nylon.sdk.errors", "PluginError");
pub(crate) static SERVE: Borrowed = Borrowed::new("nylon.sdk.websocket", "serve");
pub(crate) static SERVE_PLAIN: Borrowed = Borrowed::new("nylon.sdk.websocket", "serve_plain");
pub(crate) static COROUTINE: Borrowed = Borrowed::new("types", "CoroutineType");
pub(crate) static SET_CURRENT: Borrowed = Borrowed::new("nylon.sdk.running", "set_current");
pub(crate) static READ_IN_THREAD: Borrowed = Borrowed::new("nylon.sdk.running", "read_in_thread");
pub(crate) static TAKEN: Borrowed = Borrowed::new("nylon.sdk.running", "taken");
pub(crate) static REPORT_FAILURE: Borrowed = Borrowed::new("nylon.sdk.reports", "failure");
pub(crate) static REPORT_IGNORED: Borrowed = Borrowed::new("nylon.sdk.reports", "ignored");

/// The event loop that runs in this thread, if one does.
pub(crate) fn running_loop(py: Python<'_>) -> PyResult<Option<Bound<'_, PyAny>>> {
    let found = RUNNING_LOOP.get(py)?.call0()?;
    Ok((!found.is_none()).then_some(found))
}

/// JSON text as Python values. Errors: it is no JSON.
pub(crate) fn from_json<'py>(py: Python<'py>, json: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    match std::str::from_utf8(json) {
        Ok(text) => JSON_LOADS.get(py)?.call1((text,)),
        Err(_) => JSON_LOADS.get(py)?.call1((PyBytes::new(py, json),)),
    }
}

/// Any bytes-like object or text as bytes of our own.
pub(crate) fn to_bytes(value: &Bound<'_, PyAny>) -> PyResult<Bytes> {
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(Bytes::copy_from_slice(bytes.as_bytes()));
    }
    if let Ok(text) = value.cast::<PyString>() {
        return Ok(Bytes::copy_from_slice(text.to_cow()?.as_bytes()));
    }
    let py = value.py();
    let copy = py.get_type::<PyBytes>().call1((py.get_type::<pyo3::types::PyMemoryView>().call1((value,))?,))?;
    Ok(Bytes::copy_from_slice(copy.cast::<PyBytes>()?.as_bytes()))
}

/// Name of a phase in Python, logs and configuration; also the name of its method.
pub(crate) fn phase_name(phase: nylon_wire::Phase) -> &'static str {
    match phase {
        nylon_wire::Phase::RequestFilter => "request_filter",
        nylon_wire::Phase::ResponseFilter => "response_filter",
        nylon_wire::Phase::ResponseBodyFilter => "response_body_filter",
        nylon_wire::Phase::Logging => "logging",
    }
}

/// The same as a Python string that is made once.
pub(crate) fn phase_name_py(py: Python<'_>, phase: nylon_wire::Phase) -> &Bound<'_, PyString> {
    match phase {
        nylon_wire::Phase::RequestFilter => intern!(py, "request_filter"),
        nylon_wire::Phase::ResponseFilter => intern!(py, "response_filter"),
        nylon_wire::Phase::ResponseBodyFilter => intern!(py, "response_body_filter"),
        nylon_wire::Phase::Logging => intern!(py, "logging"),
    }
}
