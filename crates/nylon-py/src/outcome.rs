//! How a phase ends: with what the handler asked for, or with the exception it raised.

use std::sync::Arc;

use bytes::Bytes;
use nylon_wire::{Action, Operation, Phase, ResponseBody, Text, failure};
use pyo3::exceptions::{PyKeyboardInterrupt, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::call::Call;
use crate::{python, reports};

/// Ends the phase as the handler has asked. Anything returned but `None` is an error: a filter that returns `False`
/// to refuse a request must not let it pass. `ours` is as in [`Call::take`].
pub(crate) fn complete(call: &Arc<Call>, ours: usize, result: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = result.py();
    if !result.is_none() {
        let text = format!(
            "{} returned a value of type {}; return nothing to go on, or `ctx.end()` to answer",
            python::phase_name(call.phase),
            result.get_type().name()?
        );
        return fail(py, call, PyTypeError::new_err(text));
    }
    call.end_filter();
    if let Some((job, operations, action)) = call.take(ours) {
        job.finish(operations, action);
    }
    Ok(())
}

/// Ends the phase with an exception: an `HttpError` is an answer, everything else a failure of the handler, logged
/// with the request's id. Errors: only a `KeyboardInterrupt`, for whoever runs the thread.
pub(crate) fn fail(py: Python<'_>, call: &Arc<Call>, error: PyErr) -> PyResult<()> {
    let cancelled = call.cancelled();
    let Some((job, operations, _)) = call.take(0) else {
        return pass_on(py, error); // told before
    };
    if cancelled {
        // Nobody waits for this phase any more; whatever the handler raised on its way out is no failure.
        job.fail(failure::HANDLER_ERROR, "cancelled", None);
        return pass_on(py, error);
    }
    match http_error(py, call, &error, operations) {
        Ok(Some((operations, action))) => {
            job.finish(operations, action);
            return Ok(());
        }
        Ok(None) => {}
        Err(broken) => broken.write_unraisable(py, None),
    }
    let too_large = python::BODY_TOO_LARGE.get(py).is_ok_and(|class| error.matches(py, class).unwrap_or(false));
    let code = if too_large { failure::BODY_TOO_LARGE } else { failure::HANDLER_ERROR };
    reports::failure(py, call, &error);
    job.fail(code, &describe(py, &error), Some(call.request_id()));
    pass_on(py, error)
}

fn pass_on(py: Python<'_>, error: PyErr) -> PyResult<()> {
    if error.is_instance_of::<PyKeyboardInterrupt>(py) { Err(error) } else { Ok(()) }
}

/// Class and text of an exception, for the gateway's log.
pub(crate) fn describe(py: Python<'_>, error: &PyErr) -> String {
    let name = error.get_type(py).name().map_or_else(|_| "exception".to_owned(), |name| name.to_string());
    match error.value(py).str() {
        Ok(text) if !text.to_string_lossy().is_empty() => format!("{name}: {}", text.to_string_lossy()),
        _ => name,
    }
}

/// The operations that an `HttpError` stands for, where the handler can still answer.
fn http_error(
    py: Python<'_>,
    call: &Call,
    error: &PyErr,
    mut operations: Vec<Operation>,
) -> PyResult<Option<(Vec<Operation>, Action)>> {
    let action = match call.phase {
        Phase::RequestFilter => Action::End,
        Phase::ResponseFilter => Action::Next,
        Phase::ResponseBodyFilter | Phase::Logging => return Ok(None),
    };
    if call.has_begun() || !error.matches(py, python::HTTP_ERROR.get(py)?)? {
        return Ok(None);
    }
    let value = error.value(py);
    let id = call.request_id();
    let status: u16 = value.getattr(intern!(py, "status"))?.extract()?;
    let body = python::to_bytes(&value.call_method1(intern!(py, "render"), (id,))?)?;
    let mut set = |name: Text, value: Bytes| operations.push(Operation::SetResponseHeader { name, value });
    set(Text::from_static("content-type"), Bytes::from_static(b"application/json"));
    set(Text::from_static("x-request-id"), Bytes::copy_from_slice(id.as_bytes()));
    for (name, value) in value.getattr(intern!(py, "headers"))?.cast::<PyDict>()? {
        let (name, value): (String, String) = (name.extract()?, value.extract()?);
        set(Text::from(name), Bytes::from(value));
    }
    operations.retain(|operation| !matches!(operation, Operation::SetResponseBody(_)));
    operations.push(Operation::SetResponseStatus(status));
    operations.push(Operation::SetResponseBody(ResponseBody::Inline(body)));
    Ok(Some((operations, action)))
}
