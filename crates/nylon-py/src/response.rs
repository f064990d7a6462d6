//! `Response`: what the handler asks for is collected and sent in one answer; readers see it at once.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyAny, PyDelta};

use crate::arrival::Which;
use crate::call::Call;
use crate::flow::ResponseStream;
use crate::headers::ResponseHeaders;
use crate::{fetch, header_list, python, reports};

/// The response as it stands now.
#[pyclass(frozen, module = "nylon._core")]
pub(crate) struct Response(pub(crate) Arc<Call>);

#[pymethods]
impl Response {
    #[getter]
    fn status(&self) -> u16 {
        self.0.status()
    }

    #[setter(status)]
    fn assign_status(&self, py: Python<'_>, status: u16) -> PyResult<()> {
        reports::tell(py, &self.0, self.0.set_status(status))
    }

    fn set_status(slf: PyRef<'_, Self>, status: u16) -> PyResult<PyRef<'_, Self>> {
        reports::tell(slf.py(), &slf.0, slf.0.set_status(status))?;
        Ok(slf)
    }

    #[getter]
    fn headers(&self) -> ResponseHeaders {
        ResponseHeaders(Arc::clone(&self.0))
    }

    #[pyo3(signature = (name, default=None))]
    fn header<'py>(
        &self,
        py: Python<'py>,
        name: &str,
        default: Option<Bound<'py, PyAny>>,
    ) -> Option<Bound<'py, PyAny>> {
        let value = self.0.response_headers(|headers| {
            header_list::first_raw(headers, name).map(|value| header_list::to_python(py, value))
        });
        value.map(Bound::into_any).or(default)
    }

    fn set_header<'py>(slf: PyRef<'py, Self>, name: &str, value: &str) -> PyResult<PyRef<'py, Self>> {
        reports::tell(slf.py(), &slf.0, slf.0.set_header(name, value.as_bytes()))?;
        Ok(slf)
    }

    fn add_header<'py>(slf: PyRef<'py, Self>, name: &str, value: &str) -> PyResult<PyRef<'py, Self>> {
        reports::tell(slf.py(), &slf.0, slf.0.add_header(name, value.as_bytes()))?;
        Ok(slf)
    }

    fn remove_header<'py>(slf: PyRef<'py, Self>, name: &str) -> PyResult<PyRef<'py, Self>> {
        reports::tell(slf.py(), &slf.0, slf.0.remove_header(name))?;
        Ok(slf)
    }

    fn body_raw<'py>(slf: PyRef<'py, Self>, body: &Bound<'py, PyAny>) -> PyResult<PyRef<'py, Self>> {
        let body = python::to_bytes(body)?;
        reports::tell(slf.py(), &slf.0, slf.0.set_body(None, body))?;
        Ok(slf)
    }

    fn body_text<'py>(slf: PyRef<'py, Self>, text: &str) -> PyResult<PyRef<'py, Self>> {
        let body = bytes::Bytes::copy_from_slice(text.as_bytes());
        reports::tell(slf.py(), &slf.0, slf.0.set_body(Some("text/plain; charset=utf-8"), body))?;
        Ok(slf)
    }

    fn body_html<'py>(slf: PyRef<'py, Self>, html: &str) -> PyResult<PyRef<'py, Self>> {
        let body = bytes::Bytes::copy_from_slice(html.as_bytes());
        reports::tell(slf.py(), &slf.0, slf.0.set_body(Some("text/html; charset=utf-8"), body))?;
        Ok(slf)
    }

    fn body_json<'py>(slf: PyRef<'py, Self>, value: &Bound<'py, PyAny>) -> PyResult<PyRef<'py, Self>> {
        let py = slf.py();
        let body = python::to_bytes(&python::JSON_ENCODE.get(py)?.call1((value,))?)?;
        reports::tell(py, &slf.0, slf.0.set_body(Some("application/json"), body))?;
        Ok(slf)
    }

    #[pyo3(signature = (url, code=302))]
    fn redirect<'py>(slf: PyRef<'py, Self>, url: &str, code: u16) -> PyResult<PyRef<'py, Self>> {
        let py = slf.py();
        reports::tell(py, &slf.0, slf.0.set_status(code))?;
        reports::tell(py, &slf.0, slf.0.set_header("location", url.as_bytes()))?;
        reports::tell(py, &slf.0, slf.0.set_body(None, bytes::Bytes::new()))?;
        Ok(slf)
    }

    fn stream(&self) -> ResponseStream {
        ResponseStream::new(Arc::clone(&self.0))
    }

    fn read_body<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        fetch::body(py, &self.0, Which::Response)
    }

    #[getter]
    fn bytes_sent(&self) -> u64 {
        self.0.bytes_sent()
    }

    #[getter]
    fn duration_ms(&self) -> u64 {
        self.0.duration_ms()
    }

    #[getter]
    fn duration<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDelta>> {
        let ms = self.0.duration_ms();
        let days = i32::try_from(ms / 86_400_000).unwrap_or(999_999_999);
        let rest = i32::try_from(ms % 86_400_000).unwrap_or_default();
        PyDelta::new(py, days, rest / 1000, rest % 1000 * 1000, false)
    }

    #[getter]
    fn error(&self) -> Option<&str> {
        self.0.given.as_ref().and_then(nylon_wire::ResponsePart::error)
    }

    fn __repr__(&self) -> String {
        format!("<Response {} id={}>", self.status(), self.0.request_id())
    }
}
