//! Frames on their way to workers: what is ready in the same turn of the thread shares a message (BATCH).

use std::rc::{Rc, Weak};

use async_nats::Subject;
use bytes::Bytes;
use nylon_wire::{AbortFrame, AbortReason, Ext, Frame, Header, encode_batch};
use tokio::sync::Notify;

use super::Link;
use crate::{
    PublishError,
    gateway::{post::Post, slots::Signal},
};

/// Sends what was posted, at the end of each turn of the thread.
pub(super) async fn postman(link: Weak<Link>, posted: Rc<Notify>) {
    loop {
        // Woken by the first post of a turn, it runs after everything that was ready then.
        posted.notified().await;
        match link.upgrade() {
            Some(link) => link.send_posts(),
            None => return,
        }
    }
}

impl Link {
    /// Hands over a frame for a worker's direct subject: it leaves, with others that are ready now, at the end of this turn
    /// of the thread. `waits`: where its session waits for an answer, and its generation; should the frame not leave after
    /// all, that session is told.
    pub(in crate::gateway) fn post(
        &self,
        worker: &Subject,
        waits: Option<(Subject, u32)>,
        frame: Bytes,
    ) -> Result<(), PublishError> {
        let most = self.max_payload();
        let refused = match () {
            () if !self.is_connected() => Some(PublishError::Disconnected),
            () if frame.len() > most => Some(PublishError::TooLong(most)),
            () => None,
        };
        if let Some(error) = refused {
            self.stats.unsent.add();
            return Err(error);
        }
        let mut posts = self.posts.borrow_mut();
        if posts.is_empty() {
            self.posted.notify_one();
        }
        let full = posts.add(worker, waits, frame, most);
        drop(posts);
        if let Some(full) = full {
            self.send_post(full);
        }
        Ok(())
    }

    pub(super) fn send_posts(&self) {
        let posts = self.posts.borrow_mut().take();
        posts.into_iter().for_each(|post| self.send_post(post));
    }

    fn send_post(&self, post: Post) {
        let payload = match &post.frames[..] {
            [frame] => frame.clone(),
            frames => self.encode(|out| encode_batch(out, frames.iter().map(|frame| &frame[..]))),
        };
        let sent = self.publish(post.worker, post.reply, payload);
        let mut slots = self.slots.borrow_mut();
        match sent {
            Ok(()) => slots.travel_together(&post.waiting),
            Err(_) => {
                post.waiting.iter().for_each(|generation| slots.signal_session(*generation, Signal::Disconnected));
            }
        }
    }

    /// Sends a frame of the session in the slot to its worker, with the next sequence number.
    pub(in crate::gateway) fn send(&self, slot: u32, frame: impl FnOnce(Header) -> Frame) -> Result<(), PublishError> {
        let found = self.slots.borrow_mut().get_mut(slot).and_then(|slot| {
            let worker = slot.worker.as_ref()?.subject().clone();
            Some((worker, slot.next_header()))
        });
        let Some((worker, header)) = found else { return Err(PublishError::Disconnected) };
        let frame = frame(header);
        self.post(&worker, None, self.encode(|out| frame.encode(out)))
    }

    /// Tells the worker of the session in the slot, if one is known, that the session is over.
    pub(in crate::gateway) fn abort(&self, slot: u32, reason: AbortReason, text: Option<&str>) {
        let known = self.slots.borrow().get(slot).is_some_and(|slot| slot.worker.is_some());
        if known {
            let text = text.map(Into::into);
            let sent = self.send(slot, |header| Frame::Abort(AbortFrame { header, reason, text, ext: Ext::empty() }));
            if let Err(error) = sent {
                // The worker finds out by its probe of the reply subject.
                tracing::debug!(%error, "an abort was not sent");
            }
        }
    }
}
