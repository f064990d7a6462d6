//! What goes to the client. A library that sends faster than its client takes has to wait.

use std::{
    sync::{
        Arc, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use nylon_plugin::PluginErrorKind;

use crate::{
    delivery::is_inline,
    shared::Shared,
    state::{Event, OVERHEAD, Stage, State},
};

/// A library that sends more than its client takes waits once so much is queued, bytes, but never longer than this.
const SOFT: usize = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(1);
/// Threads of all libraries that may wait so.
const WAITING: usize = 256;
/// Beyond this the client is too slow for it, bytes.
const HARD: usize = 8 << 20;

static WAITERS: AtomicUsize = AtomicUsize::new(0);

impl Shared {
    /// Queues something for the client. The library's thread waits a little while the client is slow.
    pub(crate) fn queue(self: &Arc<Self>, mut state: MutexGuard<'_, State>, event: Event, length: usize) {
        if length > HARD.max(self.max_body) {
            self.fail(&mut state, PluginErrorKind::Protocol, format!("a message of {length} bytes is too long"));
            return;
        }
        state.weight += length + OVERHEAD;
        state.push(event);
        if state.weight <= SOFT {
            return;
        }
        // A gateway thread would wait for itself.
        if !is_inline() {
            if WAITERS.fetch_add(1, Relaxed) < WAITING {
                let full = |state: &mut State| state.weight > SOFT && state.stage != Stage::Dead;
                state.writers += 1;
                let waited = self.space.wait_timeout_while(state, PATIENCE, full);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
                state.writers -= 1;
            }
            WAITERS.fetch_sub(1, Relaxed);
        }
        if state.weight > HARD.max(length + OVERHEAD) && state.stage != Stage::Dead {
            let what = format!("{} bytes wait for a client that does not take them", state.weight);
            self.fail(&mut state, PluginErrorKind::Busy, what);
        }
    }
}
