//! A session as both sides see it: the library's threads and the one gateway thread that its request belongs to.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, atomic::Ordering::Relaxed},
    task::{Context, Poll, Waker},
    time::Instant,
};

use bytes::Bytes;
use nylon_plugin::{Action, MessageKind, Operation, Phase, PhaseMask, PluginError, PluginErrorKind};

use crate::{
    library::Library,
    outbox::Item,
    pool::STUCK,
    rooms,
    table::TABLE,
    view::{RequestView, ResponseView},
};

/// What a queued message weighs besides its bytes.
pub(crate) const OVERHEAD: usize = 64;

/// How far a session is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Between two phases.
    #[default]
    Idle,
    /// A phase is going to begin; the library has not been told.
    Due(Phase),
    /// The library has been told, and has not said next or end.
    Running(Phase),
    /// It sends the answer piece by piece.
    Streaming,
    /// It wants a WebSocket; the gateway looks whether it can have one.
    Upgrading,
    /// It has one.
    Socket,
    /// Failed, abandoned or closed: nothing that comes counts any more.
    Dead,
}

/// What the gateway thread hears of a session, in order.
#[derive(Debug)]
pub(crate) enum Event {
    /// The phase is over.
    Done(Action),
    /// The phase has failed; the session is dead.
    Failed(PluginError),
    /// A read waits for the request's body.
    RequestBody,
    /// A read waits for the next piece of it.
    RequestPiece,
    /// A read waits for the body of the answer.
    ResponseBody,
    /// The answer follows piece by piece.
    Stream,
    /// A piece of it.
    Data(Bytes),
    /// It is whole.
    StreamEnd,
    /// The request shall become a WebSocket.
    Upgrade,
    /// A message for the client.
    Send(MessageKind, Bytes),
    /// The socket shall be closed.
    Close {
        /// RFC 6455, 7.4.
        code: u16,
        reason: &'static str,
    },
}

/// A session.
pub(crate) struct Shared {
    pub(crate) sid: u32,
    pub(crate) library: &'static Library,
    pub(crate) entry: Arc<EntryName>,
    pub(crate) request: RequestView,
    /// The longest body that it gets or makes, bytes.
    pub(crate) max_body: usize,
    state: Mutex<State>,
    /// The queue for the client has become shorter.
    pub(crate) space: Condvar,
}

/// What an entry is called.
pub(crate) struct EntryName {
    pub(crate) plugin: Arc<str>,
    pub(crate) entry: Box<str>,
    /// `plugin/entry`.
    pub(crate) label: Box<str>,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) stage: Stage,
    pub(crate) payload: Option<Bytes>,
    pub(crate) response: ResponseView,
    pub(crate) request_body: Option<Bytes>,
    /// Of the request's body, for the read that waits for it.
    pub(crate) piece: Option<Bytes>,
    pub(crate) operations: Vec<Operation>,
    /// Bytes in them.
    pub(crate) operations_size: usize,
    /// Reads behind one that waits for a body: they are answered in order.
    pub(crate) held: VecDeque<(u32, Bytes)>,
    pub(crate) events: VecDeque<Event>,
    pub(crate) waker: Option<Waker>,
    /// Of messages for the client that are not in its socket, bytes; and those of them that were handed to it.
    pub(crate) weight: usize,
    pub(crate) handed: usize,
    pub(crate) outbox: VecDeque<Item>,
    pub(crate) outbox_weight: usize,
    pub(crate) delivering: bool,
    /// Answers to reads that had to wait: what is answered now comes behind them.
    pub(crate) replies: VecDeque<(u32, Bytes)>,
    pub(crate) replying: bool,
    pub(crate) registered: bool,
    pub(crate) mask: Option<PhaseMask>,
    /// When the library was told of the phase.
    pub(crate) begun: Option<Instant>,
    /// Nobody waits for the phase; it has to be over by then.
    pub(crate) logging_until: Option<Instant>,
    /// It had a WebSocket.
    pub(crate) had_socket: bool,
    pub(crate) rooms: Vec<String>,
    /// More came from rooms than the client takes.
    pub(crate) overflown: bool,
    closed: bool,
    pub(crate) buried: bool,
    /// Since when the library has not returned from being told to begin.
    pub(crate) calling: Option<Instant>,
    /// It was given up while the library did not return from a call.
    pub(crate) stuck: bool,
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
        Self { sid, library, entry, request, max_body, state: Mutex::default(), space: Condvar::new() }
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

    /// The phases that the library says the session has, once it has been asked.
    pub(crate) fn mask(&self) -> Option<PhaseMask> {
        self.state().mask
    }

    /// Begins a phase. `until` is for phases that nobody waits for. Whether the session is still good for it.
    pub(crate) fn begin(
        self: &Arc<Self>,
        phase: Phase,
        response: ResponseView,
        payload: Option<Bytes>,
        until: Option<Instant>,
    ) -> bool {
        let mut state = self.state();
        if state.stage != Stage::Idle || state.closed {
            return false;
        }
        state.stage = Stage::Due(phase);
        state.response = response;
        state.payload = payload;
        state.operations.clear();
        state.operations_size = 0;
        state.events.clear();
        state.begun = None;
        state.logging_until = until;
        if !state.registered {
            state.registered = true;
            self.tell(&mut state, Item::Register);
        }
        self.tell(&mut state, Item::Start(phase));
        true
    }

    /// The phase is over, as the library or its mask says.
    pub(crate) fn complete(self: &Arc<Self>, state: &mut State, action: Action) {
        state.stage = Stage::Idle;
        // A read of another thread of the handler that waits for a body: it will not come any more.
        self.release_reads(state);
        if state.logging_until.take().is_some() {
            self.close_in(state);
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
        self.space.notify_all();
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

    /// Ends the session. The library hears of it when it has heard everything else.
    pub(crate) fn close(self: &Arc<Self>) {
        self.close_in(&mut self.state());
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
        self.space.notify_all();
        self.tell(state, Item::Close);
    }

    /// Lets a session end whose logging phase takes too long.
    pub(crate) fn expire(self: &Arc<Self>, now: Instant) {
        let mut state = self.state();
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
            self.space.notify_all();
        }
    }
}

impl State {
    /// Whether the request's body can be taken piece by piece: by a request filter, or in its stream.
    pub(crate) fn may_take(&self) -> bool {
        matches!(self.stage, Stage::Running(Phase::RequestFilter) | Stage::Streaming)
    }

    /// Tells the gateway thread.
    pub(crate) fn push(&mut self, event: Event) {
        self.events.push_back(event);
        self.wake();
    }

    pub(crate) fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// Poisoning only says that another thread panicked; what is behind the lock is whole at all times.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
