//! What waits to be published: frames for the same gateway thread that are ready together share a message (SPEC 4.11).

use std::collections::VecDeque;

use async_nats::Subject;
use bytes::{Bytes, BytesMut};
use nylon_wire::{Limits, encode_batch};

use crate::PublishError;

/// Bytes of messages that may wait for the connection.
pub(super) const UNSENT_LIMIT: usize = 32 << 20;
/// More gateway threads than this are not remembered between two turns.
const KEPT_BATCHES: usize = 64;

struct Message {
    subject: Subject,
    reply: Option<Subject>,
    payload: Bytes,
}

/// Frames for one gateway thread, in their order.
struct Batch {
    /// Where the first frame goes.
    subject: Subject,
    /// Length of the part of `subject` that names the gateway thread.
    gateway: usize,
    frames: BytesMut,
    ends: Vec<usize>,
}

impl Batch {
    fn is_for(&self, gateway: &str) -> bool {
        self.subject.as_str().get(..self.gateway) == Some(gateway)
    }

    /// Takes the message out.
    fn close(&mut self, buffer: &mut BytesMut) -> Option<Message> {
        let frames = self.frames.split().freeze();
        let payload = match self.ends[..] {
            [] => return None,
            [_] => frames,
            _ => {
                let mut start = 0;
                let each = self.ends.iter().map(|end| frames.get(std::mem::replace(&mut start, *end)..*end));
                encode_batch(buffer, each.map(Option::unwrap_or_default));
                buffer.split().freeze()
            }
        };
        self.ends.clear();
        Some(Message { subject: self.subject.clone(), reply: None, payload })
    }
}

fn push(queue: &mut VecDeque<Message>, bytes: &mut usize, message: Option<Message>) {
    if let Some(message) = message {
        *bytes += message.payload.len();
        queue.push_back(message);
    }
}

/// The way out.
pub(super) struct Outgoing {
    queue: VecDeque<Message>,
    batches: Vec<Batch>,
    /// Bytes in `queue`.
    bytes: usize,
    buffer: BytesMut,
    max_payload: usize,
}

impl Outgoing {
    pub fn new(max_payload: usize) -> Self {
        Self { queue: VecDeque::new(), batches: Vec::new(), bytes: 0, buffer: BytesMut::new(), max_payload }
    }

    pub fn set_max_payload(&mut self, bytes: usize) {
        self.max_payload = bytes;
    }

    /// Queues a session frame for the gateway that listens on `subject`.
    pub fn frame(&mut self, subject: Subject, encode: impl FnOnce(&mut BytesMut)) {
        let most = Limits::MAX_BATCH.min(self.max_payload);
        let gateway = subject.rfind('.').unwrap_or_default();
        let named = subject.as_str().get(..gateway).unwrap_or_default();
        let found = self.batches.iter().position(|batch| batch.is_for(named));
        let place = found.unwrap_or_else(|| {
            if self.batches.len() >= KEPT_BATCHES {
                self.close();
                self.batches.clear();
            }
            let (frames, ends) = (BytesMut::new(), Vec::new());
            self.batches.push(Batch { subject: subject.clone(), gateway, frames, ends });
            self.batches.len() - 1
        });
        let Some(batch) = self.batches.get_mut(place) else { return };
        if batch.frames.capacity() - batch.frames.len() < 1_024 {
            batch.frames.reserve(16 << 10);
        }
        let start = batch.frames.len();
        encode(&mut batch.frames);
        // What does not fit goes into a message after this one, so that the order is kept.
        let full = batch.frames.len() + Limits::BATCH_OVERHEAD * (batch.ends.len() + 2) > most;
        if full && start > 0 {
            let last = batch.frames.split_off(start);
            let closed = batch.close(&mut self.buffer);
            batch.frames = last;
            push(&mut self.queue, &mut self.bytes, closed);
        }
        if batch.ends.is_empty() {
            batch.subject = subject;
        }
        batch.ends.push(batch.frames.len());
    }

