//! How phases and sessions end.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Instant,
};

use nylon_plugin::{Action, PluginError, PluginErrorKind};

use crate::{
    extension::reads_body,
    pool::STUCK,
    rooms,
    shared::{Job, Shared},
    state::{Event, Item, Stage, State},
    table::TABLE,
    view::ResponseView,
};

impl Shared {
    /// The phase is over, as the library or its mask says.
    pub(crate) fn complete(self: &Arc<Self>, state: &mut State, action: Action) {
        state.stage = Stage::Idle;
        // A read of another thread of the handler that waits for a body: it will not come any more.
        self.release_reads(state);
        if state.logging_until.take().is_some() {
            self.entry.nexts.found_end();
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
            // One that takes no more than the ABI may wait for answers behind the close.
            if !self.library.symbols.takes_extensions() {
                state.buried = true;
                TABLE.bury(self.sid);
            }
        }
        self.close_in(state);
    }

    /// Ends the session. The library hears of it when it has heard everything else.
    pub(crate) fn close_in(self: &Arc<Self>, state: &mut State) {
        if state.closed {
            return;
        }
        state.closed = true;
        self.library.live.fetch_sub(1, Relaxed);
        state.stage = Stage::Dead;
        state.logging_until = None;
        state.events.clear();
        state.operations = Vec::new();
        (state.request, state.payload, state.piece, state.ahead) = (None, None, None, None);
        state.response = ResponseView::default();
        state.request_body = None;
        rooms::leave_all(self, state);
        if self.library.symbols.takes_extensions() {
            // The close that follows wakes them. Nothing would say that the body is whole.
            state.held.retain(|&(number, _)| !reads_body(number));
        }
        self.release_reads(state);
        self.wake_writers(state);
        if state.parted {
            return;
        }
        // Behind the events of its WebSocket, though.
        if state.starting && !state.had_socket {
            // The handler may be running in that call, and this is how it hears that nobody waits for it.
            self.submit(Job::Close(Arc::clone(self)), false);
        } else {
            self.tell(state, Item::Close);
        }
    }

    /// The library hears that the session is over, though the gateway still has to take what came of it.
    pub(crate) fn part(self: &Arc<Self>, state: &mut State) {
        if !state.closed {
            state.parted = true;
            self.tell(state, Item::Close);
        }
    }

    /// The same at once, on another thread: this gateway thread is in the library, in a phase that has failed.
    pub(crate) fn part_beside(self: &Arc<Self>, state: &mut State) {
        if !state.closed && !state.parted {
            state.parted = true;
            self.library.pool.submit(Job::Close(Arc::clone(self)));
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
}
