//! Rooms whose members are no workers' sockets: one task of one gateway thread listens and speaks for the whole process.

use std::{
    collections::HashMap,
    rc::{Rc, Weak},
    sync::Mutex,
};

use bytes::Bytes;
use futures_util::StreamExt;
use nylon_plugin::{MessageKind, RoomCarrier};
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::JoinHandle,
};

use super::{
    link::Link,
    rooms::{read, subject_of},
};
use crate::lock::lock;

/// Hands a room's message to its members in this process.
pub type Deliver = fn(plugin: &str, room: &str, kind: MessageKind, bytes: &Bytes);

/// What the task is told.
#[derive(Debug)]
struct Order {
    plugin: Box<str>,
    room: Box<str>,
    what: What,
}

#[derive(Debug)]
enum What {
    Open,
    Close,
    Say(MessageKind, Bytes),
}

/// The rooms of this process over one messaging entry.
#[derive(Debug)]
pub struct CarriedRooms {
    orders: UnboundedSender<Order>,
    /// Until the task has it.
    unheard: Mutex<Option<UnboundedReceiver<Order>>>,
}

impl Default for CarriedRooms {
    fn default() -> Self {
        let (orders, unheard) = unbounded_channel();
        Self { orders, unheard: Mutex::new(Some(unheard)) }
    }
}

impl RoomCarrier for CarriedRooms {
    fn open(&self, plugin: &str, room: &str) {
        self.order(plugin, room, What::Open);
    }

    fn close(&self, plugin: &str, room: &str) {
        self.order(plugin, room, What::Close);
    }

    fn say(&self, plugin: &str, room: &str, kind: MessageKind, bytes: Bytes) {
        self.order(plugin, room, What::Say(kind, bytes));
    }
}

impl CarriedRooms {
    fn order(&self, plugin: &str, room: &str, what: What) {
        // Without a task the gateway ends, and nobody listens any more.
        let _ = self.orders.send(Order { plugin: plugin.into(), room: room.into(), what });
    }

    /// Starts the task on this thread's link, once.
    pub fn start(&self, link: &Rc<Link>, deliver: Deliver) {
        let unheard = lock(&self.unheard).take();
        if let Some(orders) = unheard {
            tokio::task::spawn_local(carry(Rc::downgrade(link), orders, deliver));
        }
    }
}

/// A room with members in this process. Dropped, it is not listened to any more.
struct Listening {
    members: usize,
    listener: JoinHandle<()>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

/// The subscription of a room is sent before anything that is said after the join, over the same connection: who has joined
/// hears what he says.
async fn carry(link: Weak<Link>, mut orders: UnboundedReceiver<Order>, deliver: Deliver) {
    let mut rooms = HashMap::<String, Listening>::new();
    while let Some(Order { plugin, room, what }) = orders.recv().await {
        let Some(link) = link.upgrade() else { return };
        let subject = match subject_of(&link, &plugin, &room) {
            Ok(subject) => subject,
            Err(error) => {
                tracing::warn!(%plugin, %error, "a plugin library has a room that reaches nobody");
                continue;
            }
        };
        match what {
            What::Open => {
                if let Some(known) = rooms.get_mut(&subject) {
                    known.members += 1;
                    continue;
                }
                let Ok(mut messages) = link.connection.subscribe(subject.clone()).await else { return };
                let stats = link.stats.clone();
                let listener = tokio::task::spawn_local(async move {
                    while let Some(message) = messages.next().await {
                        match read(message) {
                            Some((kind, bytes)) => deliver(&plugin, &room, kind, &bytes),
                            None => stats.protocol_errors.add(),
                        }
                    }
                });
                rooms.insert(subject, Listening { members: 1, listener });
            }
            What::Close => {
                if let Some(known) = rooms.get_mut(&subject) {
                    known.members -= 1;
                    if known.members == 0 {
                        rooms.remove(&subject);
                    }
                }
            }
            What::Say(kind, bytes) => {
                if let Err(error) = link.broadcast(&plugin, &room, kind, &bytes) {
                    tracing::warn!(%plugin, %error, "what a plugin library says in a room is lost");
                }
            }
        }
    }
}
