//! Waiting for what the I/O thread brings: blocking in plain code, as a future where an event loop runs.

use std::sync::{Arc, Mutex, mpsc};

use bytes::Bytes;
use nylon_messaging::worker::Socket;
use pyo3::exceptions::PyStopAsyncIteration;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::call::Call;
use crate::failure::Failure;
use crate::lock::lock;
use crate::python;
use crate::websocket::{self, WebSocket};

/// What comes.
pub(crate) enum Arrival {
    /// A piece of a body.
    Bytes(Bytes),
    /// What was asked for is done.
    Done,
    /// There are no more pieces.
    End,
    /// A message of a WebSocket, or its end, can be taken.
    Ready(Arc<Socket>),
    /// The request is a WebSocket.
    Socket(Box<WebSocket>),
}

pub(crate) type Arrived = Result<Arrival, Failure>;

/// Called once, from any thread, perhaps at once.
pub(crate) type OnArrival = Box<dyn FnOnce(Arrived) + Send>;

/// What is done meanwhile, for errors, and what its end means.
#[derive(Clone, Copy)]
pub(crate) enum Doing {
    /// Writing; gives nothing.
    Writing,
    /// Reading; gives bytes, none at the end.
    Reading,
    /// The same as a step of `async for`.
    Iterating,
    /// Upgrading to a WebSocket; gives it.
    Upgrading,
    /// Sending a message; gives nothing.
    Sending,
    /// Receiving a message; gives it, nothing at the end.
    Receiving,
    /// The same as a step of `async for`.
    IteratingMessages,
    /// Something about a room; gives nothing.
    InRoom,
}

impl Doing {
    fn name(self) -> &'static str {
        match self {
            Self::Writing => "writing to the stream",
            Self::Reading | Self::Iterating => "reading the body",
            Self::Upgrading => "upgrading to a websocket",
            Self::Sending => "sending to the websocket",
            Self::Receiving | Self::IteratingMessages => "reading the websocket",
            Self::InRoom => "speaking to a room",
        }
    }

    /// What Python gets for it.
    pub(crate) fn value(self, py: Python<'_>, arrived: Arrived) -> PyResult<Bound<'_, PyAny>> {
        match arrived {
            Ok(Arrival::Bytes(bytes)) => Ok(PyBytes::new(py, &bytes).into_any()),
            Ok(Arrival::Done) => Ok(py.None().into_bound(py)),
            Ok(Arrival::Socket(socket)) => Ok(Bound::new(py, *socket)?.into_any()),
            Ok(Arrival::Ready(socket)) => match websocket::next_of(py, &socket)? {
                Some(message) => Ok(message),
                None if matches!(self, Self::IteratingMessages) => Err(PyStopAsyncIteration::new_err(())),
                None => Ok(py.None().into_bound(py)),
            },
            Ok(Arrival::End) if matches!(self, Self::Iterating) => Err(PyStopAsyncIteration::new_err(())),
            Ok(Arrival::End) => Ok(PyBytes::new(py, b"").into_any()),
            Err(failure) => Err(failure.raise_while(py, self.name())),
        }
    }
}

/// Waits in this thread.
pub(crate) fn wait(py: Python<'_>, start: impl FnOnce(OnArrival)) -> Arrived {
    let (sender, receiver) = mpsc::sync_channel(1);
    start(Box::new(move |arrived| {
        let _ = sender.send(arrived); // the receiver waits below
    }));
    match receiver.try_recv() {
        Ok(arrived) => arrived,
        Err(_) => py.detach(move || receiver.recv().unwrap_or(Err(Failure::Closed))),
    }
}

enum Stage {
    Starting,
    Here(Arrived),
    Later(Py<PyAny>),
}

/// A future of the loop that runs in this thread.
pub(crate) fn future<'py>(
    running: &Bound<'py, PyAny>,
    call: &Arc<Call>,
    doing: Doing,
    start: impl FnOnce(OnArrival) + Send + 'static,
) -> PyResult<Bound<'py, PyAny>> {
    let py = running.py();
    let Some(lane) = call.lane.get().filter(|lane| lane.runs(running)) else {
        // A loop of the user's own in another thread: nobody here can wake it, so one of its threads waits.
        let blocking = Blocking(Mutex::new(Some(Box::new(start))), doing);
        return python::READ_IN_THREAD.get(py)?.call1((running, blocking));
    };
    let stage = Arc::new(Mutex::new(Stage::Starting));
    let shared = Arc::clone(&stage);
    start(Box::new(move |arrived| {
        let mut stage = lock(&shared);
        match std::mem::replace(&mut *stage, Stage::Starting) {
            Stage::Later(future) => lane.arrived(future, doing, arrived),
            _ => *stage = Stage::Here(arrived),
        }
    }));
    let future = running.call_method0(intern!(py, "create_future"))?;
    let here = {
        let mut stage = lock(&stage);
        match std::mem::replace(&mut *stage, Stage::Later(future.clone().unbind())) {
            Stage::Here(arrived) => {
                *stage = Stage::Starting;
                Some(arrived)
            }
            _ => None,
        }
    };
    if let Some(arrived) = here {
        settle(&future, doing, arrived)?;
    }
    Ok(future)
}

/// Gives a future what it waits for.
pub(crate) fn settle(future: &Bound<'_, PyAny>, doing: Doing, arrived: Arrived) -> PyResult<()> {
    let py = future.py();
    match doing.value(py, arrived) {
        Ok(value) => future.call_method1(intern!(py, "set_result"), (value,))?,
        Err(error) => future.call_method1(intern!(py, "set_exception"), (error.value(py),))?,
    };
    Ok(())
}

type Start = Box<dyn FnOnce(OnArrival) + Send>;

/// A blocking wait, to be called in a thread.
#[pyclass(frozen, module = "nylon._core")]
struct Blocking(Mutex<Option<Start>>, Doing);

#[pymethods]
impl Blocking {
    fn __call__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let start = lock(&self.0).take();
        let arrived = match start {
            Some(start) => wait(py, start),
            None => Err(Failure::Closed),
        };
        self.1.value(py, arrived)
    }
}
