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
    Reply(u32, Bytes),
    Socket(u32, Bytes),
    Close,
}

impl Shared {
    /// Puts something into the outbox.
    pub(crate) fn tell(self: &Arc<Self>, state: &mut State, item: Item) {
        match &item {
            Item::Reply(..) => state.replies += 1,
            Item::Socket(_, bytes) => state.outbox_weight += bytes.len() + OVERHEAD,
            Item::Register | Item::Start(_) | Item::Close => {}
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
                    drop(state);
                    let known = symbols.register(self.sid, &self.entry.entry, self.library.callback);
                    let mask = if known { symbols.session_phases(self.sid).map(PhaseMask) } else { None };
                    let mut state = self.state();
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
                    drop(state);
                    symbols.event(self.sid, phase as u8, 0, &[]);
                }
                Item::Start(_) => {}
                Item::Reply(number, bytes) => {
                    drop(state);
                    symbols.event(self.sid, 0, number, &bytes);
                    self.state().replies -= 1;
                }
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

    /// Whether replies have to go through the outbox to stay in order.
    pub(crate) fn replies_wait(state: &State) -> bool {
        state.replies > 0
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
