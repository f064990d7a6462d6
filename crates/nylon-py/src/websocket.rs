//! `WebSocket`: messages both ways, for as long as the handler runs.

use std::sync::Arc;

use bytes::Bytes;
use nylon_messaging::worker::{Message, Socket, SocketError};
use nylon_wire::{Operation, WsOperation};
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyAny, PyBytes, PyString};

use crate::arrival::{self, Arrival, Doing, OnArrival};
use crate::call::Call;
use crate::failure::Failure;
use crate::flow::over;
use crate::python;

/// The longest reason that fits into a close frame, in bytes.
const REASON: usize = 123;
/// The header in which a client offers sub-protocols and a server names the one it takes.
const SUBPROTOCOL: &str = "sec-websocket-protocol";

/// The handler's end of a WebSocket.
#[pyclass(frozen, subclass, module = "nylon._core")]
pub(crate) struct WebSocket {
    call: Arc<Call>,
    socket: Arc<Socket>,
    subprotocol: Option<String>,
}

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
    let subprotocol = subprotocols.iter().find(offers).cloned();
    let to_start = Arc::clone(call);
    let start = move |done: OnArrival| to_start.start_upgrade(max_message, subprotocol, done);
    match python::running_loop(py)? {
        None => Doing::Upgrading.value(py, arrival::wait(py, start)),
        Some(running) => arrival::future(&running, call, Doing::Upgrading, start),
    }
}

/// The sub-protocol that a header names, the last one if several do: the gateway takes it from nowhere but the upgrade.
pub(crate) fn named(operations: &[Operation]) -> Option<String> {
    let last = operations.iter().rev().find_map(|operation| {
        let (name, value) = match operation {
            Operation::SetResponseHeader { name, value } | Operation::AddResponseHeader { name, value } => {
                (name, Some(value))
            }
            Operation::RemoveResponseHeader { name } => (name, None),
            _ => return None,
        };
        name.eq_ignore_ascii_case(SUBPROTOCOL).then_some(value)
    });
    last.flatten().and_then(|value| String::from_utf8(value.to_vec()).ok())
}

impl WebSocket {
    pub(crate) fn new(call: Arc<Call>, socket: Arc<Socket>, subprotocol: Option<String>) -> Self {
        Self { call, socket, subprotocol }
    }

    fn act<'py>(
        &self,
        py: Python<'py>,
        doing: Doing,
        start: impl FnOnce(OnArrival) + Send + 'static,
    ) -> PyResult<Bound<'py, PyAny>> {
        match python::running_loop(py)? {
            None => doing.value(py, arrival::wait(py, start)),
            Some(running) => arrival::future(&running, &self.call, doing, start),
        }
    }

    fn send_message<'py>(&self, py: Python<'py>, message: Message) -> PyResult<Bound<'py, PyAny>> {
        let socket = Arc::clone(&self.socket);
        self.act(py, Doing::Sending, move |done| {
            let known = Arc::clone(&socket);
            socket.send(
                message,
                Box::new(move |sent| done(sent.map(|()| Arrival::Done).map_err(|e| failure(&known, e)))),
            );
        })
    }

    fn operate<'py>(&self, py: Python<'py>, operation: WsOperation) -> PyResult<Bound<'py, PyAny>> {
        let socket = Arc::clone(&self.socket);
        self.act(py, Doing::InRoom, move |done| {
            let known = Arc::clone(&socket);
            let done = Box::new(move |result: Result<(), SocketError>| {
                done(result.map(|()| Arrival::Done).map_err(|error| failure(&known, error)));
            });
            socket.operate(operation, done);
        })
    }

    fn next_message(&self) -> impl FnOnce(OnArrival) + Send + 'static {
        let socket = Arc::clone(&self.socket);
        move |done: OnArrival| {
            let known = Arc::clone(&socket);
            // Taken where the handler gets it: a wait that was cancelled must not swallow a message.
            let to_take = Arc::clone(&socket);
            socket.ready(Box::new(move |ready| {
                done(ready.map(|()| Arrival::Ready(to_take)).map_err(|error| failure(&known, error)));
            }));
        }
    }

    fn finish(&self, code: u16, reason: &str) -> PyResult<()> {
        if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
            let text = format!("closing the websocket: {code} is no code to close with (1000, 1001, 3000 to 4999, …)");
            return Err(PyValueError::new_err(text));
        }
        if reason.len() > REASON {
            let text = format!("closing the websocket: the reason has {} bytes, {REASON} fit", reason.len());
            return Err(PyValueError::new_err(text));
        }
        self.socket.close(code, reason);
        Ok(())
    }
}

/// Text is sent as text, everything else as bytes.
fn message_of(data: &Bound<'_, PyAny>) -> PyResult<Message> {
    let bytes = python::to_bytes(data)?;
    Ok(if data.is_instance_of::<PyString>() { Message::Text(bytes) } else { Message::Binary(bytes) })
}

fn binary_of(data: &Bound<'_, PyAny>) -> PyResult<Bytes> {
    if data.is_instance_of::<PyString>() {
        return Err(PyTypeError::new_err("sending binary: this is text; encode it, or send it as text"));
    }
    python::to_bytes(data)
}

fn room_of(room: &str) -> PyResult<nylon_wire::Text> {
    if room.is_empty() || room.contains('\0') {
        return Err(PyValueError::new_err("naming a room: the name is empty or contains a NUL"));
    }
    Ok(room.into())
}

/// The next message for Python; none at the end.
pub(crate) fn next_of<'py>(py: Python<'py>, socket: &Socket) -> PyResult<Option<Bound<'py, PyAny>>> {
    match socket.take() {
        Ok(None) => Ok(None),
        Ok(Some(Message::Binary(bytes))) => Ok(Some(PyBytes::new(py, &bytes).into_any())),
        Ok(Some(Message::Text(bytes))) => Ok(Some(PyString::from_bytes(py, &bytes)?.into_any())),
        Err(error) => Err(failure(socket, error).raise_while(py, "reading the websocket")),
    }
}

fn failure(socket: &Socket, error: SocketError) -> Failure {
    match error {
        SocketError::Closed if !socket.is_closed_here() => Failure::ClientGone,
        other => other.into(),
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
        let start = self.next_message();
        self.act(py, Doing::Receiving, start)
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
        match arrival::wait(py, self.next_message()) {
            Ok(Arrival::Ready(socket)) => next_of(py, &socket),
            arrived => Doing::Receiving.value(py, arrived).map(Some),
        }
    }

    fn __aiter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __anext__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let Some(running) = python::running_loop(py)? else {
            return Err(PyRuntimeError::new_err("reading the websocket: `async for` needs an event loop"));
        };
        arrival::future(&running, &self.call, Doing::IteratingMessages, self.next_message())
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
