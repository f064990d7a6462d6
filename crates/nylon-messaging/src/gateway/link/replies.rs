//! What comes to the thread's reply subjects, and what is said to who is late (SPEC 3.3).

use std::rc::Weak;

use async_nats::{Message, StatusCode, Subject};
use bytes::Bytes;
use futures_util::StreamExt;
use nylon_wire::{AbortFrame, AbortReason, Ext, First, Frame, FrameType, Header, peek, session_frames, subject};

use super::Link;
use crate::{
    gateway::slots::{Signal, slot_of},
    subscription::Subscription,
};

/// Hands what comes to who waits for it.
pub(super) async fn answers(link: Weak<Link>, mut replies: Subscription) {
    while let Some(message) = replies.next().await {
        match link.upgrade() {
            Some(link) => link.dispatch(message),
            None => return,
        }
    }
}

impl Link {
    fn dispatch(&self, message: Message) {
        let Some(slot) = subject::parse_slot(&message.subject) else {
            self.stats.stale.add();
            return;
        };
        if message.status == Some(StatusCode::NO_RESPONDERS) {
            self.stats.no_responders.add();
            self.slots.borrow_mut().no_responders(slot);
            return;
        }
        let reply = message.reply;
        for frame in session_frames(message.payload) {
            match frame.and_then(|frame| peek(&frame).map(|(kind, header)| (frame, kind, header))) {
                Ok((frame, kind, header)) => {
                    if !self.slots.borrow_mut().deliver(&header, frame.clone()) {
                        self.stale(slot_of(header.generation), kind, header, &frame, reply.as_ref());
                    }
                }
                Err(error) => {
                    // Nobody can say whose it is; who waits here must not go on as if nothing were wrong.
                    self.stats.protocol_errors.add();
                    let waits = self.slots.borrow_mut().signal(slot, Signal::Rubbish);
                    tracing::warn!(%error, slot, waits, "a message to a reply subject is no frame");
                }
            }
        }
    }

    /// Tells the worker of a first answer that comes too late, or that asks, that nobody waits for it any more (SPEC 3.3).
    fn stale(&self, slot: u32, kind: FrameType, header: Header, payload: &Bytes, reply: Option<&Subject>) {
        self.stats.stale.add();
        if kind == FrameType::Probe {
            let worker = reply.filter(|reply| subject::is_worker(&self.messaging.options.prefix, reply));
            return self.abort_stale(header, worker.cloned());
        }
        if !matches!(
            kind,
            FrameType::Accept
                | FrameType::Result
                | FrameType::Fetch
                | FrameType::Error
                | FrameType::Stream
                | FrameType::Upgrade
        ) {
            return;
        }
        let Some(first) = Frame::decode(payload).ok().and_then(first_of) else { return };
        self.abort_stale(header, self.subjects_of(&first.worker, slot));
    }

    fn abort_stale(&self, header: Header, workers: impl IntoIterator<Item = Subject>) {
        let abort = AbortFrame {
            header: Header { seq: 0, ..header },
            reason: AbortReason::Stale,
            text: None,
            ext: Ext::empty(),
        };
        let frame = self.encode(|out| abort.encode(out));
        for worker in workers {
            if let Err(error) = self.publish(worker, None, frame.clone()) {
                tracing::debug!(%error, "an abort was not sent");
            }
        }
    }

    /// Where a worker may listen: known from its beats, else in the group that used the slot last, else in any group.
    fn subjects_of(&self, worker: &str, slot: u32) -> Vec<Subject> {
        let table = &self.messaging.table;
        if let Some(subject) = table.subject_of(worker) {
            return vec![subject];
        }
        let prefix = &self.messaging.options.prefix;
        let in_group = |group: &str| subject::worker(prefix, group, worker).ok().map(Subject::from);
        match self.slots.borrow().get(slot) {
            Some(slot) => in_group(&slot.group).into_iter().collect(),
            None => table.groups().iter().filter_map(|group| in_group(group.name())).collect(),
        }
    }
}

/// The first-frame part of an answer.
fn first_of(frame: Frame) -> Option<First> {
    match frame {
        Frame::Accept(frame) => frame.first,
        Frame::Result(frame) => frame.first,
        Frame::Fetch(frame) => frame.first,
        Frame::Error(frame) => frame.first,
        Frame::Stream(frame) => frame.first,
        Frame::Upgrade(frame) => frame.first,
        _ => None,
    }
}
