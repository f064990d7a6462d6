//! What the gateway tells a session: one thing after the other, on the threads of the library.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use bytes::Bytes;
use nylon_plugin::{Action, Phase, PhaseMask, PluginErrorKind};

use crate::{
    pool::Job,
    shared::{OVERHEAD, Shared, Stage, State},
    table::TABLE,
};

/// What waits to be told to the library. One thread at a time does so, in order.
pub(crate) enum Item {
    Register,
    Start(Phase),
    Socket(u32, Bytes),
    Close,
}

impl Shared {
    /// Puts something into the outbox.
    pub(crate) fn tell(self: &Arc<Self>, state: &mut State, item: Item) {
        if let Item::Socket(_, bytes) = &item {
            state.outbox_weight += bytes.len() + OVERHEAD;
        }
        state.outbox.push_back(item);
        if !state.delivering {
            state.delivering = true;
            self.library.pool.submit(Job::Deliver(Arc::clone(self)));
        }
    }

    /// Tells the library what is in the outbox. On a thread of the library's pool.
    pub(crate) fn deliver(self: &Arc<Self>) {
        let symbols = &self.library.symbols;
        loop {
            let mut state = self.state();
            let Some(item) = state.outbox.pop_front() else {
                state.delivering = false;
                state.wake();
                return;
            };
            match item {
                Item::Register if state.stage == Stage::Dead => state.registered = false,
                Item::Register => {
                    state.calling = Some(Instant::now());
                    drop(state);
                    let known = symbols.register(self.sid, &self.entry.entry, self.library.callback);
                    let mask = if known { symbols.session_phases(self.sid).map(PhaseMask) } else { None };
                    let mut state = self.state();
                    state.calling = None;
                    state.mask = mask;
                    if !known && state.stage != Stage::Dead {
                        let what = format!("the library has no entry {:?}, or refuses the session", self.entry.entry);
                        self.fail(&mut state, PluginErrorKind::Handler, what);
                    }
                }
                Item::Start(phase) if state.stage == Stage::Due(phase) => {
                    state.begun = Some(Instant::now());
                    if state.mask.is_some_and(|mask| !mask.has(phase)) {
                        self.complete(&mut state, Action::Next);
                        continue;
                    }
                    state.stage = Stage::Running(phase);
                    state.calling = state.begun;
                    drop(state);
                    symbols.event(self.sid, phase as u8, 0, &[]);
                    self.state().calling = None;
                }
                Item::Start(_) => {}
                Item::Socket(number, bytes) => {
                    drop(state);
                    symbols.event(self.sid, 0, number, &bytes);
                    self.state().outbox_weight -= bytes.len() + OVERHEAD;
                }
                Item::Close => {
                    let (registered, buried) = (state.registered, state.buried);
                    drop(state);
                    if registered {
                        symbols.close(self.sid);
                    }
                    if !buried {
                        TABLE.remove(self.sid);
                    }
                }
            }
        }
    }

    /// Queues the answer to a read that had to wait. Not behind what else the session is told: a library may read on the
    /// very thread that tells it to begin.
    pub(crate) fn reply(self: &Arc<Self>, state: &mut State, number: u32, answer: Bytes) {
        state.replies.push_back((number, answer));
        if !state.replying {
            state.replying = true;
            self.library.pool.submit(Job::Reply(Arc::clone(self)));
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
