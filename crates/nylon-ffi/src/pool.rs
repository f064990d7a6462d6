//! The threads that call into a library. It may block, or never return: a gateway thread never waits for it.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::Builder,
    time::{Duration, Instant},
};

use crate::shared::{Shared, lock};

/// Threads that a library always has.
const BASE: usize = 2;
/// The most that it gets when it does not return.
const MOST: usize = 64;
/// When something has waited for so long, another thread is started.
pub(crate) const STUCK: Duration = Duration::from_millis(20);
/// When all threads hang and something has waited for so long, nothing more is asked of the library.
const HOPELESS: Duration = Duration::from_secs(1);
/// A thread beyond [`BASE`] that has nothing to do for so long ends. Go keeps something for every thread that calls it.
const IDLE: Duration = Duration::from_secs(60);

/// Something to be done on a thread of the library.
pub(crate) enum Job {
    /// Tell a session what waits for it.
    Deliver(Arc<Shared>),
    /// Answer the reads of a session that had to wait.
    Reply(Arc<Shared>),
    /// Tell a session that it is over, though another thread is in a call for it.
    Close(Arc<Shared>),
    /// Anything else.
    Call(Box<dyn FnOnce() + Send>),
}

/// The threads of one library.
pub(crate) struct Pool {
    queue: Mutex<Queue>,
    /// There is work.
    work: Condvar,
    /// There is more work than threads that are idle.
    watch: Condvar,
    hangs: AtomicBool,
}

struct Queue {
    /// With the time since which they wait.
    jobs: VecDeque<(Instant, Job)>,
    threads: usize,
    idle: usize,
    /// The watchdog looks by itself; it need not be woken.
    watching: bool,
}

impl Pool {
    pub(crate) fn start() -> Result<&'static Self, std::io::Error> {
        let queue = Queue { jobs: VecDeque::new(), threads: BASE, idle: 0, watching: false };
        let pool: &'static Self = Box::leak(Box::new(Self {
            queue: Mutex::new(queue),
            work: Condvar::new(),
            watch: Condvar::new(),
            hangs: AtomicBool::new(false),
        }));
        for _ in 0..BASE {
            Builder::new().name("nylon-ffi".to_owned()).spawn(|| pool.work())?;
        }
        Builder::new().name("nylon-ffi-watch".to_owned()).spawn(|| pool.watch())?;
        Ok(pool)
    }

    pub(crate) fn submit(&self, job: Job) {
        let mut queue = lock(&self.queue);
        queue.jobs.push_back((Instant::now(), job));
        // Threads that have been woken count as idle until they run: more jobs than those need the watchdog.
        let (wake, watch) = (queue.idle > 0, queue.jobs.len() > queue.idle && !queue.watching);
        drop(queue);
        if wake {
            self.work.notify_one();
        }
        if watch {
            self.watch.notify_one();
        }
    }

    /// Whether none of the threads returns, and there will be no more.
    pub(crate) fn hangs(&self) -> bool {
        self.hangs.load(Relaxed)
    }

    /// How many threads there are now.
    pub(crate) fn threads(&self) -> usize {
        lock(&self.queue).threads
    }

    fn work(&self) {
        let mut queue = lock(&self.queue);
        loop {
            if let Some((_, job)) = queue.jobs.pop_front() {
                drop(queue);
                match job {
                    Job::Deliver(session) => session.deliver(),
                    Job::Reply(session) => session.deliver_replies(),
                    Job::Close(session) => session.deliver_close(),
                    Job::Call(call) => call(),
                }
                queue = lock(&self.queue);
                continue;
            }
            queue.idle += 1;
            let (woken, waited) =
                self.work.wait_timeout(queue, IDLE).unwrap_or_else(std::sync::PoisonError::into_inner);
            queue = woken;
            queue.idle -= 1;
            if waited.timed_out() && queue.jobs.is_empty() && queue.threads > BASE {
                queue.threads -= 1;
                return;
            }
        }
    }

    /// Starts more threads while those there are do not return.
    fn watch(&'static self) {
        let mut queue = lock(&self.queue);
        loop {
            while queue.jobs.is_empty() {
                self.hangs.store(false, Relaxed);
                queue.watching = false;
                queue = self.watch.wait(queue).unwrap_or_else(std::sync::PoisonError::into_inner);
            }
            queue.watching = true;
            let waited = queue.jobs.front().map_or(Duration::ZERO, |(since, _)| since.elapsed());
            let stuck = waited >= STUCK && queue.threads < MOST;
            self.hangs.store(waited >= HOPELESS && queue.threads >= MOST, Relaxed);
            if stuck {
                queue.threads += 1;
            }
            drop(queue);
            if stuck && let Err(error) = Builder::new().name("nylon-ffi".to_owned()).spawn(|| self.work()) {
                lock(&self.queue).threads -= 1;
                tracing::error!(%error, "starting another thread for a plugin library that does not return");
            }
            std::thread::sleep(STUCK / 2);
            queue = lock(&self.queue);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn jobs_that_do_not_return_keep_no_other_from_running() {
        let pool = Pool::start().unwrap();
        let (sender, receiver) = channel();
        for _ in 0..10 {
            pool.submit(Job::Call(Box::new(|| {
                loop {
                    std::thread::park();
                }
            })));
        }
        pool.submit(Job::Call(Box::new(move || sender.send(()).unwrap())));
        receiver.recv_timeout(Duration::from_secs(20)).unwrap();
        assert!(pool.threads() > 10);
    }
}
