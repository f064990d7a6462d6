//! What one gateway thread hands to libraries and hears from them, in batches. A wake-up of another thread costs more than
//! what most handlers do: everything that its tasks have for a library until the thread would turn to its sockets goes out with
//! one wake-up, and what the library's threads answer meanwhile comes back with one.
//!
//! A thread that has little to do but wait for an answer lets the library's thread have its core, instead of sleeping on its
//! sockets: to wake a core that sleeps takes several times as long as a quick handler.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    rc::Rc,
    sync::Arc,
    task::{Poll, Waker},
    time::{Duration, Instant},
};

use crate::{inbox::Inbox, pool::Pool, shared::Job};

/// How long a thread with little to do waits for an answer. What runs on its core meanwhile may keep it longer.
const PATIENCE: Duration = Duration::from_micros(50);
/// A thread with more requests than this before libraries is busy.
const FEW: usize = 4;

thread_local! {
    static HERE: RefCell<Option<Rc<Courier>>> = const { RefCell::new(None) };
}

/// The gateway thread's side.
pub(crate) struct Courier {
    jobs: RefCell<Vec<(&'static Pool<Job>, Job)>>,
    /// Whether somebody waits for what comes of one of those.
    awaited: Cell<bool>,
    scheduled: Cell<bool>,
    requests: Cell<usize>,
    inbox: Arc<Inbox>,
}

/// That of this gateway thread. Called in its runtime.
fn here() -> Rc<Courier> {
    HERE.with_borrow_mut(|here| Rc::clone(here.get_or_insert_with(Courier::start)))
}

/// The inbox of this gateway thread. Called in its runtime.
pub(crate) fn inbox() -> Arc<Inbox> {
    Arc::clone(&here().inbox)
}

/// A request of this gateway thread that is before a library, as long as it lives.
pub(crate) struct Request(Rc<Courier>);

impl Request {
    /// Called in the thread's runtime.
    pub(crate) fn begin() -> Self {
        let courier = here();
        courier.requests.set(courier.requests.get() + 1);
        Self(courier)
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.0.requests.set(self.0.requests.get() - 1);
    }
}

/// Takes a job along, if this is a gateway thread; gives it back otherwise. `awaited`: a task waits for what comes of it.
pub(crate) fn carry(pool: &'static Pool<Job>, job: Job, awaited: bool) -> Result<(), Job> {
    HERE.with_borrow(|here| match here {
        Some(courier) => {
            courier.carry(pool, job, awaited);
            Ok(())
        }
        None => Err(job),
    })
}

impl Courier {
    fn start() -> Rc<Self> {
        let courier = Rc::new(Self {
            jobs: RefCell::default(),
            awaited: Cell::new(false),
            scheduled: Cell::new(true),
            requests: Cell::new(0),
            inbox: Arc::default(),
        });
        let round = Round(Rc::clone(&courier));
        tokio::task::spawn_local(poll_fn(move |cx| {
            let courier = &round.0;
            courier.inbox.attend(cx.waker());
            courier.turn();
            Poll::<()>::Pending
        }));
        courier
    }

    fn carry(&self, pool: &'static Pool<Job>, job: Job, awaited: bool) {
        self.jobs.borrow_mut().push((pool, job));
        self.awaited.set(self.awaited.get() || awaited);
        // Behind the tasks that can go on already, which may have more.
        if !self.scheduled.replace(true) {
            self.inbox.ring();
        }
    }

    /// Sends what there is, and wakes whoever has an answer.
    fn turn(&self) {
        self.scheduled.set(false);
        let waits = self.awaited.take() && self.requests.get() <= FEW;
        if waits {
            self.inbox.expect();
        }
        self.send();
        let until = waits.then(|| Instant::now() + PATIENCE);
        self.inbox.take(until).into_iter().for_each(Waker::wake);
    }

    fn send(&self) {
        let mut jobs = self.jobs.borrow_mut();
        while let Some(&(pool, _)) = jobs.first() {
            pool.submit_all(jobs.extract_if(.., |(other, _)| std::ptr::eq(*other, pool)).map(|(_, job)| job));
        }
    }
}

/// The task that sends. It ends with the runtime of its thread, after which nothing may be left to it.
struct Round(Rc<Courier>);

impl Drop for Round {
    fn drop(&mut self) {
        HERE.with_borrow_mut(Option::take);
        self.0.inbox.leave();
        self.0.send();
    }
}
