//! What the socket, the codec's service and the answer's body share about one client connection.

use std::{
    cell::Cell,
    net::SocketAddr,
    task::{Context, Waker},
    time::Duration,
};

use nylon_routing::config::Limits;

use crate::{
    clock::{Clock, Watch},
    framing::Refusal,
    up::Peer,
    websocket::Switch,
};

/// The time limits of a client connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientLimits {
    pub(crate) header: Duration,
    pub(crate) idle: Duration,
    pub(crate) read: Duration,
    pub(crate) write: Duration,
}

impl From<&Limits> for ClientLimits {
    fn from(limits: &Limits) -> Self {
        Self {
            header: Duration::from_millis(limits.header_timeout_ms),
            idle: Duration::from_millis(limits.idle_timeout_ms),
            read: Duration::from_millis(limits.read_timeout_ms),
            write: Duration::from_millis(limits.write_timeout_ms),
        }
    }
}

/// One client connection.
pub(crate) struct ConnectionState {
    /// The client's socket address.
    pub(crate) peer: Peer,
    pub(crate) limits: ClientLimits,
    /// Idle, head and body reading: never two at once.
    pub(crate) reading: Watch,
    /// A write that makes no progress.
    pub(crate) writing: Watch,
    exchanging: Cell<bool>,
    between: Cell<bool>,
    refusal: Cell<Option<Refusal>>,
    reset: Cell<bool>,
    /// What the connection becomes when the codec is done with it.
    switch: Cell<Option<Box<Switch>>>,
    switched: Cell<bool>,
    drains: Cell<u64>,
    /// Who waits until everything is written.
    draining: Cell<Option<Waker>>,
}

impl ConnectionState {
    pub(crate) fn new(peer: SocketAddr, limits: ClientLimits, clock: &Clock) -> Self {
        let (reading, writing) = (clock.watch(), clock.watch());
        reading.arm(limits.idle);
        Self {
            peer: Peer::new(peer.ip()),
            limits,
            reading,
            writing,
            exchanging: Cell::new(false),
            between: Cell::new(true),
            refusal: Cell::new(None),
            reset: Cell::new(false),
            switch: Cell::new(None),
            switched: Cell::new(false),
            drains: Cell::new(0),
            draining: Cell::new(None),
        }
    }

    /// A request is being answered: the client may wait as long as that takes.
    pub(crate) fn begin(&self) {
        self.exchanging.set(true);
        if self.between.get() {
            self.reading.disarm();
        }
    }

    /// The answer is complete, or never will be.
    pub(crate) fn end(&self) {
        self.exchanging.set(false);
        if self.between.get() {
            self.reading.arm(self.limits.idle);
        }
    }

    pub(crate) fn is_exchanging(&self) -> bool {
        self.exchanging.get()
    }

    /// Whether the input stands between two messages.
    pub(crate) fn set_between(&self, between: bool) {
        self.between.set(between);
    }

    /// Leaves a refusal for the service, which answers it in place of the request that the codec sees.
    pub(crate) fn refuse(&self, refusal: Refusal) {
        self.refusal.set(Some(refusal));
    }

    pub(crate) fn take_refusal(&self) -> Option<Refusal> {
        self.refusal.take()
    }

    /// The answer that the codec gets now is its last, a 101: what follows is no HTTP.
    pub(crate) fn switch(&self, switch: Switch) {
        self.switched.set(true);
        self.switch.set(Some(Box::new(switch)));
    }

    /// Whether a 101 was given to the codec.
    pub(crate) fn is_switched(&self) -> bool {
        self.switched.get()
    }

    pub(crate) fn take_switch(&self) -> Option<Box<Switch>> {
        self.switch.take()
    }

    /// Everything that the codec has is in the socket.
    pub(crate) fn drained(&self) {
        self.drains.set(self.drains.get().wrapping_add(1));
        if let Some(waker) = self.draining.take() {
            waker.wake();
        }
    }

    /// How often that was so. What the codec has now is in the socket when this number has changed.
    pub(crate) fn drains(&self) -> u64 {
        self.drains.get()
    }

    /// Wakes when it is so the next time.
    pub(crate) fn wake_when_drained(&self, cx: &Context<'_>) {
        self.draining.set(Some(cx.waker().clone()));
    }

    /// The client must not take what it has got for a whole answer: the socket is reset, not closed.
    pub(crate) fn reset(&self) {
        self.reset.set(true);
    }

    pub(crate) fn is_reset(&self) -> bool {
        self.reset.get()
    }
}
