//! Sessions without a network: a phase is run in memory, its outcome read back as plain values. `nylon.testing` stands
//! on it.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use nylon_wire::{
    Frame, Header, Limits, OpenFields, Operation, Phase, ResponseBody, ResponseFields, ResponsePart, SessionId,
    Snapshot, SnapshotFields, encode_open,
};
use pyo3::IntoPyObjectExt;
use pyo3::exceptions::{PyTimeoutError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use crate::job::Job;
use crate::job::memory::{Run, Session};
use crate::runtime::Dispatcher;

type ResponseArguments = (u16, Vec<(String, Vec<u8>)>, u64, u64, Option<String>);

fn borrowed(pairs: &[(String, Vec<u8>)]) -> impl Iterator<Item = (&str, &[u8])> + Clone {
    pairs.iter().map(|(name, value)| (name.as_str(), value.as_slice()))
}

/// A session in memory: one request and the phases that are run on it.
#[pyclass(frozen, module = "nylon._core")]
pub(crate) struct MemorySession(Arc<Session>);

#[pymethods]
impl MemorySession {
    #[new]
    #[pyo3(signature = (entry, *, method, scheme, host, port, path, query, params, headers, client_ip, timestamp_ms,
        content_length, websocket, request_id, body, max_body))]
    #[allow(clippy::too_many_arguments)] // a request has that many parts
    fn new(
        entry: &str,
        method: &str,
        scheme: &str,
        host: &str,
        port: u16,
        path: &str,
        query: &str,
        params: Vec<(String, String)>,
        headers: Vec<(String, Vec<u8>)>,
        client_ip: &str,
        timestamp_ms: u64,
        content_length: Option<u64>,
        websocket: bool,
        request_id: &str,
        body: Vec<u8>,
        max_body: usize,
    ) -> PyResult<Self> {
        let snapshot = SnapshotFields {
            method,
            scheme,
            host,
            port,
            path,
            query,
            params: params.iter().map(|(name, value)| (name.as_str(), value.as_str())),
            headers: borrowed(&headers),
            client_ip,
            timestamp_ms,
            content_length,
            tls: scheme == "https",
            websocket,
            request_id,
        };
        let (snapshot, _) = through_the_wire(snapshot, entry, None)?;
        let body = if body.len() > max_body { Err(max_body) } else { Ok(Bytes::from(body)) };
        Ok(Self(Session::new(entry, snapshot, body)))
    }

    /// The client leaves while a phase runs.
    fn cancel(&self) {
        self.0.cancel();
    }

    #[pyo3(signature = (dispatcher, phase, *, payload=None, response=None, body=None))]
    fn run(
        &self,
        py: Python<'_>,
        dispatcher: PyRef<'_, Dispatcher>,
        phase: u64,
        payload: Option<Vec<u8>>,
        response: Option<ResponseArguments>,
        body: Option<Vec<u8>>,
    ) -> PyResult<MemoryRun> {
        let body = body.unwrap_or_default();
        let phase = Phase::from_number(phase).ok_or_else(|| PyValueError::new_err("a phase is 1 to 4"))?;
        let response = match &response {
            Some(response) => through_the_wire(self.0.snapshot.fields(), "", Some((response, body.len())))?.1,
            None => None,
        };
        let job = self.0.job(payload.map(Bytes::from), response, Bytes::from(body));
        let run = Arc::clone(&job.run);
        dispatcher.0.run(py, Job::memory(job, phase))?;
        Ok(MemoryRun(run))
    }
}

/// Encodes and decodes, as the gateway and a worker would: what cannot be said on the wire cannot be said here.
fn through_the_wire<'p, 'h, P, H>(
    snapshot: SnapshotFields<'_, P, H>,
    entry: &str,
    response: Option<(&ResponseArguments, usize)>,
) -> PyResult<(Snapshot, Option<ResponsePart>)>
where
    P: IntoIterator<Item = (&'p str, &'p str)> + Clone,
    H: IntoIterator<Item = (&'h str, &'h [u8])> + Clone,
{
    let open = OpenFields {
        reply: "",
        entry,
        phase: Phase::RequestFilter,
        remaining_ms: 0,
        mono_ms: 0,
        snapshot,
        payload: None,
        revision: None,
        credit: Limits::INITIAL_CREDIT,
        more: false,
        body: None,
        response: response.map(|((status, headers, body_bytes, duration_ms, error), length)| ResponseFields {
            status: *status,
            headers: borrowed(headers),
            body_bytes: *body_bytes,
            duration_ms: *duration_ms,
            error: error.as_deref(),
            body_length: Some(length as u64),
        }),
        ext: &nylon_wire::Ext::empty(),
    };
    let mut frame = BytesMut::new();
    let header = Header { session: SessionId::default(), ..Header::default() };
    encode_open(&mut frame, &header, &open);
    match Frame::decode(&frame.freeze()) {
        Ok(Frame::Open(open)) => Ok((open.snapshot, open.response)),
        Ok(_) => Err(PyValueError::new_err("making a session: no OPEN came out")),
        Err(error) => Err(PyValueError::new_err(format!("making a session: {error}"))),
    }
}

/// A phase that runs, or has run, in memory.
#[pyclass(frozen, module = "nylon._core")]
pub(crate) struct MemoryRun(Arc<Run>);

#[pymethods]
impl MemoryRun {
    /// Action and operations, or code, text and log id of a failure.
    fn wait<'py>(&self, py: Python<'py>, timeout: f64) -> PyResult<Bound<'py, PyAny>> {
        let timeout = Duration::try_from_secs_f64(timeout).unwrap_or(Duration::MAX);
        match py.detach(|| self.0.wait(timeout)) {
            None => Err(PyTimeoutError::new_err("waiting for the phase: it has not ended in time")),
            Some(Err(failure)) => failure.into_bound_py_any(py),
            Some(Ok((operations, action))) => {
                let operations: Vec<_> =
                    operations.iter().map(|operation| plain(py, operation)).collect::<PyResult<_>>()?;
                (action.number(), operations).into_bound_py_any(py)
            }
        }
    }
}

fn plain<'py>(py: Python<'py>, operation: &Operation) -> PyResult<Bound<'py, PyTuple>> {
    let number = operation.number().number();
    match operation {
        Operation::SetResponseHeader { name, value }
        | Operation::SetRequestHeader { name, value }
        | Operation::AddRequestHeader { name, value }
        | Operation::AddResponseHeader { name, value } => {
            (number, name.as_str(), PyBytes::new(py, value)).into_pyobject(py)
        }
        Operation::RemoveResponseHeader { name } | Operation::RemoveRequestHeader { name } => {
            (number, name.as_str()).into_pyobject(py)
        }
        Operation::SetResponseStatus(status) => (number, *status).into_pyobject(py),
        Operation::SetResponseBody(ResponseBody::Inline(body)) => (number, PyBytes::new(py, body)).into_pyobject(py),
        Operation::SetResponseBody(ResponseBody::Data { id, total }) => {
            (number, py.None(), *id, *total).into_pyobject(py)
        }
    }
}
