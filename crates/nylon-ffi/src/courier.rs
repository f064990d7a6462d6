//! What one gateway thread hands to libraries and hears from them, in batches. A wake-up of another thread costs more than
//! what most handlers do: everything that its tasks have for a library until the thread would turn to its sockets goes out with
//! one wake-up, and what the library's threads answer meanwhile comes back with one.
//!
//! A thread that has nothing to do but wait for one answer lets the library's thread have its core, instead of sleeping on its
//! sockets; a thread of the pool that waits for work stays on the core of its caller ([`Core`]). To wake a core that sleeps takes
//! several times as long as a quick handler.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    rc::Rc,
    sync::Arc,
    task::{Poll, Waker},
    time::{Duration, Instant},
};

use crate::{affinity::Core, inbox::Inbox, pool::Pool, shared::Job};

/// How long a thread with little to do waits for an answer. What runs on its core meanwhile may keep it longer.
const PATIENCE: Duration = Duration::from_micros(50);
/// Answers that it waits for so, at most: with more of them it is busy.
const FEW: usize = 4;
/// A thread that has sent nothing for so long has little to do.
const QUIET: Duration = Duration::from_micros(150);

thread_local! {
    static HERE: RefCell<Option<Rc<Courier>>> = const { RefCell::new(None) };
}

/// The gateway thread's side.
pub(crate) struct Courier {
    jobs: RefCell<Vec<(&'static Pool<Job>, Job)>>,
    /// Answers that somebody waits for, of those.
    awaited: Cell<usize>,
    scheduled: Cell<bool>,
    last: Cell<Option<Instant>>,
    inbox: Arc<Inbox>,
}

/// The inbox of this gateway thread. Called in its runtime.
pub(crate) fn inbox() -> Arc<Inbox> {
    HERE.with_borrow_mut(|here| Arc::clone(&here.get_or_insert_with(Courier::start).inbox))
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
            awaited: Cell::new(0),
            scheduled: Cell::new(true),
            last: Cell::new(None),
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
        self.awaited.set(self.awaited.get() + usize::from(awaited));
        // Behind the tasks that can go on already, which may have more.
        if !self.scheduled.replace(true) {
            self.inbox.ring();
        }
    }

    /// Sends what there is, and wakes whoever has an answer.
    fn turn(&self) {
        self.scheduled.set(false);
        let awaited = self.awaited.take();
        let waits = self.is_quiet() && (1..=FEW).contains(&awaited);
        if waits {
            self.inbox.expect();
        }
        self.send();
        let until = waits.then(|| Instant::now() + PATIENCE);
        self.inbox.take(until).into_iter().for_each(Waker::wake);
    }

    fn is_quiet(&self) -> bool {
        let now = Instant::now();
        self.last.replace(Some(now)).is_none_or(|last| now.saturating_duration_since(last) > QUIET)
    }

    fn send(&self) {
        let mut jobs = self.jobs.borrow_mut();
        let core = Core::now();
        while let Some(&(pool, _)) = jobs.first() {
            pool.submit_all(jobs.extract_if(.., |(other, _)| std::ptr::eq(*other, pool)).map(|(_, job)| job), core);
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
