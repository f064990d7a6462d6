//! A socket in rooms, and how their messages reach it.

use std::{
    rc::{Rc, Weak},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::StreamExt;
use nylon_plugin::MessageKind;

use super::{
    OVERHEAD, ROOMS, Room, RoomError, Seat,
    echo::PATIENCE,
    speech::{read, subject_of},
};
use crate::{gateway::link::Link, subscription::Subscription};

/// When the server is asked again.
const AGAIN: Duration = Duration::from_millis(50);

/// A socket that is or was in rooms. Dropped, it leaves them.
pub(in crate::gateway) struct Member {
    link: Rc<Link>,
    seat: Rc<Seat>,
    rooms: Vec<String>,
}

impl Member {
    pub(in crate::gateway) fn new(link: &Rc<Link>) -> Self {
        Self { link: link.clone(), seat: Rc::default(), rooms: Vec::new() }
    }

    /// Joins; [`Member::joined`] names the call when broadcasts reach it.
    pub(in crate::gateway) fn join(&mut self, plugin: &str, room: &str, call: u32) -> Result<(), RoomError> {
        let subject = subject_of(&self.link, plugin, room)?;
        if self.rooms.len() >= ROOMS {
            return Err(RoomError::TooMany);
        }
        let mut rooms = self.link.rooms.0.borrow_mut();
        let entry = rooms.entry(subject.clone()).or_insert_with(|| Room {
            members: Vec::new(),
            waiting: Vec::new(),
            confirmed: false,
            listener: tokio::task::spawn_local(listen(Rc::downgrade(&self.link), subject.clone())),
        });
        if !self.rooms.contains(&subject) {
            entry.members.push(Rc::downgrade(&self.seat));
            self.rooms.push(subject);
        }
        if entry.confirmed {
            self.seat.joined.borrow_mut().push_back(call);
        } else {
            entry.waiting.push((Rc::downgrade(&self.seat), call));
        }
        Ok(())
    }

    /// Leaves. Returns the calls to join that come to nothing by it.
    pub(in crate::gateway) fn leave(&mut self, plugin: &str, room: &str) -> Vec<u32> {
        let Ok(subject) = subject_of(&self.link, plugin, room) else { return Vec::new() };
        let Some(index) = self.rooms.iter().position(|joined| *joined == subject) else { return Vec::new() };
        self.rooms.swap_remove(index);
        self.depart(&subject)
    }

    /// Leaves every room. Returns the calls to join that nobody has answered.
    pub(in crate::gateway) fn end(mut self) -> Vec<u32> {
        let mut calls = Vec::from(self.seat.joined.take());
        for subject in std::mem::take(&mut self.rooms) {
            calls.extend(self.depart(&subject));
        }
        calls
    }

    fn depart(&self, subject: &str) -> Vec<u32> {
        let mut rooms = self.link.rooms.0.borrow_mut();
        let Some(room) = rooms.get_mut(subject) else { return Vec::new() };
        let ours = |member: &Weak<Seat>| std::ptr::eq(member.as_ptr(), Rc::as_ptr(&self.seat));
        room.members.retain(|member| !ours(member));
        let calls = room.waiting.extract_if(.., |(member, _)| ours(member)).map(|(_, call)| call).collect();
        if room.members.is_empty() {
            rooms.remove(subject);
        }
        calls
    }

    /// A call to join that is done now.
    pub(in crate::gateway) fn joined(&mut self) -> Option<u32> {
        self.seat.joined.borrow_mut().pop_front()
    }

    /// Waits until everything that has been said in its rooms by now has come to it.
    pub(in crate::gateway) fn settle(&self) {
        let (link, seat) = (self.link.clone(), Rc::downgrade(&self.seat));
        tokio::task::spawn_local(async move {
            link.settle().await;
            if let Some(seat) = seat.upgrade() {
                seat.settled.set(true);
                seat.wake();
            }
        });
    }

    /// Whether it has.
    pub(in crate::gateway) fn is_settled(&self) -> bool {
        self.seat.settled.get()
    }

    /// Whether more has come than the client takes.
    pub(in crate::gateway) fn overflown(&self) -> bool {
        self.seat.overflown.get()
    }

    /// The next message of a room.
    pub(in crate::gateway) fn poll(&mut self, cx: &Context<'_>) -> Poll<(MessageKind, Bytes)> {
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
    pub(in crate::gateway) fn moved_on(&mut self) {
        let seat = &self.seat;
        seat.weight.set(seat.weight.get().saturating_sub(seat.handed.take()));
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        for subject in std::mem::take(&mut self.rooms) {
            let _nobody_waits = self.depart(&subject);
        }
    }
}

/// Hands a room's messages to its members on this thread.
async fn listen(link: Weak<Link>, subject: String) {
    let Some(mut messages) = subscribe(&link, &subject).await else { return };
    if let Some(link) = link.upgrade()
        && let Some(room) = link.rooms.0.borrow_mut().get_mut(&subject)
    {
        room.confirmed = true;
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
    while link.upgrade()?.round_trip(PATIENCE).await.is_err() {
        tokio::time::sleep(AGAIN).await;
    }
    Some(messages)
}
