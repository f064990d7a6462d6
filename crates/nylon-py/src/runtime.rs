//! The dispatcher: knows per entry and phase what to call, so that a job costs one call into Python.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Instant;

use nylon_wire::{Phase, PhaseMask, failure};
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyAny;

use crate::arrival::Which;
use crate::call::{Call, Seat, Session};
use crate::flow::{self, ResponseStream};
use crate::job::{Job, Origin};
use crate::lane::{Lane, LaneSlot};
use crate::lock::lock;
use crate::registration::Registration;
use crate::{context, driver, outcome, python};

/// How a phase of an entry is called.
struct Method {
    callable: Py<PyAny>,
    /// Whether it is a plain function of the class, to be called with the instance; else the instance is asked.
    plain: bool,
}

enum Handler {
    /// A class: one instance per session.
    Class { class: Py<PyAny>, methods: [Option<Method>; 4] },
    /// A function that registers the callbacks of its session.
    Function(Py<PyAny>),
}

struct Entry {
    name: String,
    handler: Handler,
    phases: PhaseMask,
    /// Whether its body filter takes the body piece by piece.
    streams_body: bool,
}

/// What lives in a session between its phases.
struct Kept {
    session: Arc<Session>,
    target: Target,
}

/// Where a session waits for its later phases.
struct Place {
    origin: Origin,
    session: Arc<Session>,
    target: Option<Target>,
    /// A phase of it comes more than once.
    repeats: bool,
}

enum Target {
    Instance(Py<PyAny>),
    Callbacks([Option<Py<PyAny>>; 4]),
}

/// Entries and how to call them. One per plugin.
pub(crate) struct Runtime {
    entries: Vec<Entry>,
    pub(crate) lane: Arc<LaneSlot>,
    /// Starts an event loop when a handler turns out to need one.
    need_loop: Py<PyAny>,
}

/// References to a call while its handler runs as plain code: in [`Runtime::run`] and in [`CURRENT`].
const OURS: usize = 2;

thread_local! {
    /// The call that runs in this thread, for the log.
    static CURRENT: RefCell<Option<Arc<Call>>> = const { RefCell::new(None) };
}

/// Id of the request whose `def` handler runs in this thread.
pub(crate) fn current_request_id() -> Option<String> {
    CURRENT.with_borrow(|call| call.as_ref().map(|call| call.request_id().to_owned()))
}

impl Runtime {
    /// Runs a phase. The answer leaves when the handler has returned, or later when it is a coroutine.
    /// Errors: only a `KeyboardInterrupt`.
    pub(crate) fn run(&self, py: Python<'_>, job: Job) -> PyResult<()> {
        self.run_in(py, job, None)
    }

    /// The same, if there is one in the lane whose event loop is what runs in this thread.
    pub(crate) fn run_in(&self, py: Python<'_>, job: Job, lane: Option<&Arc<Lane>>) -> PyResult<()> {
        let Job { origin, phase, repeats, work } = job;
        let Some(entry) = self.entry(&origin) else {
            let text = format!("there is no entry {:?}", origin.entry());
            work.fail(failure::UNKNOWN_ENTRY, &text, None);
            return Ok(());
        };
        let now = Instant::now();
        let (session, place) = if repeats || entry.keeps() {
            let kept = origin.slot().and_then(|slot| lock(slot).take());
            let (session, target) = match kept.and_then(|kept| kept.downcast::<Kept>().ok()) {
                Some(kept) => (kept.session, Some(kept.target)),
                None => (Arc::new(Session::new(origin.copied(), now)), None),
            };
            (Seat::Shared(Arc::clone(&session)), Some(Place { origin, session, target, repeats }))
        } else {
            (Seat::Own(Session::new(origin, now)), None)
        };
        let call = Call::new(work, session, phase, now, Arc::clone(&self.lane));
        let before = CURRENT.with_borrow_mut(|current| current.replace(Arc::clone(&call)));
        let ran = self.call(py, entry, &call, place, lane);
        CURRENT.with_borrow_mut(|current| *current = before);
        match ran {
            Ok(()) => Ok(()),
            Err(error) => outcome::fail(py, &call, error),
        }
    }

    fn entry(&self, origin: &Origin) -> Option<&Entry> {
        let name = origin.entry();
        let probable = self.entries.get(origin.entry_index()).filter(|entry| entry.name == name);
        probable.or_else(|| self.entries.iter().find(|entry| entry.name == name))
    }

    fn call(
        &self,
        py: Python<'_>,
        entry: &Entry,
        call: &Arc<Call>,
        mut place: Option<Place>,
        lane: Option<&Arc<Lane>>,
    ) -> PyResult<()> {
        let target = match place.as_mut().and_then(|place| place.target.take()) {
            Some(target) => target,
            None => entry.open(py, call)?,
        };
        let context = context::make(py, Arc::clone(call))?;
        let index = usize::from(call.phase.number()) - 1;
        if entry.streams_body && call.phase == Phase::ResponseBodyFilter {
            return self.call_stream(py, call, target, &context, entry, place, lane);
        }
        let called = match (&entry.handler, &target) {
            (Handler::Class { methods, .. }, Target::Instance(instance)) => match &methods[index] {
                Some(Method { callable, plain: true }) => callable.bind(py).call1((instance, &context)),
                Some(_) => instance.bind(py).call_method1(python::phase_name_py(py, call.phase), (&context,)),
                None => Ok(py.None().into_bound(py)),
            },
            (_, Target::Callbacks(callbacks)) => match &callbacks[index] {
                Some(callback) => callback.bind(py).call1((&context,)),
                None => Ok(py.None().into_bound(py)),
            },
            (Handler::Function(_), Target::Instance(_)) => Ok(py.None().into_bound(py)),
        };
        keep(entry, call.phase, place, target);
        drop(context); // the handler has it if it wants it
        self.go_on(call, called?, lane)
    }

