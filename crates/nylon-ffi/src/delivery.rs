//! How the library is told, on its threads or on a gateway thread.

use std::{
    cell::Cell,
    sync::{Arc, MutexGuard},
    time::Instant,
};

use bytes::Bytes;
use nylon_plugin::{Action, Phase, PhaseMask, PluginErrorKind};

use crate::{
    shared::{Job, Shared},
    state::{How, Item, OVERHEAD, Stage, State},
    table::TABLE,
    view::ResponseView,
};

thread_local! {
    /// This is a gateway thread, in a library.
    static INLINE: Cell<bool> = const { Cell::new(false) };
}

/// Whether this is a gateway thread, in a library: nothing may wait here for what only it can do.
pub(crate) fn is_inline() -> bool {
    INLINE.get()
}

/// Whether the session has a phase behind this one.
fn any_after(mask: PhaseMask, phase: Phase) -> bool {
    Phase::ALL.iter().any(|&later| later > phase && mask.has(later))
}

impl Job {
    /// On a thread of the library.
    pub(crate) fn run(self) {
        match self {
            Self::Deliver(session) => session.deliver(),
            Self::Reply(session) => session.deliver_replies(),
            Self::Close(session) => session.deliver_close(),
            Self::Call(call) => call(),
        }
    }
}

impl Shared {
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
        state.again = how.again;
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

    /// Tells the library what is in the outbox, on this gateway thread. The phase that begins may last until `until`.
    pub(crate) fn deliver_here(self: &Arc<Self>, until: Instant) {
        let since = Instant::now();
        self.state().inline = Some((since, until));
        INLINE.set(true);
        self.deliver();
        INLINE.set(false);
        self.state().inline = None;
        self.library.blocked_for(since.elapsed(), &self.entry.label);
    }

    /// Tells the library what is in the outbox. On a thread of the library's pool, or one that may be kept.
    pub(crate) fn deliver(self: &Arc<Self>) {
        let symbols = &self.library.symbols;
        loop {
            let mut state = self.state();
            let Some(item) = state.outbox.pop_front() else {
                state.told();
                return;
            };
            match item {
                Item::Register if state.stage == Stage::Dead => state.registered = false,
                Item::Register => {
                    state.calling = Some(Instant::now());
                    drop(state);
                    let known = symbols.register(self.sid, &self.entry.entry, self.library.callback);
                    let said = if known { symbols.session_phases(self.sid) } else { None };
                    let mut state = self.state();
                    state.calling = None;
                    (state.mask, state.streams_body) =
                        said.map_or((None, false), |(mask, streams)| (Some(mask), streams));
                    if !known && state.stage != Stage::Dead {
                        let what = format!("the library has no entry {:?}, or refuses the session", self.entry.entry);
                        self.fail(&mut state, PluginErrorKind::Handler, what);
                    }
                }
                Item::Start { phase, may_run } if state.stage == Stage::Due(phase) => {
                    state.begun = Some(Instant::now());
                    if state.mask.is_some_and(|mask| !mask.has(phase)) {
                        self.complete(&mut state, Action::Next);
                        continue;
                    }
                    state.stage = Stage::Running(phase);
                    state.calling = state.begun;
                    // One that hears of the end of a session by that alone may wait for it on the very thread that it is told on.
                    state.starting = may_run && symbols.runs_phases() || symbols.takes_extensions();
                    drop(state);
                    let returned = symbols.start(self.sid, phase as u8, may_run);
                    let mut state = self.state();
                    state.calling = None;
                    state.starting = false;
                    let last = state.mask.is_some_and(|mask| !any_after(mask, phase)) && !state.again;
                    if returned && last && state.stage == Stage::Idle {
                        self.part(&mut state);
                    }
                }
                Item::Start { .. } => {}
                Item::Socket(number, bytes) => {
                    drop(state);
                    symbols.event(self.sid, 0, number, &bytes);
                    self.state().outbox_weight -= bytes.len() + OVERHEAD;
                }
                Item::Close => {
                    drop(state);
                    self.deliver_close();
                }
            }
        }
    }

    /// Begins the body filter if the response filter that has just ended leaves the answer as it is, without a word from the
    /// gateway thread.
    pub(crate) fn go_on(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        let Some(response) = state.ahead.take() else { return };
        if state.stage != Stage::Idle || !state.operations.is_empty() {
            return;
        }
        let phase = Phase::ResponseBodyFilter;
        (state.early, state.response) = (true, response);
        state.stage = Stage::Due(phase);
        // A Go library takes what it is told on a thread of its own, within its call.
        if state.delivering || !self.library.symbols.go {
            self.tell(&mut state, Item::Start { phase, may_run: false });
            return;
        }
        state.delivering = true;
        state.stage = Stage::Running(phase);
        state.calling = Some(Instant::now());
        drop(state);
        self.library.symbols.event(self.sid, phase as u8, 0, &[]);
        let mut state = self.state();
        state.calling = None;
        if state.outbox.is_empty() {
            state.told();
        } else {
            self.submit(Job::Deliver(Arc::clone(self)), false);
        }
    }

    /// Tells the library that the session is over.
    pub(crate) fn deliver_close(&self) {
        let state = self.state();
        let (registered, buried) = (state.registered, state.buried);
        drop(state);
        if registered {
            self.library.symbols.close(self.sid);
        }
        if !buried {
            TABLE.remove(self.sid);
        }
    }

    /// Gives the library the answers that are queued. On a thread of its pool.
    pub(crate) fn deliver_replies(&self) {
        loop {
            let mut state = self.state();
            let Some((number, answer)) = state.replies.pop_front() else {
                state.replying = false;
                return;
            };
            drop(state);
            self.library.symbols.event(self.sid, 0, number, &answer);
        }
    }
}
