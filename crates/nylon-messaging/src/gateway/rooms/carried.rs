//! Rooms whose members are no workers' sockets: what is asked of the task that carries them for the whole process.

use std::sync::Mutex;

use bytes::Bytes;
use futures_util::{FutureExt, future::BoxFuture};
use nylon_plugin::{MessageKind, RoomCarrier};
use tokio::sync::{
    mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    oneshot,
};

use crate::lock::lock;

/// What the task is told.
#[derive(Debug)]
pub(super) enum Order {
    About {
        plugin: Box<str>,
        room: Box<str>,
        what: What,
    },
    /// Say when all that came before is done, by letting go of this.
    Settle(oneshot::Sender<()>),
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

    fn settle(&self) -> BoxFuture<'static, ()> {
        let (done, settled) = oneshot::channel();
        self.send(Order::Settle(done));
        settled.map(drop).boxed()
    }
}

impl CarriedRooms {
    fn order(&self, plugin: &str, room: &str, what: What) {
        self.send(Order::About { plugin: plugin.into(), room: room.into(), what });
    }

    fn send(&self, order: Order) {
        // Without a task the gateway ends, and nobody listens any more.
        let _ = self.orders.send(order);
    }

    /// What is asked of the task, for the first who asks.
    pub(super) fn unheard(&self) -> Option<UnboundedReceiver<Order>> {
        lock(&self.unheard).take()
    }
}
