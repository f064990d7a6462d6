//! A coarse clock per gateway thread. It drives every time limit, so that no request needs a timer of its own.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    task::{Context, Waker},
    time::{Duration, Instant, SystemTime},
};

use slab::Slab;

/// How far apart the ticks are. Time limits end up to this much late.
pub(crate) const TICK: Duration = Duration::from_millis(20);

/// How often the wall clock is read.
const SET_WALL: Duration = Duration::from_secs(1);

const NEVER: u64 = u64::MAX;

/// The clock of one thread. Clones share it.
#[derive(Clone)]
pub(crate) struct Clock(Rc<Shared>);

struct Shared {
    start: Instant,
    /// Wall clock at an instant, Unix milliseconds; read anew at times, because wall clocks are set.
    wall: Cell<(Instant, u64)>,
    now: Cell<u64>,
    watches: RefCell<Slab<Rc<State>>>,
}

struct State {
    deadline: Cell<u64>,
    expired: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Clock {
    pub(crate) fn new() -> Self {
        let start = Instant::now();
        let wall = Cell::new((start, unix_ms()));
        Self(Rc::new(Shared { start, wall, now: Cell::new(0), watches: RefCell::default() }))
    }

    /// Milliseconds since the thread began, as of the last tick.
    pub(crate) fn now(&self) -> u64 {
        self.0.now.get()
    }

    /// Wall clock at an instant, Unix milliseconds.
    pub(crate) fn unix_ms(&self, at: Instant) -> u64 {
        let (begin, wall) = self.0.wall.get();
        let since = at.saturating_duration_since(begin).as_millis();
        wall.saturating_add(u64::try_from(since).unwrap_or(0))
    }

    /// Ticks until the runtime ends.
    pub(crate) async fn run(self, mut each: impl FnMut(u64)) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let now = self.tick();
            each(now);
        }
    }

    /// Wakes whoever waits with a limit: something else has happened.
    pub(crate) fn wake_all(&self) {
        for (_, state) in &*self.0.watches.borrow() {
            if let Some(waker) = &*state.waker.borrow() {
                waker.wake_by_ref();
            }
        }
    }

    fn tick(&self) -> u64 {
        let now = u64::try_from(self.0.start.elapsed().as_millis()).unwrap_or(NEVER - 1);
        self.0.now.set(now);
        if self.0.wall.get().0.elapsed() > SET_WALL {
            self.0.wall.set((Instant::now(), unix_ms()));
        }
        for (_, state) in &*self.0.watches.borrow() {
            if state.deadline.get() <= now {
                state.deadline.set(NEVER);
                state.expired.set(true);
                if let Some(waker) = state.waker.borrow_mut().take() {
                    waker.wake();
                }
            }
        }
        now
    }

    /// A time limit that is not running yet.
    pub(crate) fn watch(&self) -> Watch {
        let state = Rc::new(State { deadline: Cell::new(NEVER), expired: Cell::new(false), waker: RefCell::new(None) });
        let key = self.0.watches.borrow_mut().insert(state.clone());
        Watch { clock: self.clone(), key, state }
    }
}

fn unix_ms() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(0))
}

/// One time limit: armed again and again by its owner, at the cost of a memory write.
pub(crate) struct Watch {
    clock: Clock,
    key: usize,
    state: Rc<State>,
}

impl Watch {
    /// Starts the limit anew.
    pub(crate) fn arm(&self, limit: Duration) {
        let limit = u64::try_from(limit.as_millis()).unwrap_or(NEVER);
        // One more tick: the clock may be almost a tick behind, and a limit must never end early.
        let deadline = self.clock.now().saturating_add(limit).saturating_add(TICK.as_millis() as u64);
        self.state.deadline.set(deadline.min(NEVER - 1));
        self.state.expired.set(false);
    }

    /// Stops the limit and forgets that it has passed.
    pub(crate) fn disarm(&self) {
        self.state.deadline.set(NEVER);
        self.state.expired.set(false);
    }

    /// Whether the limit is running.
    pub(crate) fn is_armed(&self) -> bool {
        self.state.deadline.get() != NEVER
    }

    /// Whether the limit has passed since it was armed.
    pub(crate) fn expired(&self) -> bool {
        self.state.expired.get()
    }

    /// Wakes this task when the limit passes.
    pub(crate) fn wake(&self, cx: &Context<'_>) {
        let mut waker = self.state.waker.borrow_mut();
        match &mut *waker {
            Some(known) if known.will_wake(cx.waker()) => {}
            Some(known) => known.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.clock.0.watches.borrow_mut().try_remove(self.key);
    }
}
