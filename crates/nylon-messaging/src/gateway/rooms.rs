//! Rooms: who of this thread's sockets is in which, and the way of a broadcast to them (SPEC 14.12).

use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, VecDeque},
    rc::{Rc, Weak},
    task::{Context, Poll, Waker},
    time::Duration,
};

use async_nats::{Message, Subject};
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::StreamExt;
use nylon_plugin::MessageKind;
use nylon_wire::{DataKind, Limits, subject};
use tokio::task::JoinHandle;

use super::link::Link;
use crate::{PublishError, subscription::Subscription};

/// So much of its rooms' messages may wait for a socket, in bytes; more closes it (SPEC 14.12).
const QUEUE: usize = 1 << 20;
/// What a message in the queue weighs besides its bytes.
const OVERHEAD: usize = 64;
/// Rooms that one socket may be in at a time.
const ROOMS: usize = 1_024;

/// How long the server may take to confirm a subscription, and when it is asked again.
const FLUSH: Duration = Duration::from_secs(2);
const AGAIN: Duration = Duration::from_millis(50);

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
    flushed: bool,
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

/// A socket that is or was in rooms. Dropped, it leaves them.
pub(super) struct Member {
    link: Rc<Link>,
    seat: Rc<Seat>,
    rooms: Vec<String>,
}

impl Member {
    pub(super) fn new(link: &Rc<Link>) -> Self {
        Self { link: link.clone(), seat: Rc::default(), rooms: Vec::new() }
    }

    /// Joins; [`Member::joined`] names the call when broadcasts reach it.
    pub(super) fn join(&mut self, plugin: &str, room: &str, call: u32) -> Result<(), RoomError> {
        let subject = subject_of(&self.link, plugin, room)?;
        if self.rooms.len() >= ROOMS {
            return Err(RoomError::TooMany);
        }
        let mut rooms = self.link.rooms.0.borrow_mut();
        let entry = rooms.entry(subject.clone()).or_insert_with(|| Room {
            members: Vec::new(),
            waiting: Vec::new(),
            flushed: false,
            listener: tokio::task::spawn_local(listen(Rc::downgrade(&self.link), subject.clone())),
        });
        if !self.rooms.contains(&subject) {
            entry.members.push(Rc::downgrade(&self.seat));
            self.rooms.push(subject);
        }
        if entry.flushed {
            self.seat.joined.borrow_mut().push_back(call);
        } else {
            entry.waiting.push((Rc::downgrade(&self.seat), call));
        }
        Ok(())
    }

    pub(super) fn leave(&mut self, plugin: &str, room: &str) {
        let Ok(subject) = subject_of(&self.link, plugin, room) else { return };
        if let Some(index) = self.rooms.iter().position(|joined| *joined == subject) {
            self.rooms.swap_remove(index);
            self.depart(&subject);
        }
    }

    fn depart(&self, subject: &str) {
        let mut rooms = self.link.rooms.0.borrow_mut();
        let Some(room) = rooms.get_mut(subject) else { return };
        room.members.retain(|member| !std::ptr::eq(member.as_ptr(), Rc::as_ptr(&self.seat)));
        if room.members.is_empty() {
            rooms.remove(subject);
        }
    }

    /// A call to join that is done now.
    pub(super) fn joined(&mut self) -> Option<u32> {
        self.seat.joined.borrow_mut().pop_front()
    }

    /// Whether more has come than the client takes.
    pub(super) fn overflown(&self) -> bool {
        self.seat.overflown.get()
    }

    /// The next message of a room.
    pub(super) fn poll(&mut self, cx: &Context<'_>) -> Poll<(MessageKind, Bytes)> {
        match self.seat.queue.borrow_mut().pop_front() {
            Some((kind, bytes)) => {
                self.seat.handed.set(self.seat.handed.get() + bytes.len() + OVERHEAD);
                Poll::Ready((kind, bytes))
            }
            None => {
                self.seat.waker.replace(Some(cx.waker().clone()));
                Poll::Pending
            }
        }
    }

    /// What was polled is in the client's socket.
    pub(super) fn moved_on(&mut self) {
        let seat = &self.seat;
        seat.weight.set(seat.weight.get().saturating_sub(seat.handed.take()));
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        for subject in std::mem::take(&mut self.rooms) {
            self.depart(&subject);
        }
    }
}

impl Link {
    /// Sends a message to all members of a room, wherever they are, this thread's too.
    pub(super) fn broadcast(
        &self,
        plugin: &str,
        room: &str,
        kind: MessageKind,
        message: &Bytes,
    ) -> Result<(), RoomError> {
        let to = Subject::from(subject_of(self, plugin, room)?);
        let kind = match kind {
            MessageKind::Text => DataKind::Text,
            MessageKind::Binary => DataKind::Binary,
        };
        let payload = self.encode(|out: &mut BytesMut| {
            out.put_u8(kind.number());
            out.put_slice(message);
        });
        // No longer than a piece (SPEC 14.12).
        let most = Limits::chunk(self.max_payload());
        if payload.len() > most {
            return Err(PublishError::TooLong(most).into());
        }
        Ok(self.publish(to, None, payload)?)
    }
}

pub(super) fn subject_of(link: &Link, plugin: &str, room: &str) -> Result<String, RoomError> {
    if room.contains('\0') {
        return Err(RoomError::Nul);
    }
    Ok(subject::room(&link.messaging.options.prefix, plugin, room)?)
}

/// Hands a room's messages to its members on this thread.
async fn listen(link: Weak<Link>, subject: String) {
    let Some(mut messages) = subscribe(&link, &subject).await else { return };
    if let Some(link) = link.upgrade()
        && let Some(room) = link.rooms.0.borrow_mut().get_mut(&subject)
    {
        room.flushed = true;
        for (member, call) in room.waiting.drain(..) {
            if let Some(seat) = member.upgrade() {
                seat.joined.borrow_mut().push_back(call);
                seat.wake();
            }
        }
    }
    while let Some(message) = messages.next().await {
        let Some(link) = link.upgrade() else { return };
        let Some((kind, bytes)) = read(message) else {
            link.stats.protocol_errors.add();
            continue;
        };
        let rooms = link.rooms.0.borrow();
        let Some(room) = rooms.get(&subject) else { return };
        for seat in room.members.iter().filter_map(Weak::upgrade) {
            seat.deliver(kind, bytes.clone());
        }
    }
}

/// A subscription that the server knows of.
async fn subscribe(link: &Weak<Link>, subject: &str) -> Option<Subscription> {
    let messages = link.upgrade()?.connection.subscribe(subject.to_owned()).await.ok()?;
    // Without a connection it is made with the next one.
    while link.upgrade()?.connection.flush(FLUSH).await.is_err() {
        tokio::time::sleep(AGAIN).await;
    }
    Some(messages)
}

pub(super) fn read(message: Message) -> Option<(MessageKind, Bytes)> {
    let mut bytes = message.payload;
    if bytes.is_empty() {
        return None;
    }
    let kind = match DataKind::from_number(u64::from(bytes.split_to(1)[0])) {
        Some(DataKind::Text) if std::str::from_utf8(&bytes).is_ok() => MessageKind::Text,
        Some(DataKind::Binary) => MessageKind::Binary,
        _ => return None,
    };
    Some((kind, bytes))
}
