//! `Gateway`: the data plane. Snapshots go down, addresses and counters come up; no Python on the path of a request.

use std::{
    cell::Cell,
    collections::HashMap,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use nylon_proxy::{Group, StartError, Starting, Transports};
use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;

use crate::lock::lock;

/// The data plane of one process.
#[pyclass(frozen, module = "nylon._core")]
pub(crate) struct Gateway {
    source: Arc<Transports>,
    state: Mutex<State>,
}

enum State {
    New(Vec<u8>),
    Running(Arc<nylon_proxy::Gateway>),
    Stopped,
}

impl Gateway {
    fn running(&self) -> PyResult<Arc<nylon_proxy::Gateway>> {
        match &*lock(&self.state) {
            State::Running(gateway) => Ok(Arc::clone(gateway)),
            State::New(_) => Err(PyRuntimeError::new_err("using the gateway: it has not been started")),
            State::Stopped => Err(PyRuntimeError::new_err("using the gateway: it has been stopped")),
        }
    }
}

fn exception(error: StartError) -> PyErr {
    match error {
        StartError::Bind { address, cause } => {
            let text = format!("{address}: {}", plain(&cause));
            match cause.raw_os_error() {
                Some(number) => PyOSError::new_err((number, text)),
                None => PyOSError::new_err(text),
            }
        }
        StartError::Thread(cause) => PyOSError::new_err(format!("starting a thread: {cause}")),
        StartError::ShuttingDown => PyRuntimeError::new_err(error.to_string()),
        StartError::Snapshot(_) | StartError::Plugins(_) => PyValueError::new_err(error.to_string()),
    }
}

/// Does what has to wait for workers. `expected` is asked meanwhile, so signals are handled; what it raises counts.
fn with<T>(
    groups: Vec<(String, String, usize)>,
    expected: Option<&Py<PyAny>>,
    act: impl FnOnce(&Starting<'_>) -> Result<T, StartError>,
) -> PyResult<T> {
    let groups: Vec<_> = groups.into_iter().map(|(messaging, name, count)| Group { messaging, name, count }).collect();
    let raised = Cell::new(None);
    let expected = || {
        let Some(expected) = expected else { return true };
        Python::attach(|py| expected.bind(py).call0()?.is_truthy()).unwrap_or_else(|error| {
            raised.set(Some(error));
            false
        })
    };
    let done = act(&Starting { groups: &groups, expected: &expected });
    raised.take().map_or_else(|| done.map_err(exception), Err)
}

/// What the system says, without the number that `OSError` adds itself.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

#[pymethods]
impl Gateway {
    #[new]
    fn new(py: Python<'_>, snapshot_json: &[u8]) -> PyResult<Self> {
        let source = Arc::new(Transports::default());
        py.detach(|| nylon_proxy::Gateway::check(snapshot_json, &*source)).map_err(exception)?;
        Ok(Self { source, state: Mutex::new(State::New(snapshot_json.to_vec())) })
    }

    #[pyo3(signature = (starting=Vec::new(), expected=None))]
    fn start(
        &self,
        py: Python<'_>,
        starting: Vec<(String, String, usize)>,
        expected: Option<Py<PyAny>>,
    ) -> PyResult<()> {
        py.detach(|| {
            let mut state = lock(&self.state);
            let State::New(snapshot) = &*state else {
                return Err(PyRuntimeError::new_err("starting the gateway: it has been started before"));
            };
            let start = |starting: &Starting<'_>| {
                nylon_proxy::Gateway::start_with(snapshot, Arc::clone(&self.source) as _, starting)
            };
            *state = State::Running(Arc::new(with(starting, expected.as_ref(), start)?));
            Ok(())
        })
    }

    fn addresses(&self) -> PyResult<HashMap<&'static str, Vec<String>>> {
        let gateway = self.running()?;
        let text = |addresses: Vec<std::net::SocketAddr>| addresses.iter().map(ToString::to_string).collect();
        Ok(HashMap::from([("http", text(gateway.addresses())), ("admin", text(gateway.admin_addresses()))]))
    }

    #[pyo3(signature = (snapshot_json, starting=Vec::new(), expected=None))]
    fn reload(
        &self,
        py: Python<'_>,
        snapshot_json: &[u8],
        starting: Vec<(String, String, usize)>,
        expected: Option<Py<PyAny>>,
    ) -> PyResult<()> {
        let gateway = self.running()?;
        py.detach(|| with(starting, expected.as_ref(), |starting| gateway.reload_with(snapshot_json, starting)))
    }

    fn drain(&self, py: Python<'_>, timeout_ms: u64) -> PyResult<bool> {
        let gateway = self.running()?;
        Ok(py.detach(|| gateway.drain(Duration::from_millis(timeout_ms))))
    }

    fn stop(&self, py: Python<'_>) {
        py.detach(|| {
            let before = std::mem::replace(&mut *lock(&self.state), State::Stopped);
            if let State::Running(gateway) = before {
                gateway.stop();
            }
        });
    }

    fn metrics(&self, py: Python<'_>) -> PyResult<String> {
        let gateway = self.running()?;
        Ok(py.detach(|| gateway.metrics()))
    }

    fn ready(&self) -> PyResult<bool> {
        Ok(self.running()?.ready())
    }
}