    /// Calls a body filter that takes the body piece by piece: with what comes in and where it goes out.
    #[allow(clippy::too_many_arguments)] // all that a call knows
    fn call_stream(
        &self,
        py: Python<'_>,
        call: &Arc<Call>,
        target: Target,
        context: &Bound<'_, PyAny>,
        entry: &Entry,
        place: Option<Place>,
        lane: Option<&Arc<Lane>>,
    ) -> PyResult<()> {
        const NAME: &str = "response_body_stream";
        let index = usize::from(Phase::ResponseBodyFilter.number()) - 1;
        let writer = call.start_body().map_err(|failure| failure.raise_while(py, "filtering the body"))?;
        let body = Bound::new(py, flow::reader(py, call, Which::Response)?)?;
        let out = Bound::new(py, ResponseStream::begun(Arc::clone(call), writer))?;
        let called = match &target {
            Target::Instance(instance) => instance.bind(py).call_method1(intern!(py, NAME), (context, body, out)),
            Target::Callbacks(callbacks) => match &callbacks[index] {
                Some(callback) => callback.bind(py).call1((context, body, out)),
                None => Ok(py.None().into_bound(py)),
            },
        };
        keep(entry, call.phase, place, target);
        self.go_on(call, called?, lane)
    }

    /// What a handler has returned is its end, or is to be awaited.
    fn go_on(&self, call: &Arc<Call>, result: Bound<'_, PyAny>, lane: Option<&Arc<Lane>>) -> PyResult<()> {
        let py = result.py();
        let awaitable = !result.is_none()
            && (result.get_type().is(python::COROUTINE.get(py)?) || result.hasattr(intern!(py, "__await__"))?);
        if !awaitable {
            return outcome::complete(call, OURS, &result);
        }
        match lane {
            Some(lane) => driver::start(lane, call, result),
            None => self.drive(call, result),
        }
    }

    /// A handler has returned something to be awaited: the event loop does that.
    fn drive(&self, call: &Arc<Call>, result: Bound<'_, PyAny>) -> PyResult<()> {
        let py = result.py();
        if self.lane.get().is_none() {
            self.need_loop.call0(py)?;
        }
        let lane = self
            .lane
            .get()
            .ok_or_else(|| PyRuntimeError::new_err("running an async handler: the plugin's event loop is closed"))?;
        match python::running_loop(py)? {
            Some(running) if lane.runs(&running) => driver::start(&lane, call, result),
            _ => {
                lane.drive(Arc::clone(call), result.unbind());
                Ok(())
            }
        }
    }
}

/// Keeps a session's object for its later phases, even if the handler raised: logging still comes.
fn keep(entry: &Entry, phase: Phase, place: Option<Place>, target: Target) {
    if let Some(Place { origin, session, .. }) = place.filter(|place| place.repeats || entry.phases.any_after(phase))
        && let Some(slot) = origin.slot()
    {
        *lock(slot) = Some(Box::new(Kept { session, target }));
    }
}

impl Entry {
    /// Whether a session's object has to wait for a later phase.
    fn keeps(&self) -> bool {
        self.phases.0.count_ones() > 1
    }

    /// The object of a new session.
    fn open(&self, py: Python<'_>, call: &Arc<Call>) -> PyResult<Target> {
        match &self.handler {
            Handler::Class { class, .. } => Ok(Target::Instance(class.call0(py)?)),
            Handler::Function(function) => {
                let registration = Bound::new(py, Registration::of(call))?;
                let returned = function.bind(py).call1((&registration,))?;
                if !returned.is_none() {
                    return Err(PyTypeError::new_err("registering phases: the function must return nothing"));
                }
                Ok(Target::Callbacks(registration.get().take()))
            }
        }
    }
}

/// Entries and how to call them, built once from what a plugin has registered.
#[pyclass(frozen, module = "nylon._core")]
pub(crate) struct Dispatcher(pub(crate) Arc<Runtime>);

/// Name, class or function, whether it is a class, phase mask, callables and whether each is a plain function.
/// Last, whether the body filter takes the body piece by piece.
type EntryArguments = (String, Py<PyAny>, bool, u32, Vec<(Option<Py<PyAny>>, bool)>, bool);

#[pymethods]
impl Dispatcher {
    #[new]
    fn new(entries: Vec<EntryArguments>, need_loop: Py<PyAny>) -> Self {
        let entries = entries
            .into_iter()
            .map(|(name, object, is_class, phases, methods, streams_body)| {
                let handler = if is_class {
                    let mut methods = methods.into_iter();
                    let methods = Phase::ALL.map(|_| {
                        let (callable, plain) = methods.next()?;
                        callable.map(|callable| Method { callable, plain })
                    });
                    Handler::Class { class: object, methods }
                } else {
                    Handler::Function(object)
                };
                Entry { name, handler, phases: PhaseMask(phases), streams_body }
            })
            .collect();
        Self(Arc::new(Runtime { entries, lane: Arc::default(), need_loop }))
    }
}
