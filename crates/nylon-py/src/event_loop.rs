//! The lane of `async def` handlers: one event loop, woken once per batch through a socket pair.
//!
//! Nothing here takes Python's lock in a thread of ours: the I/O thread leaves events behind and wakes the loop, which
//! then calls [`Lane::pump`].

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::arrival::{Arrived, Doing, Fetched};
use crate::call::Call;
use crate::driver::Driver;
use crate::job::Job;
use crate::lock::lock;
use crate::outcome;
use crate::runtime::Runtime;
use crate::waiting;

/// Handlers started in one turn of the loop: what else waits there gets its turn too.
const BATCH: usize = 128;

enum Event {
    /// A body that a future waits for.
    Fetched(Py<PyAny>, Fetched),
    /// What else a future waits for.
    Arrived(Py<PyAny>, Doing, Arrived),
    /// What the task with this id runs is cancelled.
    Cancel(u64),
    /// A coroutine that a thread got from a handler.
    Drive(Arc<Call>, Py<PyAny>),
}

/// Where the loop's jobs come from.
pub(crate) trait Source: Send + Sync {
    /// Takes a job that waits for the loop, if there is one.
    fn take(&self) -> Option<Job>;
    /// Results of this thread may wait until [`Source::release`].
    fn gather(&self);
    /// What has waited leaves.
    fn release(&self);
}

/// Spreads the numbers of tasks, which nobody outside chooses, over a table.
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Tasks by number: the loop itself holds them only weakly.
#[derive(Default)]
struct Tasks {
    last: u64,
    running: HashMap<u64, Py<PyAny>, BuildHasherDefault<Spread>>,
}

/// One event loop with what is to be done in it.
pub(crate) struct Lane {
    event_loop: Py<PyAny>,
    create_task: Py<PyAny>,
    near: UnixStream,
    far: UnixStream,
    signalled: AtomicBool,
    events: Mutex<Vec<Event>>,
    tasks: Mutex<Tasks>,
    source: Mutex<Option<Arc<dyn Source>>>,
    closed: AtomicBool,
}

impl Lane {
    pub(crate) fn new(event_loop: Bound<'_, PyAny>) -> PyResult<Arc<Self>> {
        let (near, far) = UnixStream::pair()?;
        near.set_nonblocking(true)?;
        far.set_nonblocking(true)?;
        let create_task = event_loop.getattr(intern!(event_loop.py(), "create_task"))?.unbind();
        Ok(Arc::new(Self {
            event_loop: event_loop.unbind(),
            create_task,
            near,
            far,
            signalled: AtomicBool::new(false),
            events: Mutex::default(),
            tasks: Mutex::default(),
            source: Mutex::new(None),
            closed: AtomicBool::new(false),
        }))
    }

    /// Whether it is this loop.
    pub(crate) fn runs(&self, other: &Bound<'_, PyAny>) -> bool {
        self.event_loop.as_ptr() == other.as_ptr()
    }

    /// Where the loop's jobs come from.
    pub(crate) fn set_source(&self, source: Option<Arc<dyn Source>>) {
        *lock(&self.source) = source;
    }

    /// Wakes the loop; a second time only after it has looked.
    pub(crate) fn wake(&self) {
        if !self.signalled.swap(true, Ordering::AcqRel) {
            // Only a full pipe can refuse, and a full pipe wakes the loop as well.
            let _ = (&self.near).write(&[1]);
        }
    }

    fn push(&self, event: Event) {
        lock(&self.events).push(event);
        self.wake();
    }

    /// A body has come for this future.
    pub(crate) fn fetched(&self, future: Py<PyAny>, fetched: Fetched) {
        self.push(Event::Fetched(future, fetched));
    }

    /// What this future waits for has come.
    pub(crate) fn arrived(&self, future: Py<PyAny>, doing: Doing, arrived: Arrived) {
        self.push(Event::Arrived(future, doing, arrived));
    }

    /// What this task runs is cancelled.
    pub(crate) fn cancel(&self, id: u64) {
        self.push(Event::Cancel(id));
    }

    /// A thread got a coroutine: the loop runs it.
    pub(crate) fn drive(&self, call: Arc<Call>, coroutine: Py<PyAny>) {
        self.push(Event::Drive(call, coroutine));
    }

    /// The phase is over; its task is nobody's concern any more.
    pub(crate) fn forget(&self, id: u64) {
        let _task = lock(&self.tasks).running.remove(&id); // dropped after the lock
    }

    /// Starts a task for a coroutine. In the loop's thread only.
    pub(crate) fn start(self: &Arc<Self>, call: &Arc<Call>, coroutine: Bound<'_, PyAny>) -> PyResult<()> {
        let py = coroutine.py();
        let driven = Driver::new(Arc::clone(call), coroutine)?;
        let task = self.create_task.bind(py).call1((driven,))?;
        let id = {
            let mut tasks = lock(&self.tasks);
            tasks.last += 1;
            let id = tasks.last;
            tasks.running.insert(id, task.unbind());
            id
        };
        if !call.runs_in(self, id) {
            self.forget(id); // a loop that begins its tasks at once
        }
        Ok(())
    }

