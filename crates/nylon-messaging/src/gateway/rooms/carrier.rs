//! The task that carries the rooms of those who are no workers: it listens and speaks over one thread's link.

use std::{
    collections::HashMap,
    rc::{Rc, Weak},
};

use bytes::Bytes;
use futures_util::StreamExt;
use nylon_plugin::MessageKind;
use tokio::{sync::mpsc::UnboundedReceiver, task::JoinHandle};

use super::{
    carried::{Order, What},
    speech::{read, subject_of},
};
use crate::gateway::link::Link;

/// Hands a room's message to its members in this process.
pub type Deliver = fn(plugin: &str, room: &str, kind: MessageKind, bytes: &Bytes);

impl Link {
    /// Carries the rooms of this process over this link; only the first call of all links of the entry starts the task.
    pub fn carry_rooms(self: &Rc<Self>, deliver: Deliver) {
        if let Some(orders) = self.messaging.rooms().unheard() {
            tokio::task::spawn_local(carry(Rc::downgrade(self), orders, deliver));
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
    while let Some(order) = orders.recv().await {
        let Some(link) = link.upgrade() else { return };
        let (plugin, room, what) = match order {
            Order::About { plugin, room, what } => (plugin, room, what),
            Order::Settle(done) => {
                tokio::task::spawn_local(async move {
                    link.settle().await;
                    drop(done);
                });
                continue;
            }
        };
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
