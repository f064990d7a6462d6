//! What the log is told about handlers: failures, and writes without effect. `nylon.sdk.reports` words it.

use pyo3::prelude::*;

use crate::call::{Call, Ignored};
use crate::python::{self, REPORT_FAILURE, REPORT_IGNORED};

/// A handler has raised.
pub(crate) fn failure(py: Python<'_>, call: &Call, error: &PyErr) {
    // Before Python 3.12 the stack stands beside the exception; it is put into it here, or the log would not say where.
    let raised = error.clone_ref(py).into_value(py);
    let phase = python::phase_name(call.phase);
    let told = REPORT_FAILURE.get(py).and_then(|tell| tell.call1((call.entry(), phase, call.request_id(), raised)));
    if let Err(broken) = told {
        broken.write_unraisable(py, None);
    }
}

/// A write may have had no effect (told once per entry, phase and reason).
pub(crate) fn tell(py: Python<'_>, call: &Call, written: Result<(), Ignored>) -> PyResult<()> {
    if let Err(Ignored { what, why }) = written {
        let phase = python::phase_name(call.phase);
        REPORT_IGNORED.get(py)?.call1((call.entry(), phase, what, why, call.request_id()))?;
    }
    Ok(())
}
