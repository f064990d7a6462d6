//! The threads that call into a library. It may block, or never return: a gateway thread never waits for it.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{Builder, Thread},
    time::{Duration, Instant},
};

use crate::{affinity::Core, batch::Batch, lock::lock, running::Tid};

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
    idle: Vec<Arc<Bed>>,
    /// Threads that have been woken and do not run yet.
    coming: usize,
    /// The watchdog looks by itself; it need not be woken.
    watching: bool,
}

struct Waiting<J> {
    since: Instant,
    /// Where its caller is.
    core: Option<usize>,
    job: J,
}

/// A thread that has nothing to do.
struct Bed {
    thread: Thread,
    /// The core that it wakes up on.
    core: Option<usize>,
}

impl<J> Queue<J> {
    /// Takes a thread that is idle, if there is one: best on that core.
    fn wake(&mut self, core: Option<usize>) -> Option<Arc<Bed>> {
        let near = self.idle.iter().rposition(|bed| core.is_some() && bed.core == core);
        let index = near.or(self.idle.len().checked_sub(1))?;
        self.coming += 1;
        Some(self.idle.swap_remove(index))
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
        self.submit_all(std::iter::once(job), None);
    }

    /// Wakes one thread for all of them, if none is coming: best on that core, where the caller is.
    pub(crate) fn submit_all(&self, jobs: impl Iterator<Item = J>, core: Option<usize>) {
        let now = Instant::now();
        let mut queue = lock(&self.queue);
        queue.jobs.extend(jobs.map(|job| Waiting { since: now, core, job }));
        let woken = if queue.coming == 0 { queue.wake(core) } else { None };
        let watch = queue.jobs.len() > queue.coming && !queue.watching;
        drop(queue);
        if let Some(bed) = woken {
            bed.thread.unpark();
        }
        if watch {
            self.watch.notify_one();
        }
    }

    /// For what nobody waits for: with the next that somebody waits for, or in a few milliseconds.
    pub(crate) fn submit_later(&self, job: J) {
        let mut queue = lock(&self.queue);
        queue.jobs.push_back(Waiting { since: Instant::now(), core: None, job });
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
        let here = Core::of_this_thread();
        let tid = Tid::of_this_thread();
        let (mut done, mut caller) = (0, None);
        let mut queue = lock(&self.queue);
        queue.begun.push(tid);
        loop {
            if let Some(Waiting { core, job, .. }) = queue.jobs.pop_front() {
                drop(queue);
                run(job);
                (done, caller) = (done + usize::from(core.is_some()), core.or(caller));
                queue = lock(&self.queue);
                continue;
            }
            // One that found more has no need of its caller's core: everything is busy.
            let near = caller.filter(|_| done == 1);
            (done, caller) = (0, None);
            let bed = Arc::new(Bed { thread: std::thread::current(), core: near });
            queue.idle.push(Arc::clone(&bed));
            drop(queue);
            if let Some(near) = near {
                here.stay_on(near);
            }
            loop {
                let slept = Instant::now();
                std::thread::park_timeout(IDLE);
                here.roam();
                queue = lock(&self.queue);
                let Some(place) = queue.idle.iter().position(|other| Arc::ptr_eq(other, &bed)) else {
                    queue.coming -= 1;
                    break;
                };
                if slept.elapsed() >= IDLE && queue.threads > BASE {
                    queue.idle.swap_remove(place);
                    queue.threads -= 1;
                    queue.begun.retain(|&other| other != tid);
                    return;
                }
                drop(queue);
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
            let woken = if waited >= SLOW { queue.wake(None) } else { None };
            let stuck = woken.is_none() && waited >= STUCK && queue.threads < MOST;
            self.hangs.store(waited >= HOPELESS && queue.threads >= MOST, Relaxed);
            let begun = if stuck { queue.begun.clone() } else { Vec::new() };
            let beginning = queue.threads - queue.begun.len();
            drop(queue);
            if let Some(bed) = woken {
                bed.thread.unpark();
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
    use std::sync::mpsc::channel;

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
        pool.submit_all([first, second].into_iter(), None);
        receiver.recv_timeout(Duration::from_secs(20)).unwrap();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_library_has_every_core_wherever_its_thread_has_waited() {
        let pool = start();
        let (sender, receiver) = channel();
        let all = std::thread::available_parallelism().unwrap();
        let core = Core::now();
        for _ in 0..20 {
            let sender = sender.clone();
            // One at a time, so that the thread waits on this core in between.
            let look = move || sender.send(std::thread::available_parallelism().unwrap()).unwrap();
            pool.submit_all(std::iter::once(Box::new(look) as Job), core);
            assert_eq!(receiver.recv_timeout(Duration::from_secs(20)).unwrap(), all);
        }
    }
}
