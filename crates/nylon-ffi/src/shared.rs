//! A session as both sides see it: the library's threads and the one gateway thread that its request belongs to.

use std::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Instant,
};

use nylon_plugin::{PhaseMask, RoomCarrier};

use crate::{
    inbox::Inbox,
    library::Library,
    lock::lock,
    state::{Event, OVERHEAD, Stage, State},
    view::RequestView,
};

/// A session.
pub(crate) struct Shared {
    pub(crate) sid: u32,
    pub(crate) library: &'static Library,
    pub(crate) entry: Arc<EntryName>,
    /// The longest body that it gets or makes, bytes.
    pub(crate) max_body: usize,
    state: Mutex<State>,
    /// The queue for the client has become shorter. Of interest while somebody is in `State::writers` only: waking nobody
    /// costs a system call.
    pub(crate) space: Condvar,
}

/// Something to be done on a thread of the library. Its pool is of these, so the two files know each other.
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

    pub(crate) fn found_end(&self) {
        self.seen.store(true, Relaxed);
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
        inbox: Arc<Inbox>,
    ) -> Self {
        library.live.fetch_add(1, Relaxed);
        let state = State { request: Some(request), inbox: Some(inbox), ..State::default() };
        Self { sid, library, entry, max_body, state: Mutex::new(state), space: Condvar::new() }
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

    /// Lets the threads go on that wait for the client.
    pub(crate) fn wake_writers(&self, state: &State) {
        if state.writers > 0 {
            self.space.notify_all();
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

    /// Whether the library takes another message of the client.
    pub(crate) fn takes_more(&self) -> bool {
        self.state().outbox_weight < 256 << 10
    }

    /// Whether everything has been told to the library.
    pub(crate) fn poll_told(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if !state.delivering {
            return Poll::Ready(());
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}
