//! The pending slots of a link: where an answer finds who waits for it, in one array access (rules §1).

use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use async_nats::Subject;
use bytes::Bytes;
use nylon_wire::{Header, SessionId};

use super::known::KnownWorker;

/// A slot that NATS may still answer to rests for so long before it is used again. Milliseconds.
pub(super) const REST_MS: u64 = 1_000;
/// A generation is the slot's number in its lower half and the number of the use in its upper one (SPEC 3.2).
const SLOT_BITS: u32 = 16;
/// More sessions than this are not held at once.
const MAX_SLOTS: usize = 1 << SLOT_BITS;
/// What a worker may have waiting in a slot; credit keeps honest ones far below.
const MAX_WAITING_FRAMES: usize = 4_200;
const MAX_WAITING_BYTES: usize = 8 << 20;
const NEVER: u64 = u64::MAX;

/// The slot that a generation leads to.
pub(super) fn slot_of(generation: u32) -> u32 {
    generation & ((1 << SLOT_BITS) - 1)
}

/// What can happen to a slot besides a frame. Several at once are told one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Signal {
    /// The link closes.
    Shutdown = 1,
    /// NATS is lost, or has dropped messages.
    Disconnected = 2,
    /// A message that no session can claim, or more than a slot holds.
    Rubbish = 4,
    /// Nobody listens where the open or the probe went.
    NoResponders = 8,
    /// The time has come that the slot asked for.
    Due = 16,
}

const SIGNALS: [Signal; 5] =
    [Signal::Shutdown, Signal::Disconnected, Signal::Rubbish, Signal::NoResponders, Signal::Due];

/// What a waiting session gets.
#[derive(Debug)]
pub(super) enum Event {
    /// A frame of this session.
    Frame(Bytes),
    /// Something else.
    Signal(Signal),
}

pub(super) struct Slot {
    pub header: Header,
    pub reply: Subject,
    /// The worker that the session talks to, once it is known.
    pub worker: Option<Arc<KnownWorker>>,
    /// The group of the last session, for answers that come too late.
    pub group: Box<str>,
    in_use: bool,
    /// Whether somebody waits for an answer: only then a lost connection is his failure.
    waiting: bool,
    signals: u8,
    inbox: VecDeque<Bytes>,
    inbox_bytes: usize,
    waker: Option<Waker>,
    /// Generations of the slots whose frames went out under this slot's reply subject: its "no responders" is theirs.
    companions: Vec<u32>,
}

/// The slots of one link.
pub(super) struct Slots {
    /// Reply subject without the slot: `<p>.v1.h.<gateway>.<thread>.`
    prefix: String,
    slots: Vec<Slot>,
    /// When each slot wants to hear of the time; beside the slots, because it is scanned.
    due: Vec<u64>,
    free: Vec<u32>,
    resting: VecDeque<(u64, u32)>,
    in_use: usize,
}

impl Slots {
    pub(super) fn new(prefix: String) -> Self {
        Self { prefix, slots: Vec::new(), due: Vec::new(), free: Vec::new(), resting: VecDeque::new(), in_use: 0 }
    }

    /// The slot that was freed last, for a new session. `None` when there are too many.
    pub(super) fn take(&mut self, session: SessionId, group: &str) -> Option<u32> {
        let index = match self.free.pop() {
            Some(index) => index,
            None => self.grow()?,
        };
        let slot = self.slots.get_mut(index as usize)?;
        let generation = (slot.header.generation & !(u32::MAX >> SLOT_BITS)).wrapping_add(1 << SLOT_BITS) | index;
        slot.companions.clear();
        slot.header = Header { session, generation, seq: 0, phase_seq: 0 };
        slot.in_use = true;
        if *slot.group != *group {
            slot.group = group.into();
        }
        self.in_use += 1;
        Some(index)
    }

    fn grow(&mut self) -> Option<u32> {
        if self.slots.len() >= MAX_SLOTS {
            return None;
        }
        let index = u32::try_from(self.slots.len()).ok()?;
        self.slots.push(Slot {
            header: Header::default(),
            reply: Subject::from(format!("{}{index}", self.prefix)),
            worker: None,
            group: Box::default(),
            in_use: false,
            waiting: false,
            signals: 0,
            inbox: VecDeque::new(),
            inbox_bytes: 0,
            waker: None,
            companions: Vec::new(),
        });
        self.due.push(NEVER);
        Some(index)
    }

    /// Ends a session's use of the slot. With `rest_until_ms` it is not used again before then.
    pub(super) fn release(&mut self, index: u32, rest_until_ms: Option<u64>) {
        let Some(slot) = self.slots.get_mut(index as usize) else { return };
        if !slot.in_use {
            return;
        }
        slot.in_use = false;
        slot.waiting = false;
        slot.signals = 0;
        slot.inbox.clear();
        slot.inbox_bytes = 0;
        slot.waker = None;
        slot.worker = None;
        if let Some(due) = self.due.get_mut(index as usize) {
            *due = NEVER;
        }
        self.in_use -= 1;
        match rest_until_ms {
            Some(until) => self.resting.push_back((until, index)),
            None => self.free.push(index),
        }
    }

    pub(super) fn get(&self, index: u32) -> Option<&Slot> {
        self.slots.get(index as usize)
    }

    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut Slot> {
        self.slots.get_mut(index as usize).filter(|slot| slot.in_use)
    }

