//! A session as both sides see it: the library's threads and the one gateway thread that its request belongs to.

use std::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Instant,
};

use bytes::Bytes;
use nylon_plugin::{Action, Phase, PhaseMask, PluginError, PluginErrorKind, RoomCarrier};

use crate::{
    courier,
    library::Library,
    lock::lock,
    pool::{Job, STUCK},
    rooms,
    state::{Event, How, Item, OVERHEAD, Stage, State},
    table::TABLE,
    view::{RequestView, ResponseView},
};

/// A session.
pub(crate) struct Shared {
    pub(crate) sid: u32,
    pub(crate) library: &'static Library,
    pub(crate) entry: Arc<EntryName>,
    pub(crate) request: RequestView,
    /// The longest body that it gets or makes, bytes.
    pub(crate) max_body: usize,
    state: Mutex<State>,
    /// The queue for the client has become shorter. Of interest while somebody is in `State::writers` only: waking nobody
    /// costs a system call.
    pub(crate) space: Condvar,
}

/// What an entry is called.
pub(crate) struct EntryName {
    pub(crate) plugin: Arc<str>,
    pub(crate) entry: Box<str>,
    /// `plugin/entry`.
    pub(crate) label: Box<str>,
    /// What takes its rooms to other gateways, if they reach there.
    pub(crate) rooms: Option<Arc<dyn RoomCarrier>>,
    pub(crate) nexts: Nexts,
}

/// Whether its handlers end each phase once. The second `next` of a phase would end one that begins at once behind it.
#[derive(Default)]
pub(crate) struct Nexts {
    /// A session has come to its end.
    seen: AtomicBool,
    /// A `next` has come when no phase ran.
    stray: AtomicBool,
}

impl Nexts {
    pub(crate) fn are_single(&self) -> bool {
        self.seen.load(Relaxed) && !self.stray.load(Relaxed)
    }

    pub(crate) fn found_stray(&self) {
        self.stray.store(true, Relaxed);
    }
}

