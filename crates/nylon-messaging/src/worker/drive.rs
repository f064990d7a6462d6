//! Who runs the worker's I/O (decision 0009).
//!
//! The thread that waits for jobs does, so that a request meets one thread only: it reads, runs the handlers of what came,
//! writes all results, and waits again. The *standby*, a thread of our own, takes over while every serving thread has been in
//! user code for longer than [`Patience::limit`], or where none serves, and lets go as soon as one comes back.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{
            AtomicBool, AtomicU32, AtomicU64,
            Ordering::{Relaxed, SeqCst},
        },
    },
    thread::Thread,
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use tokio::{runtime::Runtime, sync::Notify, task::yield_now, time::timeout_at};

use super::{outbox::Outbox, patience::Patience};

/// In [`Drive::left`] while a serving thread drives.
const DRIVEN: u64 = u64::MAX;

/// The worker's runtime and whose turn it is to run it.
pub(super) struct Drive {
    runtime: ArcSwapOption<Runtime>,
    /// Shared with the queue whose threads drive.
    pub patience: Arc<Patience>,
    origin: Instant,
    /// Serving threads that drive: one, or one that has just overtaken another.
    driving: AtomicU32,
    /// When the last serving thread went away, in microseconds since `origin`.
    left: AtomicU64,
    /// Grows with each turn of a serving thread.
    turns: AtomicU64,
    /// Calls the serving thread that drives.
    call: Notify,
    /// The standby has begun: whoever watches the queues looks now, as timers know no more than milliseconds.
    pub stood_in: Notify,
    /// The standby may let go.
    relief: Notify,
    standing_in: AtomicBool,
    /// The standby sleeps until somebody goes away.
    dozing: AtomicBool,
    standby: OnceLock<Thread>,
    ended: AtomicBool,
}

impl Drive {
    pub fn new() -> Self {
        Self {
            runtime: ArcSwapOption::empty(),
            patience: Arc::default(),
            origin: Instant::now(),
            driving: AtomicU32::new(0),
            left: AtomicU64::new(0),
            turns: AtomicU64::new(0),
            call: Notify::new(),
            stood_in: Notify::new(),
            relief: Notify::new(),
            standing_in: AtomicBool::new(false),
            dozing: AtomicBool::new(false),
            standby: OnceLock::new(),
            ended: AtomicBool::new(false),
        }
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(DRIVEN - 1)
    }

    /// Runs the I/O in this thread until [`Drive::call`], or `until`. Returns at once when the worker has ended.
    pub fn drive(&self, until: Option<Instant>) {
        let Some(runtime) = self.runtime.load_full() else { return };
        self.enter();
        if self.standing_in.load(SeqCst) {
            self.relief.notify_one();
        }
        let called = self.call.notified();
        runtime.block_on(async {
            match until {
                None => called.await,
                // Whether it was called or the time is over, the caller looks.
                Some(until) => timeout_at(until.into(), called).await.unwrap_or_default(),
            }
        });
        self.leave();
    }

    /// Sends what is in the outbox, in this thread. False if another one drives, which has to be woken for it.
    pub fn send(&self, outbox: &Outbox) -> bool {
        let Some(runtime) = self.runtime.load_full() else { return false };
        if self.driving.load(SeqCst) > 0 || self.standing_in.load(SeqCst) {
            return false;
        }
        self.enter();
        runtime.block_on(async {
            outbox.look();
            // One turn to take it, one to write it.
            yield_now().await;
            yield_now().await;
        });
        self.leave();
        true
    }

    fn enter(&self) {
        self.driving.fetch_add(1, SeqCst);
        self.left.store(DRIVEN, SeqCst);
    }

    fn leave(&self) {
        self.turns.fetch_add(1, Relaxed);
        // Who sends may be overtaken by who drives.
        if self.driving.fetch_sub(1, SeqCst) == 1 {
            self.left.store(self.now_us(), SeqCst);
        }
        if self.dozing.load(SeqCst) && self.dozing.swap(false, SeqCst) {
            self.wake_standby();
        }
    }

    /// Makes the thread that drives, or the next one that comes, return from [`Drive::drive`].
    pub fn call(&self) {
        self.call.notify_one();
    }

    /// Nobody drives any more.
    pub fn end(&self) {
        self.ended.store(true, SeqCst);
        self.call.notify_one();
        self.relief.notify_one();
        self.wake_standby();
    }

    fn wake_standby(&self) {
        if let Some(standby) = self.standby.get() {
            standby.unpark();
        }
    }

    /// The standby's work, until the end. The runtime ends with it.
    pub fn stand_by(&self, runtime: Runtime) {
        // Called once, by the thread that was started for it.
        let _ = self.standby.set(std::thread::current());
        self.runtime.store(Some(Arc::new(runtime)));
        let mut seen = 0;
        while !self.ended.load(SeqCst) {
            let limit = self.patience.limit(Instant::now());
            match self.left.load(SeqCst) {
                DRIVEN => {
                    let turns = self.turns.load(Relaxed);
                    if turns == std::mem::replace(&mut seen, turns) {
                        self.doze();
                    } else {
                        std::thread::park_timeout(limit);
                    }
                }
                left => match limit.checked_sub(Duration::from_micros(self.now_us().saturating_sub(left))) {
                    Some(more) if !more.is_zero() => std::thread::park_timeout(more),
                    _ => self.stand_in(),
                },
            }
        }
        self.runtime.store(None);
    }

    fn doze(&self) {
        self.dozing.store(true, SeqCst);
        if self.left.load(SeqCst) == DRIVEN && !self.ended.load(SeqCst) {
            std::thread::park();
        }
        self.dozing.store(false, SeqCst);
    }

    fn stand_in(&self) {
        let Some(runtime) = self.runtime.load_full() else { return };
        self.standing_in.store(true, SeqCst);
        // Who came back before that line relieves nobody.
        if self.left.load(SeqCst) != DRIVEN && !self.ended.load(SeqCst) {
            self.stood_in.notify_one();
            runtime.block_on(self.relief.notified());
        }
        self.standing_in.store(false, SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::{super::outbox::Event, *};

    #[test]
    fn what_is_in_the_outbox_is_sent_in_this_thread() {
        let (drive, outbox, runtime) = (Arc::new(Drive::new()), Arc::new(Outbox::default()), runtime());
        let (taken, by) = (Arc::new(AtomicU32::new(0)), (outbox.clone(), std::thread::current().id()));
        let count = taken.clone();
        runtime.spawn(async move {
            loop {
                by.0.ready().await;
                assert_eq!(std::thread::current().id(), by.1);
                let mut events = Vec::new();
                by.0.take(&mut events);
                count.fetch_add(u32::try_from(events.len()).expect("few"), SeqCst);
            }
        });
        drive.runtime.store(Some(Arc::new(runtime)));
        outbox.push_in_batch(Event::Stop);
        outbox.push_in_batch(Event::Stop);
        assert!(drive.send(&outbox));
        assert_eq!(taken.load(SeqCst), 2);
        assert_ne!(drive.left.load(SeqCst), DRIVEN);
    }

    #[test]
    fn who_is_driven_already_is_only_told() {
        let (drive, outbox) = (Drive::new(), Outbox::default());
        drive.runtime.store(Some(Arc::new(runtime())));
        drive.enter();
        assert!(!drive.send(&outbox));
        drive.leave();
        drive.standing_in.store(true, SeqCst);
        assert!(!drive.send(&outbox));
    }

    fn runtime() -> Runtime {
        tokio::runtime::Builder::new_current_thread().build().expect("a runtime")
    }
}
