//! `Request`: every reader is answered from memory, only the body may have to be fetched.

use std::fmt::Write as _;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyAny, PyDateTime, PyDict, PyTzInfo};

use crate::arrival::Which;
use crate::call::Call;
use crate::flow::{self, BodyReader};
use crate::headers::{Headers, QueryParams};
use crate::{fetch, header_list, reports};

/// The request as this entry sees it.
#[pyclass(frozen, module = "nylon._core")]
pub(crate) struct Request(pub(crate) Arc<Call>);

impl Request {
    fn snapshot(&self) -> &nylon_wire::Snapshot {
        self.0.session.snapshot()
    }
}

#[pymethods]
impl Request {
    #[getter]
    fn id(&self) -> &str {
        self.snapshot().request_id()
    }

    #[getter]
    fn method(&self) -> &str {
        self.snapshot().method()
    }

    #[getter]
    fn scheme(&self) -> &str {
        self.snapshot().scheme()
    }

    #[getter]
    fn url(&self) -> String {
        let snapshot = self.snapshot();
        let host = snapshot.host();
        let mut url = String::with_capacity(64);
        url.push_str(snapshot.scheme());
        url.push_str("://");
        if host.contains(':') && !host.starts_with('[') {
            let _ = write!(url, "[{host}]"); // a String takes everything
        } else {
            url.push_str(host);
        }
        if let Some(port) = snapshot.port().filter(|port| *port != 80 && *port != 443) {
            let _ = write!(url, ":{port}");
        }
        url.push_str(snapshot.path());
        if !snapshot.query().is_empty() {
            url.push('?');
            url.push_str(snapshot.query());
        }
        url
    }

    #[getter]
    fn path(&self) -> &str {
        match self.snapshot().path() {
            "" => "/",
            path => path,
        }
    }

    #[getter]
    fn query(&self) -> &str {
        self.snapshot().query()
    }

    #[getter]
    fn query_params(&self) -> QueryParams {
        QueryParams::new(self.snapshot().query())
    }

    #[getter]
    fn params<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let params = PyDict::new(py);
        for (name, value) in self.snapshot().params() {
            params.set_item(name, value)?;
        }
        Ok(params)
    }

    #[getter]
    fn host(&self) -> &str {
        self.snapshot().host()
    }

    #[getter]
    fn port(&self) -> Option<u16> {
        self.snapshot().port()
    }

    #[getter]
    fn client_ip(&self) -> &str {
        self.snapshot().client_ip()
    }

    #[getter]
    fn is_websocket(&self) -> bool {
        self.snapshot().websocket()
    }

    #[pyo3(signature = (name, default=None))]
    fn header<'py>(
        &self,
        py: Python<'py>,
        name: &str,
        default: Option<Bound<'py, PyAny>>,
    ) -> Option<Bound<'py, PyAny>> {
        let value = self.0.request_header(name, |value| header_list::to_python(py, value));
        value.map(Bound::into_any).or(default)
    }

    #[getter]
    fn headers(&self) -> Headers {
        Headers(Arc::clone(&self.0))
    }

    #[getter]
    fn content_length(&self) -> u64 {
        self.snapshot().content_length().unwrap_or(0)
    }

    #[getter]
    fn timestamp_ms(&self) -> u64 {
        self.snapshot().timestamp_ms()
    }

    #[getter]
    fn received_at<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDateTime>> {
        #[allow(clippy::cast_precision_loss)] // exact until the year 142000
        let seconds = self.snapshot().timestamp_ms() as f64 / 1000.0;
        PyDateTime::from_timestamp(py, seconds, Some(&*PyTzInfo::utc(py)?))
    }

    fn body<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        fetch::body(py, &self.0, Which::Request)
    }

    fn stream(&self, py: Python<'_>) -> PyResult<BodyReader> {
        flow::reader(py, &self.0, Which::Request)
    }

    fn set_header<'py>(slf: PyRef<'py, Self>, name: &str, value: &str) -> PyResult<PyRef<'py, Self>> {
        reports::tell(slf.py(), &slf.0, slf.0.set_request_header(name, value.as_bytes()))?;
        Ok(slf)
    }

    fn add_header<'py>(slf: PyRef<'py, Self>, name: &str, value: &str) -> PyResult<PyRef<'py, Self>> {
        reports::tell(slf.py(), &slf.0, slf.0.add_request_header(name, value.as_bytes()))?;
        Ok(slf)
    }

    fn remove_header<'py>(slf: PyRef<'py, Self>, name: &str) -> PyResult<PyRef<'py, Self>> {
        reports::tell(slf.py(), &slf.0, slf.0.remove_request_header(name))?;
        Ok(slf)
    }

    fn __repr__(&self) -> String {
        format!("<Request {} {} id={}>", self.method(), self.path(), self.id())
    }
}
