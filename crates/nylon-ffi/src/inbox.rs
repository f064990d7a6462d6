//! What the threads of libraries leave for a gateway thread: whom to wake.

use std::{sync::Mutex, task::Waker, time::Instant};

use crate::lock::lock;

#[derive(Default)]
pub(crate) struct Inbox {
    arrived: Mutex<Arrived>,
}

#[derive(Default)]
struct Arrived {
    wakers: Vec<Waker>,
    /// The gateway thread knows that there is something, or looks by itself.
    told: bool,
    /// Its task that looks here.
    task: Option<Waker>,
}

impl Inbox {
    /// Has the gateway thread wake a task.
    pub(crate) fn wake(&self, waker: Waker) {
        let mut arrived = lock(&self.arrived);
        arrived.wakers.push(waker);
        let told = std::mem::replace(&mut arrived.told, true);
        let task = if told { None } else { arrived.task.clone() };
        drop(arrived);
        if let Some(task) = task {
            task.wake();
        }
    }

    /// From now on, this task looks what has arrived.
    pub(crate) fn attend(&self, task: &Waker) {
        lock(&self.arrived).task.get_or_insert_with(|| task.clone());
    }

    /// Nobody looks any more.
    pub(crate) fn leave(&self) {
        lock(&self.arrived).task = None;
    }

    /// Has the task look.
    pub(crate) fn ring(&self) {
        let task = lock(&self.arrived).task.clone();
        if let Some(task) = task {
            task.wake();
        }
    }

    /// The gateway thread is going to wait for an answer.
    pub(crate) fn expect(&self) {
        lock(&self.arrived).told = true;
    }

    /// Takes what has arrived. Lets others have the core until there is something, but not beyond `until`: a core that sleeps
    /// meanwhile would cost more.
    pub(crate) fn take(&self, until: Option<Instant>) -> Vec<Waker> {
        let mut arrived = lock(&self.arrived);
        while arrived.wakers.is_empty() && until.is_some_and(|until| Instant::now() < until) {
            drop(arrived);
            std::thread::yield_now();
            arrived = lock(&self.arrived);
        }
        arrived.told = false;
        std::mem::take(&mut arrived.wakers)
    }
}
