//! What a handler can do with a WebSocket.

use std::sync::Arc;

use bytes::Bytes;
use nylon_messaging::worker::Message;
use nylon_wire::WsOperation;
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::PyAny;

use super::{WebSocket, binary_of, message_of, next_of, room_of};
use crate::arrival::{Arrival, Doing, OnArrival};
use crate::call::Call;
use crate::python;
use crate::waiting::{self, over};

/// The header in which a client offers sub-protocols and a server names the one it takes.
const SUBPROTOCOL: &str = "sec-websocket-protocol";

impl WebSocket {
    /// Upgrades the request: the socket in plain code, an awaitable of it where an event loop runs.
    pub(crate) fn upgrade<'py>(
        py: Python<'py>,
        call: &Arc<Call>,
        subprotocols: &[String],
        max_message: usize,
    ) -> PyResult<Bound<'py, PyAny>> {
        let offers = |name: &&String| {
            call.request_headers(|headers| {
                let offered = headers.filter(|(header, _)| header.eq_ignore_ascii_case(SUBPROTOCOL));
                let mut offers = offered.flat_map(|(_, value)| value.split(|byte| *byte == b','));
                offers.any(|offer| offer.trim_ascii() == name.as_bytes())
            })
        };
        // Else what a header names, the last one if several do: the gateway takes it from nowhere but the upgrade.
        let named = || {
            call.response_headers(|headers| {
                let last = headers.filter(|(header, _)| header.eq_ignore_ascii_case(SUBPROTOCOL)).last();
                last.and_then(|(_, value)| String::from_utf8(value.to_vec()).ok())
            })
        };
        let subprotocol = subprotocols.iter().find(offers).cloned().or_else(named);
        let to_start = Arc::clone(call);
        let start = move |done: OnArrival| to_start.start_upgrade(max_message, subprotocol, done);
        waiting::result(py, &call.lane, Doing::Upgrading, start)
    }

    fn send_message<'py>(&self, py: Python<'py>, message: Message) -> PyResult<Bound<'py, PyAny>> {
        waiting::result(py, &self.lane, Doing::Sending, self.sending(message))
    }

    fn operate<'py>(&self, py: Python<'py>, operation: WsOperation) -> PyResult<Bound<'py, PyAny>> {
        waiting::result(py, &self.lane, Doing::InRoom, self.operating(operation))
    }
}

#[pymethods]
impl WebSocket {
    #[getter]
    fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    #[getter]
    fn close_code(&self) -> Option<u16> {
        Some(self.socket.closure()?.code)
    }

    #[getter]
    fn close_reason(&self) -> Option<String> {
        Some(self.socket.closure()?.reason)
    }

    #[getter]
    fn error(&self) -> Option<String> {
        self.socket.closure()?.error
    }

    fn receive<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        waiting::result(py, &self.lane, Doing::Receiving, self.receiving())
    }

    fn send<'py>(&self, py: Python<'py>, data: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.send_message(py, message_of(data)?)
    }

    fn send_text<'py>(&self, py: Python<'py>, text: &str) -> PyResult<Bound<'py, PyAny>> {
        self.send_message(py, Message::Text(Bytes::copy_from_slice(text.as_bytes())))
    }

    fn send_binary<'py>(&self, py: Python<'py>, data: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.send_message(py, Message::Binary(binary_of(data)?))
    }

    #[pyo3(signature = (code=1000, reason=""))]
    fn close<'py>(&self, py: Python<'py>, code: u16, reason: &str) -> PyResult<Bound<'py, PyAny>> {
        self.finish(code, reason)?;
        over(py, py.None().into_bound(py))
    }

    fn join<'py>(&self, py: Python<'py>, room: &str) -> PyResult<Bound<'py, PyAny>> {
        self.operate(py, WsOperation::Join { room: room_of(room)? })
    }

    fn leave<'py>(&self, py: Python<'py>, room: &str) -> PyResult<Bound<'py, PyAny>> {
        self.operate(py, WsOperation::Leave { room: room_of(room)? })
    }

    fn broadcast<'py>(&self, py: Python<'py>, room: &str, data: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let room = room_of(room)?;
        self.operate(
            py,
            match message_of(data)? {
                Message::Text(message) => WsOperation::BroadcastText { room, message },
                Message::Binary(message) => WsOperation::BroadcastBinary { room, message },
            },
        )
    }

    fn broadcast_text<'py>(&self, py: Python<'py>, room: &str, text: &str) -> PyResult<Bound<'py, PyAny>> {
        let message = Bytes::copy_from_slice(text.as_bytes());
        self.operate(py, WsOperation::BroadcastText { room: room_of(room)?, message })
    }

    fn broadcast_binary<'py>(
        &self,
        py: Python<'py>,
        room: &str,
        data: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.operate(py, WsOperation::BroadcastBinary { room: room_of(room)?, message: binary_of(data)? })
    }

    fn __iter__(slf: PyRef<'_, Self>) -> PyResult<PyRef<'_, Self>> {
        if python::running_loop(slf.py())?.is_some() {
            return Err(PyTypeError::new_err("reading the websocket: in an `async def` handler use `async for`"));
        }
        Ok(slf)
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        match waiting::wait(py, self.receiving()) {
            Ok(Arrival::Ready(socket)) => next_of(py, &socket),
            Ok(_) => Ok(None),
            Err(failure) => Err(failure.raise_while(py, Doing::Receiving.name())),
        }
    }

    fn __aiter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __anext__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let Some(running) = python::running_loop(py)? else {
            return Err(PyRuntimeError::new_err("reading the websocket: `async for` needs an event loop"));
        };
        waiting::future(&running, &self.lane, Doing::IteratingMessages, self.receiving())
    }

    fn __enter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __exit__(
        &self,
        error: &Bound<'_, PyAny>,
        _value: &Bound<'_, PyAny>,
        _trace: &Bound<'_, PyAny>,
    ) -> PyResult<bool> {
        let code = if error.is_none() { 1000 } else { 1011 };
        self.finish(code, "").map(|()| false)
    }

    fn __aenter__<'py>(slf: Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        over(py, slf.into_any())
    }

    fn __aexit__<'py>(
        &self,
        py: Python<'py>,
        error: &Bound<'py, PyAny>,
        value: &Bound<'py, PyAny>,
        trace: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.__exit__(error, value, trace)?;
        over(py, py.None().into_bound(py))
    }
}
