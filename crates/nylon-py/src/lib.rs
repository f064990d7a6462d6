//! The extension module nylon._core: few classes, plain values in and out. Only user of PyO3.
//!
//! Each file needs only those of its own line and of the lines above it:
//!
//! - plain: `allocator`, `lock`, `form`, `header_list`, `python`, `failure`, `arrival`, `reading`, `job`
//! - a phase that runs: `call` and the `lane` of its event loop, which hold each other, `reports`, `outcome`, `driver`
//! - what a handler is given: `waiting`, `fetch`, `flow`, `websocket`, `headers`, `request`, `response`, `context`,
//!   `registration`
//! - what runs handlers: `runtime`, `event_loop`
//! - what Python starts: `memory`, `worker`, `gateway`, `logging`

#![allow(unsafe_code)] // what the PyO3 macros expand to
#![allow(missing_docs)] // documented in python/nylon/_core.pyi, where its users look

mod allocator;
mod arrival;
mod call;
mod context;
mod driver;
mod event_loop;
mod failure;
mod fetch;
mod flow;
mod form;
mod gateway;
mod header_list;
mod headers;
mod job;
mod lane;
mod lock;
mod logging;
mod memory;
mod outcome;
mod python;
mod reading;
mod registration;
mod reports;
mod request;
mod response;
mod runtime;
mod waiting;
mod websocket;
mod worker;

use pyo3::prelude::*;

/// Everything shared in here is behind a lock or atomic, and no state is global but look-ups: no GIL is needed for it.
#[pymodule(gil_used = false)]
mod _core {
    use super::*;

    #[pymodule_export]
    use super::context::{
        LoggingContext, PhaseContext, RequestFilterContext, ResponseBodyFilterContext, ResponseFilterContext,
    };
    #[pymodule_export]
    use super::event_loop::EventLoopLane;
    #[pymodule_export]
    use super::flow::{BodyReader, ResponseStream};
    #[pymodule_export]
    use super::gateway::Gateway;
    #[pymodule_export]
    use super::headers::{Headers, QueryParams, ResponseHeaders};
    #[pymodule_export]
    use super::logging::init_logging;
    #[pymodule_export]
    use super::memory::{MemoryRun, MemorySession};
    #[pymodule_export]
    use super::registration::Registration;
    #[pymodule_export]
    use super::request::Request;
    #[pymodule_export]
    use super::response::Response;
    #[pymodule_export]
    use super::runtime::Dispatcher;
    #[pymodule_export]
    use super::websocket::WebSocket;
    #[pymodule_export]
    use super::worker::Worker;

    /// What is wrong with the templates in a text.
    #[pyfunction]
    fn template_problem(text: &str) -> Option<String> {
        nylon_routing::Template::parse(text).err().map(|error| error.to_string())
    }

    /// Where and why a payload is none of the built-in of that name.
    #[pyfunction]
    fn modifier_problem(name: &str, payload: &str) -> Option<String> {
        nylon_routing::Modifier::check(name, payload).err()
    }

    /// Id of the request whose `def` handler runs in this thread.
    #[pyfunction]
    fn current_request_id() -> Option<String> {
        super::runtime::current_request_id()
    }

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        // What is public is said by the stub and by `nylon.__all__`.
        module.delattr("__all__")
    }
}
