//! The lane of `async def` handlers: what is to be done in one event loop, which is woken once per batch through a
//! socket pair.
//!
//! Nothing here takes Python's lock in a thread of ours: the I/O thread leaves events behind and wakes the loop, which
//! then takes them.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use pyo3::intern;
use pyo3::prelude::*;

use crate::arrival::{Arrived, Doing, Fetched};
use crate::call::Call;
use crate::lock::lock;

/// Where the lane is found once there is one.
#[derive(Default)]
pub(crate) struct LaneSlot(Mutex<Option<Arc<Lane>>>);

impl LaneSlot {
    pub(crate) fn get(&self) -> Option<Arc<Lane>> {
        lock(&self.0).clone()
    }

    pub(crate) fn enter(&self, lane: &Arc<Lane>) {
        *lock(&self.0) = Some(Arc::clone(lane));
    }

    pub(crate) fn leave(&self, lane: &Arc<Lane>) {
        let mut slot = lock(&self.0);
        if slot.as_ref().is_some_and(|current| Arc::ptr_eq(current, lane)) {
            *slot = None;
        }
    }
}

/// What is to be done in the loop.
pub(crate) enum Event {
    /// A body that a future waits for.
    Fetched(Py<PyAny>, Fetched),
    /// What else a future waits for.
    Arrived(Py<PyAny>, Doing, Arrived),
    /// What the task with this id runs is cancelled.
    Cancel(u64),
    /// A coroutine that a thread got from a handler. Its call knows the lane, so the two files hold each other.
    Drive(Arc<Call>, Py<PyAny>),
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
        }))
    }

    /// Whether it is this loop.
    pub(crate) fn runs(&self, other: &Bound<'_, PyAny>) -> bool {
        self.event_loop.as_ptr() == other.as_ptr()
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

    /// To be called in the loop's next turn. In the loop's thread only.
    pub(crate) fn call_soon(&self, callback: Bound<'_, PyAny>) -> PyResult<()> {
        let py = callback.py();
        self.event_loop.call_method1(py, intern!(py, "call_soon"), (callback,)).map(drop)
    }

    /// Makes a task of a coroutine; gives its number. In the loop's thread only.
    pub(crate) fn create_task(&self, coroutine: Bound<'_, PyAny>) -> PyResult<u64> {
        let task = self.create_task.bind(coroutine.py()).call1((coroutine,))?;
        let mut tasks = lock(&self.tasks);
        tasks.last += 1;
        let id = tasks.last;
        tasks.running.insert(id, task.unbind());
        Ok(id)
    }

    /// The task with this number, as long as it runs.
    pub(crate) fn task(&self, py: Python<'_>, id: u64) -> Option<Py<PyAny>> {
        lock(&self.tasks).running.get(&id).map(|task| task.clone_ref(py))
    }

    /// Tasks that run now.
    pub(crate) fn running(&self) -> usize {
        lock(&self.tasks).running.len()
    }

    /// What the loop watches to be woken.
    pub(crate) fn fileno(&self) -> i32 {
        self.far.as_raw_fd()
    }

    /// What has come up since the loop looked.
    pub(crate) fn take_events(&self) -> Vec<Event> {
        let mut drained = [0; 64];
        while matches!((&self.far).read(&mut drained), Ok(read) if read == drained.len()) {}
        // Cleared before looking: what comes from now on wakes again.
        self.signalled.store(false, Ordering::Release);
        std::mem::take(&mut *lock(&self.events))
    }
}
