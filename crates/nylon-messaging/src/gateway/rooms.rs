//! Rooms: who of this thread's sockets is in which, and the way of a broadcast to them (SPEC 14.12).

pub(super) mod carried;
pub(super) mod carrier;
mod echo;
pub(super) mod member;
mod speech;

use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, VecDeque},
    rc::Weak,
    task::Waker,
};

use bytes::Bytes;
use nylon_plugin::MessageKind;
use nylon_wire::subject;
use tokio::task::JoinHandle;

use crate::PublishError;

/// So much of its rooms' messages may wait for a socket, in bytes; more closes it (SPEC 14.12).
const QUEUE: usize = 1 << 20;
/// What a message in the queue weighs besides its bytes.
const OVERHEAD: usize = 64;
/// Rooms that one socket may be in at a time.
const ROOMS: usize = 1_024;

/// Why a room could not be joined or spoken to.
#[derive(Debug, thiserror::Error)]
pub(super) enum RoomError {
    #[error("the room's name makes no subject: {0}")]
    Name(#[from] subject::SubjectError),
    #[error("the room's name contains a NUL")]
    Nul,
    #[error("a socket can be in {ROOMS} rooms")]
    TooMany,
    #[error("broadcasting: {0}")]
    Publish(#[from] PublishError),
}

/// The rooms of a thread, by subject.
#[derive(Default)]
pub(super) struct Rooms(RefCell<HashMap<String, Room>>);

/// A room with members on this thread.
struct Room {
    members: Vec<Weak<Seat>>,
    /// Calls that wait for the subscription, by member.
    waiting: Vec<(Weak<Seat>, u32)>,
    confirmed: bool,
    listener: JoinHandle<()>,
}

impl Drop for Room {
    fn drop(&mut self) {
        // The subscription ends with it.
        self.listener.abort();
    }
}

/// What the room's side knows of a member.
#[derive(Default)]
struct Seat {
    queue: RefCell<VecDeque<(MessageKind, Bytes)>>,
    /// Bytes in the queue, and handed to the client's socket without being there yet.
    weight: Cell<usize>,
    handed: Cell<usize>,
    overflown: Cell<bool>,
    joined: RefCell<VecDeque<u32>>,
    /// Everything said until [`member::Member::settle`] was called has come.
    settled: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Seat {
    fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn deliver(&self, kind: MessageKind, bytes: Bytes) {
        let weight = self.weight.get() + bytes.len() + OVERHEAD;
        if self.overflown.get() {
            return;
        }
        if weight > QUEUE {
            self.overflown.set(true);
            self.queue.borrow_mut().clear();
        } else {
            self.weight.set(weight);
            self.queue.borrow_mut().push_back((kind, bytes));
        }
        self.wake();
    }
}
