//! Rooms whose members are no workers' sockets: what is asked of the task that carries them for the whole process.

use std::sync::Mutex;

use bytes::Bytes;
use nylon_plugin::{MessageKind, RoomCarrier};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::lock::lock;

/// What the task is told.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) plugin: Box<str>,
    pub(super) room: Box<str>,
    pub(super) what: What,
}

#[derive(Debug)]
pub(super) enum What {
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

    /// What is asked of the task, for the first who asks.
    pub(super) fn unheard(&self) -> Option<UnboundedReceiver<Order>> {
        lock(&self.unheard).take()
    }
}
