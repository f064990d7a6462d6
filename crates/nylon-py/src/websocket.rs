//! `WebSocket`: messages both ways, for as long as the handler runs. What it begins is here, what waits for that in
//! `methods`.

mod methods;

use std::sync::Arc;

use bytes::Bytes;
use nylon_messaging::worker::{Message, Socket, SocketError};
use nylon_wire::WsOperation;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyAny, PyBytes, PyString};

use crate::arrival::{Arrival, OnArrival};
use crate::failure::Failure;
use crate::lane::LaneSlot;
use crate::python;

/// The longest reason that fits into a close frame, in bytes.
const REASON: usize = 123;

/// The handler's end of a WebSocket.
#[pyclass(frozen, subclass, module = "nylon._core")]
pub(crate) struct WebSocket {
    pub(crate) lane: Arc<LaneSlot>,
    pub(crate) socket: Arc<Socket>,
    pub(crate) subprotocol: Option<String>,
}

impl WebSocket {
    fn sending(&self, message: Message) -> impl FnOnce(OnArrival) + Send + 'static {
        let socket = Arc::clone(&self.socket);
        move |done| {
            let known = Arc::clone(&socket);
            let done = move |sent: Result<(), _>| done(sent.map(|()| Arrival::Done).map_err(|e| failure(&known, e)));
            socket.send(message, Box::new(done));
        }
    }

    fn operating(&self, operation: WsOperation) -> impl FnOnce(OnArrival) + Send + 'static {
        let socket = Arc::clone(&self.socket);
        move |done| {
            let known = Arc::clone(&socket);
            let done = move |told: Result<(), _>| done(told.map(|()| Arrival::Done).map_err(|e| failure(&known, e)));
            socket.operate(operation, Box::new(done));
        }
    }

    fn receiving(&self) -> impl FnOnce(OnArrival) + Send + 'static {
        let socket = Arc::clone(&self.socket);
        move |done| {
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
