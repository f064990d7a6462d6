//! What the library is going to be told: one thing after the other, and beside them the answers to reads that had to wait.

use std::sync::Arc;

use bytes::Bytes;

use crate::{
    courier,
    shared::{Job, Shared},
    state::{Item, OVERHEAD, Stage, State},
    view::nothing,
};

impl Shared {
    /// Puts something into the outbox.
    pub(crate) fn tell(self: &Arc<Self>, state: &mut State, item: Item) {
        if let Item::Socket(_, bytes) = &item {
            state.outbox_weight += bytes.len() + OVERHEAD;
        }
        state.outbox.push_back(item);
        if !state.delivering {
            state.delivering = true;
            if state.later {
                self.library.pool.submit_later(Job::Deliver(Arc::clone(self)));
            } else if !state.here {
                let awaited = matches!(state.stage, Stage::Due(_)) && state.logging_until.is_none();
                self.submit(Job::Deliver(Arc::clone(self)), awaited);
            }
        }
    }

    /// Gives the library's threads something to do. `awaited`: a task of this gateway thread waits for what comes of it.
    pub(crate) fn submit(&self, job: Job, awaited: bool) {
        if let Err(job) = courier::carry(self.library.pool, job, awaited) {
            self.library.pool.submit(job);
        }
    }

    /// Queues the answer to a read that had to wait. Not behind what else the session is told: a library may read on the
    /// very thread that tells it to begin.
    pub(crate) fn reply(self: &Arc<Self>, state: &mut State, number: u32, answer: Bytes) {
        state.replies.push_back((number, answer));
        if !state.replying {
            state.replying = true;
            self.submit(Job::Reply(Arc::clone(self)), false);
        }
    }

    /// Answers what waits with nothing: it will not come any more.
    pub(crate) fn release_reads(self: &Arc<Self>, state: &mut State) {
        for (number, _) in std::mem::take(&mut state.held) {
            self.reply(state, number, nothing(number));
        }
    }
}
