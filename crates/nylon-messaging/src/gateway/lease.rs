//! A session's hold on a slot: given back on drop, after a rest if NATS may still answer to it.

use std::{
    cell::Cell,
    future::poll_fn,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
};

use async_nats::Subject;
use nylon_plugin::{PluginError, PluginErrorKind};
use nylon_wire::{AbortReason, Frame, Header};

use super::{
    known::KnownWorker,
    link::Link,
    slots::{Event, REST_MS},
};
use crate::{Clock, PublishError};

/// A slot in use.
pub(super) struct Lease {
    pub link: Rc<Link>,
    index: u32,
    /// Whether "no responders" may still come.
    restless: Cell<bool>,
}

impl Lease {
    /// Takes a slot for a new session of the group.
    pub(super) fn take(link: &Rc<Link>, group: &str) -> Result<Self, PluginError> {
        let session =
            link.random.borrow_mut().session().map_err(|error| {
                PluginError::new(PluginErrorKind::Unavailable, format!("making a session id: {error}"))
            })?;
        let taken = link.slots.borrow_mut().take(session, group);
        let Some(index) = taken else {
            return Err(PluginError::new(PluginErrorKind::Busy, "too many sessions are open on this thread"));
        };
        link.note_pending();
        Ok(Self { link: link.clone(), index, restless: Cell::new(false) })
    }

    /// Reply subject and header for the first frame.
    pub(super) fn first(&self) -> Option<(Subject, Header)> {
        let mut slots = self.link.slots.borrow_mut();
        let slot = slots.get_mut(self.index)?;
        Some((slot.reply.clone(), slot.next_header()))
    }

    /// Reply subject and header for a probe, which has no place in the order.
    pub(super) fn probe(&self) -> Option<(Subject, Header)> {
        self.link.slots.borrow().get(self.index).map(|slot| (slot.reply.clone(), slot.header))
    }

    /// Starts the next phase run: reply subject and header of its first frame.
    pub(super) fn next_phase(&self) -> Option<(Subject, Header)> {
        let mut slots = self.link.slots.borrow_mut();
        let slot = slots.get_mut(self.index)?;
        slot.header.phase_seq = slot.header.phase_seq.wrapping_add(1);
        Some((slot.reply.clone(), slot.next_header()))
    }

    /// The number of the phase run.
    pub(super) fn phase_seq(&self) -> u32 {
        self.link.slots.borrow().get(self.index).map_or(0, |slot| slot.header.phase_seq)
    }

    /// Names the worker that the session talks to.
    pub(super) fn set_worker(&self, worker: &Arc<KnownWorker>) {
        if let Some(slot) = self.link.slots.borrow_mut().get_mut(self.index) {
            slot.worker = Some(worker.clone());
        }
    }

    pub(super) fn set_waiting(&self, waiting: bool) {
        self.link.slots.borrow_mut().set_waiting(self.index, waiting);
    }

    pub(super) fn set_restless(&self, restless: bool) {
        self.restless.set(restless);
    }

    /// Polls for the next event, at the latest `due_ms`.
    pub(super) fn poll(&self, due_ms: u64, cx: &Context<'_>) -> Poll<Event> {
        self.link.slots.borrow_mut().poll(self.index, due_ms, cx)
    }

    /// The next event, at the latest `due_ms`.
    pub(super) async fn next(&self, due_ms: u64) -> Event {
        poll_fn(|cx| self.poll(due_ms, cx)).await
    }

    /// Sends a frame to the worker.
    pub(super) fn send(&self, frame: impl FnOnce(Header) -> Frame) -> Result<(), PublishError> {
        self.link.send(self.index, frame)
    }

    /// Tells the worker that the session is over.
    pub(super) fn abort(&self, reason: AbortReason, text: Option<&str>) {
        self.link.abort(self.index, reason, text);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let rest = self.restless.get().then(|| Clock::now_ms() + REST_MS);
        self.link.slots.borrow_mut().release(self.index, rest);
        self.link.note_released();
    }
}
