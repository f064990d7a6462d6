//! The event loop of `async def` handlers as Python's side runs it: what has come up in its lane, and jobs of a worker.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use nylon_messaging::worker::{self, Worker};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::job::Job;
use crate::lane::{Event, Lane};
use crate::lock::lock;
use crate::runtime::{Dispatcher, Runtime};
use crate::{driver, outcome, waiting};

/// Handlers started in one turn of the loop: what else waits there gets its turn too.
const BATCH: usize = 128;

/// The lane as Python's event loop sees it: a file descriptor to watch and what to call then.
#[pyclass(frozen, module = "nylon._core")]
pub(crate) struct EventLoopLane {
    lane: Arc<Lane>,
    runtime: Arc<Runtime>,
    /// Where the loop's jobs come from.
    source: Mutex<Option<Worker>>,
    closed: AtomicBool,
}

impl EventLoopLane {
    /// From now on the loop takes jobs of this worker.
    pub(crate) fn serve(&self, worker: &Worker) {
        *lock(&self.source) = Some(worker.clone());
        let waker = Arc::downgrade(&self.lane);
        worker.on_ready(worker::Lane::Loop, move || {
            if let Some(lane) = waker.upgrade() {
                lane.wake();
            }
        });
    }

    fn source(&self) -> Option<Worker> {
        lock(&self.source).clone()
    }

    /// Says whether it has started handlers, whose results are then gathered until [`EventLoopLane::release`].
    fn turn(&self, py: Python<'_>) -> PyResult<bool> {
        for event in self.lane.take_events() {
            if let Err(error) = self.handle(py, event) {
                error.write_unraisable(py, None);
            }
        }
        let Some(worker) = self.source() else { return Ok(false) };
        for started in 0..BATCH {
            // Only phases go to a loop.
            let job = worker.try_next(worker::Lane::Loop).and_then(|job| Job::of(job).ok());
            let Some(job) = job else { return Ok(started > 0) };
            if started == 0 {
                worker.gather();
            }
            self.runtime.run_in(py, job, Some(&self.lane))?;
        }
        self.lane.wake();
        Ok(true)
    }

    fn handle(&self, py: Python<'_>, event: Event) -> PyResult<()> {
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
                    waiting::settle(future, &self.runtime.lane, doing, arrived)?;
                }
            }
            Event::Cancel(id) => {
                if let Some(task) = self.lane.task(py, id) {
                    // In the loop's next turn: a write or read that has just failed is heard of first.
                    self.lane.call_soon(task.bind(py).getattr(intern!(py, "cancel"))?)?;
                }
            }
            Event::Drive(call, coroutine) => {
                if let Err(error) = driver::start(&self.lane, &call, coroutine.into_bound(py)) {
                    outcome::fail(py, &call, error)?;
                }
            }
        }
        Ok(())
    }
}

#[pymethods]
impl EventLoopLane {
    #[new]
    fn new(runtime: PyRef<'_, Dispatcher>, event_loop: Bound<'_, PyAny>) -> PyResult<Self> {
        let runtime = Arc::clone(&runtime.0);
        let lane = Lane::new(event_loop)?;
        runtime.lane.enter(&lane);
        Ok(Self { lane, runtime, source: Mutex::new(None), closed: AtomicBool::new(false) })
    }

    fn fileno(&self) -> i32 {
        self.lane.fileno()
    }

    fn pump(slf: &Bound<'_, Self>) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        if this.closed.load(Ordering::Acquire) {
            return Ok(());
        }
        let pumped = this.turn(py);
        if matches!(pumped, Ok(false)) {
            return Ok(());
        }
        // The handlers run in the loop's next turn; what of them is done then leaves together.
        let scheduled = slf.getattr(intern!(py, "release")).and_then(|release| this.lane.call_soon(release));
        if scheduled.is_err() {
            this.release();
        }
        pumped.and(scheduled)
    }

    /// What handlers have finished in this turn of the loop leaves.
    fn release(&self) {
        if let Some(worker) = self.source() {
            worker.release();
        }
    }

    /// Tasks that run now.
    fn running(&self) -> usize {
        self.lane.running()
    }

    /// No further job is taken.
    fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.release();
        let _source = lock(&self.source).take(); // dropped after the lock
        self.runtime.lane.leave(&self.lane);
    }
}
