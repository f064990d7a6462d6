//! The threads that call into a library. It may block, or never return: a gateway thread never waits for it.

use std::{
    collections::VecDeque,
    sync::{
        Condvar, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{Builder, Thread},
    time::{Duration, Instant},
};

use crate::{batch::Batch, lock::lock, running::Tid};

/// Threads that a library always has.
const BASE: usize = 2;
/// The most that it gets when it does not return.
const MOST: usize = 64;
/// When something has waited for so long, another thread is started, if there is a processor for it.
pub(crate) const STUCK: Duration = Duration::from_millis(20);
/// When something has waited for so long, another thread is woken: the one that came first is kept.
const SLOW: Duration = Duration::from_millis(1);
/// How often the watchdog looks while something waits.
const LOOK: Duration = Duration::from_millis(2);
/// Looks in a row that find a processor for another thread: any one may find a thread that waits for a moment.
const SURE: u32 = 3;
/// When something has waited for so long, another thread is started all the same: those there are may never return. When there
/// are no more to come, nothing more is asked of the library.
const HOPELESS: Duration = Duration::from_secs(1);
/// A thread beyond [`BASE`] that has nothing to do for so long ends. Go keeps something for every thread that calls it.
const IDLE: Duration = Duration::from_secs(10);

/// The threads of one library, and what is to be done there.
pub(crate) struct Pool<J> {
    queue: Mutex<Queue<J>>,
    /// There is more work than threads that come for it.
    watch: Condvar,
    hangs: AtomicBool,
    /// More threads that run than this only take turns.
    processors: usize,
}

struct Queue<J> {
    jobs: VecDeque<Waiting<J>>,
    threads: usize,
    /// Those of them that have begun.
    begun: Vec<Tid>,
    idle: Vec<Thread>,
    /// Threads that have been woken and do not run yet.
    coming: usize,
    /// The watchdog looks by itself; it need not be woken.
    watching: bool,
}

struct Waiting<J> {
    since: Instant,
    job: J,
}

impl<J> Queue<J> {
    /// Takes a thread that is idle, if there is one: the last that was busy.
    fn wake(&mut self) -> Option<Thread> {
        let thread = self.idle.pop()?;
        self.coming += 1;
        Some(thread)
    }
}

impl<J: Send + 'static> Pool<J> {
    /// Starts threads that do each job by `run`.
    pub(crate) fn start(run: impl Fn(J) + Copy + Send + 'static) -> Result<&'static Self, std::io::Error> {
        let queue = Queue {
            jobs: VecDeque::new(),
            threads: BASE,
            begun: Vec::new(),
            idle: Vec::new(),
            coming: 0,
            watching: false,
        };
        let pool: &'static Self = Box::leak(Box::new(Self {
            queue: Mutex::new(queue),
            watch: Condvar::new(),
            hangs: AtomicBool::new(false),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
        }));
        for _ in 0..BASE {
            Builder::new().name("nylon-ffi".to_owned()).spawn(move || pool.work(run))?;
        }
        Builder::new().name("nylon-ffi-watch".to_owned()).spawn(move || pool.watch(run))?;
        Ok(pool)
    }

    pub(crate) fn submit(&self, job: J) {
        self.submit_all(std::iter::once(job));
    }

    /// Wakes one thread for all of them, if none is coming.
    pub(crate) fn submit_all(&self, jobs: impl Iterator<Item = J>) {
        let now = Instant::now();
        let mut queue = lock(&self.queue);
        queue.jobs.extend(jobs.map(|job| Waiting { since: now, job }));
        let woken = if queue.coming == 0 { queue.wake() } else { None };
        let watch = queue.jobs.len() > queue.coming && !queue.watching;
        drop(queue);
        if let Some(thread) = woken {
            thread.unpark();
        }
        if watch {
            self.watch.notify_one();
        }
    }

    /// For what nobody waits for: with the next that somebody waits for, or in a few milliseconds.
    pub(crate) fn submit_later(&self, job: J) {
        let mut queue = lock(&self.queue);
        queue.jobs.push_back(Waiting { since: Instant::now(), job });
        let watch = !queue.watching;
        drop(queue);
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

    fn work(&self, run: impl Fn(J)) {
        Batch::for_good();
        let (here, tid) = (std::thread::current(), Tid::of_this_thread());
        let mut queue = lock(&self.queue);
        queue.begun.push(tid);
        loop {
            if let Some(Waiting { job, .. }) = queue.jobs.pop_front() {
                drop(queue);
                run(job);
                queue = lock(&self.queue);
                continue;
            }
            queue.idle.push(here.clone());
            loop {
                drop(queue);
                let slept = Instant::now();
                std::thread::park_timeout(IDLE);
                queue = lock(&self.queue);
                let Some(place) = queue.idle.iter().position(|other| other.id() == here.id()) else {
                    queue.coming -= 1;
                    break;
                };
                if slept.elapsed() >= IDLE && queue.threads > BASE {
                    queue.idle.remove(place);
                    queue.threads -= 1;
                    queue.begun.retain(|&other| other != tid);
                    return;
                }
            }
        }
    }

    /// Whether another thread would run, and not take turns with those of which so many begin and these have begun.
    fn has_room(&self, beginning: usize, begun: &[Tid]) -> bool {
        let running = begun.iter().filter(|tid| tid.runs());
        beginning + running.take(self.processors).count() < self.processors
    }

    /// Sees to it that what waits is done while the threads there are do not return.
    fn watch(&'static self, run: impl Fn(J) + Copy + Send + 'static) {
        let mut room = 0;
        let mut queue = lock(&self.queue);
        loop {
            while queue.jobs.is_empty() {
                self.hangs.store(false, Relaxed);
                queue.watching = false;
                queue = self.watch.wait(queue).unwrap_or_else(std::sync::PoisonError::into_inner);
            }
            queue.watching = true;
            let waited = queue.jobs.front().map_or(Duration::ZERO, |waiting| waiting.since.elapsed());
            let woken = if waited >= SLOW { queue.wake() } else { None };
            let stuck = woken.is_none() && waited >= STUCK && queue.threads < MOST;
            self.hangs.store(waited >= HOPELESS && queue.threads >= MOST, Relaxed);
            let begun = if stuck { queue.begun.clone() } else { Vec::new() };
            let beginning = queue.threads - queue.begun.len();
            drop(queue);
            if let Some(thread) = woken {
                thread.unpark();
            }
            room = if stuck && self.has_room(beginning, &begun) { room + 1 } else { 0 };
            let more = stuck && (room >= SURE || waited >= HOPELESS);
            if more {
                lock(&self.queue).threads += 1;
            }
            if more && let Err(error) = Builder::new().name("nylon-ffi".to_owned()).spawn(move || self.work(run)) {
                lock(&self.queue).threads -= 1;
                tracing::error!(%error, "starting another thread for a plugin library that does not return");
            }
            std::thread::sleep(LOOK);
            queue = lock(&self.queue);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, mpsc::channel};

    use super::*;

    type Job = Box<dyn FnOnce() + Send>;

    fn start() -> &'static Pool<Job> {
        Pool::start(|job: Job| job()).unwrap()
    }

    #[test]
    fn jobs_that_do_not_return_keep_no_other_from_running() {
        let pool = start();
        let (sender, receiver) = channel();
        for _ in 0..10 {
            pool.submit(Box::new(|| {
                loop {
                    std::thread::park();
                }
            }));
        }
        pool.submit(Box::new(move || sender.send(()).unwrap()));
        receiver.recv_timeout(Duration::from_secs(20)).unwrap();
        assert!(pool.threads() > 10);
    }

    #[test]
    fn threads_that_are_busy_get_company_only_when_they_may_never_return() {
        let pool = start();
        let most = pool.processors.max(BASE);
        let over = Arc::new(AtomicBool::new(false));
        for _ in 0..most {
            let over = Arc::clone(&over);
            pool.submit(Box::new(move || while !over.load(Relaxed) {}));
        }
        let (sender, receiver) = channel();
        let began = Instant::now();
        pool.submit(Box::new(move || sender.send(()).unwrap()));
        let early = receiver.recv_timeout(10 * STUCK);
        assert!(early.is_err() && pool.threads() <= most || began.elapsed() >= HOPELESS, "{}", pool.threads());
        receiver.recv_timeout(Duration::from_secs(20)).unwrap();
        over.store(true, Relaxed);
    }

    #[test]
    fn what_nobody_waits_for_is_done_all_the_same() {
        let pool = start();
        let (sender, receiver) = channel();
        pool.submit_later(Box::new(move || sender.send(()).unwrap()));
        receiver.recv_timeout(Duration::from_secs(20)).unwrap();
    }

    #[test]
    fn the_first_of_several_keeps_no_other_from_running() {
        let pool = start();
        let (sender, receiver) = channel();
        let first: Job = Box::new(|| {
            loop {
                std::thread::park();
            }
        });
        let second: Job = Box::new(move || sender.send(()).unwrap());
        pool.submit_all([first, second].into_iter());
        receiver.recv_timeout(Duration::from_secs(20)).unwrap();
    }
}