    /// Queues a message that is never part of a batch.
    pub fn alone(&mut self, subject: Subject, reply: Option<Subject>, encode: impl FnOnce(&mut BytesMut)) {
        // It may speak of frames that are ready before it.
        self.close();
        encode(&mut self.buffer);
        let payload = self.buffer.split().freeze();
        push(&mut self.queue, &mut self.bytes, Some(Message { subject, reply, payload }));
    }

    fn close(&mut self) {
        for batch in &mut self.batches {
            let closed = batch.close(&mut self.buffer);
            push(&mut self.queue, &mut self.bytes, closed);
        }
    }

    /// Publishes what it can; what it cannot stays for later, within limits. `lost` hears of what is given up.
    pub fn send(
        &mut self,
        mut publish: impl FnMut(&Subject, Option<&Subject>, &Bytes) -> Result<(), PublishError>,
        mut lost: impl FnMut(PublishError, usize),
    ) {
        self.close();
        while let Some(message) = self.queue.front() {
            let length = message.payload.len();
            match publish(&message.subject, message.reply.as_ref(), &message.payload) {
                Ok(()) => {}
                Err(error @ PublishError::TooLong(_)) => lost(error, length),
                Err(_) if self.bytes <= UNSENT_LIMIT => return,
                Err(error) => lost(error, length),
            }
            self.queue.pop_front();
            self.bytes -= length;
        }
    }

    pub fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.batches.iter().all(|batch| batch.ends.is_empty())
    }

    #[cfg(test)]
    pub fn waiting(&self) -> (usize, usize) {
        (self.bytes, self.queue.len())
    }
}

#[cfg(test)]
mod tests {
    use nylon_wire::session_frames;

    use super::*;

    fn sent(out: &mut Outgoing) -> Vec<(String, Vec<Bytes>)> {
        let mut sent = Vec::new();
        let publish = |subject: &Subject, _: Option<&Subject>, payload: &Bytes| {
            sent.push((subject.to_string(), session_frames(payload.clone()).map(Result::unwrap).collect()));
            Ok(())
        };
        out.send(publish, |error, _| panic!("{error}"));
        assert!(out.is_empty() && out.waiting() == (0, 0));
        sent
    }

    fn put(out: &mut Outgoing, subject: &'static str, frame: &[u8]) {
        out.frame(Subject::from_static(subject), |bytes| bytes.extend_from_slice(frame));
    }

    #[test]
    fn frames_for_one_gateway_thread_share_a_message() {
        let mut out = Outgoing::new(1 << 20);
        for _ in 0..2 {
            put(&mut out, "n.v1.h.g.0.7", b"\x91a");
            put(&mut out, "n.v1.h.g.1.7", b"\x91b");
            put(&mut out, "n.v1.h.g.0.12", b"\x91c");
            let sent = sent(&mut out);
            assert_eq!(sent.iter().map(|(to, _)| to.as_str()).collect::<Vec<_>>(), ["n.v1.h.g.0.7", "n.v1.h.g.1.7"]);
            assert_eq!(sent[0].1, [&b"\x91a"[..], b"\x91c"]);
            assert_eq!(sent[1].1, [&b"\x91b"[..]]);
        }
    }

    #[test]
    fn what_does_not_fit_travels_after_what_came_before() {
        let mut out = Outgoing::new(1_000);
        let (small, large) = ([0x91; 300], vec![0x92; 900]);
        for frame in [&small[..], &small, &small, &large, &small] {
            put(&mut out, "n.v1.h.g.0.7", frame);
        }
        let lengths: Vec<Vec<_>> =
            sent(&mut out).iter().map(|(_, frames)| frames.iter().map(Bytes::len).collect()).collect();
        assert_eq!(lengths, [vec![300, 300, 300], vec![900], vec![300]]);
    }

    #[test]
    fn many_gateways_are_not_remembered() {
        let mut out = Outgoing::new(1 << 20);
        for number in 0..1_000 {
            out.frame(format!("n.v1.h.g{number}.0.1").into(), |bytes| bytes.extend_from_slice(b"\x91a"));
            assert!(out.batches.len() <= KEPT_BATCHES);
        }
        assert_eq!(sent(&mut out).len(), 1_000);
    }
}