impl Shared {
    pub(crate) fn new(
        sid: u32,
        library: &'static Library,
        entry: Arc<EntryName>,
        request: RequestView,
        max_body: usize,
    ) -> Self {
        library.live.fetch_add(1, Relaxed);
        let state = State { inbox: Some(courier::inbox()), ..State::default() };
        Self { sid, library, entry, request, max_body, state: Mutex::new(state), space: Condvar::new() }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Logs what the plugin did wrong, at a limited rate.
    pub(crate) fn complain(&self, what: std::fmt::Arguments<'_>) {
        self.library.complaints.add(&self.entry.label, what);
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.state().stage == Stage::Dead
    }

    pub(crate) fn has_request_body(&self) -> bool {
        self.state().request_body.is_some()
    }

    /// The phases that the library says the session has, once it has been asked.
    pub(crate) fn mask(&self) -> Option<PhaseMask> {
        self.state().mask
    }

    /// Whether it says that its body filter takes the body piece by piece.
    pub(crate) fn streams_body(&self) -> bool {
        self.state().streams_body
    }

    /// Begins a phase. Whether the session is still good for it.
    pub(crate) fn begin(
        self: &Arc<Self>,
        phase: Phase,
        response: ResponseView,
        payload: Option<Bytes>,
        how: How,
    ) -> bool {
        let mut state = self.state();
        if phase == Phase::ResponseBodyFilter && std::mem::take(&mut state.early) {
            return true;
        }
        if state.stage != Stage::Idle || state.closed || state.parted {
            return false;
        }
        let deliver = how.inline.is_some() && !state.delivering;
        state.here = deliver;
        state.stage = Stage::Due(phase);
        state.response = response;
        state.payload = payload;
        state.operations.clear();
        state.operations_size = 0;
        state.events.clear();
        state.begun = None;
        state.logging_until = how.until;
        state.ahead = how.ahead;
        if !state.registered {
            state.registered = true;
            self.tell(&mut state, Item::Register);
        }
        self.tell(&mut state, Item::Start { phase, may_run: how.may_run });
        state.here = false;
        drop(state);
        if deliver && let Some(until) = how.inline {
            self.deliver_here(until);
        }
        true
    }

    /// The phase is over, as the library or its mask says.
    pub(crate) fn complete(self: &Arc<Self>, state: &mut State, action: Action) {
        state.stage = Stage::Idle;
        // A read of another thread of the handler that waits for a body: it will not come any more.
        self.release_reads(state);
        if state.logging_until.take().is_some() {
            self.entry.nexts.seen.store(true, Relaxed);
            state.later = true;
            self.close_in(state);
            state.later = false;
        } else {
            state.push(Event::Done(action));
        }
    }

    /// Ends the session because of what the library did, or did not do.
    pub(crate) fn fail(self: &Arc<Self>, state: &mut State, kind: PluginErrorKind, what: impl Into<String>) {
        let what = what.into();
        self.complain(format_args!("{what}"));
        if state.logging_until.is_some() {
            self.abandon_in(state);
            return;
        }
        state.stage = Stage::Dead;
        state.push(Event::Failed(PluginError::new(kind, what)));
        self.wake_writers(state);
    }

    /// Lets the threads go on that wait for the client.
    pub(crate) fn wake_writers(&self, state: &State) {
        if state.writers > 0 {
            self.space.notify_all();
        }
    }

    /// Gives the session up in the middle of whatever it does: nothing of it counts any more.
    pub(crate) fn abandon(self: &Arc<Self>) {
        self.abandon_in(&mut self.state());
    }

    fn abandon_in(self: &Arc<Self>, state: &mut State) {
        if state.closed {
            return;
        }
        let at_work = state.registered && state.stage != Stage::Idle;
        if at_work {
            state.stuck = state.calling.is_some_and(|since| since.elapsed() >= STUCK);
            state.buried = true;
            TABLE.bury(self.sid);
        }
        self.close_in(state);
    }

    /// Ends the session. The library hears of it when it has heard everything else; on this thread, if `inline`.
    pub(crate) fn close(self: &Arc<Self>, inline: Option<Instant>) {
        let mut state = self.state();
        let deliver = inline.is_some() && !state.delivering;
        state.here = deliver;
        self.close_in(&mut state);
        state.here = false;
        let deliver = deliver && state.delivering;
        drop(state);
        if deliver && let Some(until) = inline {
            self.deliver_here(until);
        }
    }

    fn close_in(self: &Arc<Self>, state: &mut State) {
        if state.closed {
            return;
        }
        state.closed = true;
        self.library.live.fetch_sub(1, Relaxed);
        state.stage = Stage::Dead;
        state.logging_until = None;
        state.events.clear();
        state.operations = Vec::new();
        state.response = ResponseView::default();
        state.request_body = None;
        rooms::leave_all(self, state);
        self.release_reads(state);
        self.wake_writers(state);
        if state.starting {
            // The handler may be running in that call, and this is how it hears that nobody waits for it.
            self.submit(Job::Close(Arc::clone(self)), false);
        } else if !state.parted {
            self.tell(state, Item::Close);
        }
    }

    /// Gives the library's threads something to do. `awaited`: a task of this gateway thread waits for what comes of it.
    pub(crate) fn submit(&self, job: Job, awaited: bool) {
        if let Err(job) = courier::carry(self.library.pool, job, awaited) {
            self.library.pool.submit(job);
        }
    }

    /// The library hears that the session is over, though the gateway still has to take what came of it.
    pub(crate) fn part(self: &Arc<Self>, state: &mut State) {
        if !state.closed {
            state.parted = true;
            self.tell(state, Item::Close);
        }
    }

    /// Lets a session end whose logging phase takes too long, and looks after gateway threads that are in the library.
    pub(crate) fn expire(self: &Arc<Self>, now: Instant) {
        let mut state = self.state();
        if let Some((since, until)) = state.inline
            && !state.closed
        {
            self.library.blocked_for(now.saturating_duration_since(since), &self.entry.label);
            if now >= until && state.logging_until.is_none() {
                // The thread that waits for the phase cannot say so. A handler that listens returns now.
                self.complain(format_args!("the handler is over its deadline on a gateway thread"));
                self.abandon_in(&mut state);
                return;
            }
        }
        if state.logging_until.is_some_and(|until| now >= until) {
            self.fail(&mut state, PluginErrorKind::Timeout, "the logging phase is over its deadline");
        }
    }

    /// When the library was told of the phase.
    pub(crate) fn begun(&self) -> Option<Instant> {
        self.state().begun
    }

    /// The next thing that happens.
    pub(crate) fn poll_event(&self, cx: &mut Context<'_>) -> Poll<Event> {
        let mut state = self.state();
        match state.events.pop_front() {
            Some(event) => {
                if let Event::Data(bytes) | Event::Send(_, bytes) = &event {
                    state.handed += bytes.len() + OVERHEAD;
                }
                Poll::Ready(event)
            }
            None => {
                state.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Whether anything has happened.
    pub(crate) fn poll_any(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if !state.events.is_empty() {
            return Poll::Ready(());
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// What was polled is in the client's socket.
    pub(crate) fn moved_on(&self) {
        let mut state = self.state();
        let handed = std::mem::take(&mut state.handed);
        state.weight = state.weight.saturating_sub(handed);
        if handed > 0 {
            self.wake_writers(&state);
        }
    }
}