    /// Puts a frame into the slot it names. False if the slot is no longer of that session.
    pub(super) fn deliver(&mut self, header: &Header, payload: Bytes) -> bool {
        let Some(slot) = self.get_mut(slot_of(header.generation)) else { return false };
        if slot.header.generation != header.generation || slot.header.session != header.session {
            return false;
        }
        slot.inbox_bytes += payload.len();
        if slot.inbox.len() >= MAX_WAITING_FRAMES || slot.inbox_bytes > MAX_WAITING_BYTES {
            slot.inbox.clear();
            slot.signal(Signal::Rubbish);
        } else {
            // Where nobody waits for it, it may wait for a slow client, and must not keep the whole buffer that it was read into.
            let waits = slot.waker.is_none() || !slot.inbox.is_empty();
            slot.inbox.push_back(if waits { Bytes::copy_from_slice(&payload) } else { payload });
            slot.wake();
        }
        true
    }

    /// Tells a slot that is in use.
    pub(super) fn signal(&mut self, index: u32, signal: Signal) -> bool {
        self.get_mut(index).map(|slot| slot.signal(signal)).is_some()
    }

    /// Tells the session of that generation, if it is still there.
    pub(super) fn signal_session(&mut self, generation: u32, signal: Signal) {
        if let Some(slot) = self.get_mut(slot_of(generation)).filter(|slot| slot.header.generation == generation) {
            slot.signal(signal);
        }
    }

    /// Notes that the frames of these sessions travel together, under the reply subject of the first one.
    pub(super) fn travel_together(&mut self, waiting: &[u32]) {
        if let Some((first, others)) = waiting.split_first()
            && let Some(slot) = self.slots.get_mut(slot_of(*first) as usize)
        {
            slot.companions.clear();
            slot.companions.extend_from_slice(others);
        }
    }

    /// Nobody listens where the frames of this slot, and of those that travelled with it, went.
    pub(super) fn no_responders(&mut self, index: u32) {
        let companions = self.slots.get_mut(index as usize).map(|slot| std::mem::take(&mut slot.companions));
        self.signal(index, Signal::NoResponders);
        for generation in companions.into_iter().flatten() {
            self.signal_session(generation, Signal::NoResponders);
        }
    }

    /// Tells every session that waits for an answer.
    pub(super) fn signal_waiting(&mut self, signal: Signal) {
        self.slots.iter_mut().filter(|slot| slot.in_use && slot.waiting).for_each(|slot| slot.signal(signal));
    }

    /// Slots in use, by index.
    pub(super) fn used(&self) -> Vec<u32> {
        let used = self.slots.iter().zip(0u32..).filter(|(slot, _)| slot.in_use);
        used.map(|(_, index)| index).collect()
    }

    /// Wakes whoever is due and ends rests. True while there is anything to wait for.
    pub(super) fn tick(&mut self, now: u64) -> bool {
        for (due, slot) in self.due.iter_mut().zip(&mut self.slots) {
            if *due <= now {
                *due = NEVER;
                slot.signal(Signal::Due);
            }
        }
        while self.resting.front().is_some_and(|(until, _)| *until <= now) {
            self.free.extend(self.resting.pop_front().map(|(_, index)| index));
        }
        self.in_use > 0 || !self.resting.is_empty()
    }

    /// The next event of a slot in use, at the latest `due_ms`.
    pub(super) fn poll(&mut self, index: u32, due_ms: u64, cx: &Context<'_>) -> Poll<Event> {
        let Some(slot) = self.get_mut(index) else { return Poll::Ready(Event::Signal(Signal::Shutdown)) };
        if slot.signals != 0 {
            for signal in SIGNALS {
                // A deadline does not overtake an answer that is here.
                if slot.signals & signal as u8 != 0 && (signal != Signal::Due || slot.inbox.is_empty()) {
                    slot.signals &= !(signal as u8);
                    return Poll::Ready(Event::Signal(signal));
                }
            }
        }
        if let Some(frame) = slot.inbox.pop_front() {
            slot.inbox_bytes -= frame.len();
            return Poll::Ready(Event::Frame(frame));
        }
        match &mut slot.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            None => slot.waker = Some(cx.waker().clone()),
        }
        if let Some(due) = self.due.get_mut(index as usize) {
            *due = due_ms;
        }
        Poll::Pending
    }

    /// Says whether a session waits for an answer from now on.
    pub(super) fn set_waiting(&mut self, index: u32, waiting: bool) {
        if let Some(slot) = self.get_mut(index) {
            slot.waiting = waiting;
            slot.signals &= !(Signal::Due as u8);
            if !waiting {
                slot.waker = None;
            }
        }
        if let Some(due) = self.due.get_mut(index as usize) {
            *due = NEVER;
        }
    }

    pub(super) fn in_use(&self) -> usize {
        self.in_use
    }

    pub(super) fn resting(&self) -> usize {
        self.resting.len()
    }
}

impl Slot {
    fn signal(&mut self, signal: Signal) {
        self.signals |= signal as u8;
        self.wake();
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// The header of the next frame to the worker.
    pub(super) fn next_header(&mut self) -> Header {
        let header = self.header;
        self.header.seq = self.header.seq.wrapping_add(1);
        header
    }
}

#[cfg(test)]
mod tests;