    /// Says whether it has started handlers, whose results are then gathered until [`Lane::release`].
    fn pump(self: &Arc<Self>, py: Python<'_>, runtime: &Arc<Runtime>) -> PyResult<bool> {
        let mut drained = [0; 64];
        while matches!((&self.far).read(&mut drained), Ok(read) if read == drained.len()) {}
        // Cleared before looking: what comes from now on wakes again.
        self.signalled.store(false, Ordering::Release);
        let events = std::mem::take(&mut *lock(&self.events));
        for event in events {
            if let Err(error) = self.handle(py, event, runtime) {
                error.write_unraisable(py, None);
            }
        }
        let Some(source) = lock(&self.source).clone() else { return Ok(false) };
        for started in 0..BATCH {
            let Some(job) = source.take() else { return Ok(started > 0) };
            if started == 0 {
                source.gather();
            }
            runtime.run_in(py, job, Some(self))?;
        }
        self.wake();
        Ok(true)
    }

    fn release(&self) {
        if let Some(source) = lock(&self.source).clone() {
            source.release();
        }
    }

    fn handle(self: &Arc<Self>, py: Python<'_>, event: Event, runtime: &Runtime) -> PyResult<()> {
        match event {
            Event::Fetched(future, fetched) => {
                let future = future.bind(py);
                if future.call_method0(intern!(py, "done"))?.is_truthy()? {
                    return Ok(());
                }
                match fetched {
                    Ok(body) => future.call_method1(intern!(py, "set_result"), (PyBytes::new(py, &body),))?,
                    Err(failure) => future.call_method1(intern!(py, "set_exception"), (failure.raise(py),))?,
                };
            }
            Event::Arrived(future, doing, arrived) => {
                let future = future.bind(py);
                if !future.call_method0(intern!(py, "done"))?.is_truthy()? {
                    waiting::settle(future, &runtime.lane, doing, arrived)?;
                }
            }
            Event::Cancel(id) => {
                let task = lock(&self.tasks).running.get(&id).map(|task| task.clone_ref(py));
                if let Some(task) = task {
                    // In the loop's next turn: a write or read that has just failed is heard of first.
                    let cancel = task.getattr(py, intern!(py, "cancel"))?;
                    self.event_loop.call_method1(py, intern!(py, "call_soon"), (cancel,))?;
                }
            }
            Event::Drive(call, coroutine) => {
                if let Err(error) = self.start(&call, coroutine.into_bound(py)) {
                    outcome::fail(py, &call, error)?;
                }
            }
        }
        Ok(())
    }
}

/// The lane as Python's event loop sees it: a file descriptor to watch and what to call then.
#[pyclass(frozen, module = "nylon._core")]
pub(crate) struct EventLoopLane {
    lane: Arc<Lane>,
    runtime: Arc<Runtime>,
}

impl EventLoopLane {
    pub(crate) fn lane(&self) -> &Arc<Lane> {
        &self.lane
    }
}

#[pymethods]
impl EventLoopLane {
    #[new]
    fn new(runtime: PyRef<'_, crate::runtime::Dispatcher>, event_loop: Bound<'_, PyAny>) -> PyResult<Self> {
        let lane = Lane::new(event_loop)?;
        runtime.0.use_lane(&lane);
        Ok(Self { lane, runtime: Arc::clone(&runtime.0) })
    }

    fn fileno(&self) -> i32 {
        self.lane.far.as_raw_fd()
    }

    fn pump(slf: &Bound<'_, Self>) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        if this.lane.closed.load(Ordering::Acquire) {
            return Ok(());
        }
        let pumped = this.lane.pump(py, &this.runtime);
        if matches!(pumped, Ok(false)) {
            return Ok(());
        }
        // The handlers run in the loop's next turn; what of them is done then leaves together.
        let scheduled = slf
            .getattr(intern!(py, "release"))
            .and_then(|release| this.lane.event_loop.bind(py).call_method1(intern!(py, "call_soon"), (release,)));
        if scheduled.is_err() {
            this.lane.release();
        }
        pumped.and(scheduled).map(drop)
    }

    /// What handlers have finished in this turn of the loop leaves.
    fn release(&self) {
        self.lane.release();
    }

    /// Tasks that run now.
    fn running(&self) -> usize {
        lock(&self.lane.tasks).running.len()
    }

    /// No further job is taken.
    fn close(&self) {
        self.lane.closed.store(true, Ordering::Release);
        self.lane.release();
        self.lane.set_source(None);
        self.runtime.leave_lane(&self.lane);
    }
}
