//! Idle connections of one gateway thread, by endpoint address. They survive a change of the configuration.

use std::{
    cell::RefCell,
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    net::SocketAddr,
    time::Duration,
};

use super::connection::Connection;
use crate::clock::Clock;

/// Idle connections of one gateway thread.
pub(crate) struct Pool {
    clock: Clock,
    idle: RefCell<HashMap<SocketAddr, Idle, BuildHasherDefault<AddressHasher>>>,
}

/// Addresses come from the configuration, so nobody can choose them to collide: a multiplication does.
#[derive(Default)]
struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u64(u64::from(byte)));
    }

    fn write_u16(&mut self, word: u16) {
        self.write_u64(u64::from(word));
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517C_C1B7_2722_0A95);
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn write_isize(&mut self, word: isize) {
        self.write_u64(word as u64);
    }

    fn finish(&self) -> u64 {
        // The table takes its place from the low bits, which a multiplication mixes least.
        self.0 ^ (self.0 >> 32)
    }
}

#[derive(Default)]
struct Idle {
    /// The most recently used one is last and goes first: the rest may time out.
    #[allow(clippy::vec_box, reason = "exchanges move connections around by pointer")]
    connections: Vec<Box<Connection>>,
    timeout: Duration,
}

impl Pool {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, idle: RefCell::default() }
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// A connection that is still good, as far as is known. Asking the system costs a call, so that is for requests that
    /// cannot be sent again.
    pub(crate) fn take(&self, address: SocketAddr, ask: bool) -> Option<Box<Connection>> {
        let mut pool = self.idle.borrow_mut();
        let idle = pool.get_mut(&address)?;
        while let Some(connection) = idle.connections.pop() {
            if connection.is_alive() && !(ask && connection.has_ended()) {
                return Some(connection);
            }
        }
        None
    }

    /// Keeps a connection for the next request.
    pub(crate) fn put(&self, mut connection: Box<Connection>) {
        connection.watch.disarm();
        connection.idle_since = self.clock.now();
        let mut pool = self.idle.borrow_mut();
        let idle = pool.entry(connection.address).or_default();
        idle.timeout = connection.terms.idle_timeout;
        if idle.connections.len() < connection.terms.max_idle {
            idle.connections.push(connection);
        }
    }

    /// Closes what was unused for too long or was closed by the upstream. Called about once a second.
    pub(crate) fn sweep(&self) {
        let now = self.clock.now();
        self.idle.borrow_mut().retain(|_, idle| {
            let timeout = u64::try_from(idle.timeout.as_millis()).unwrap_or(u64::MAX);
            idle.connections
                .retain(|connection| connection.idle_since.saturating_add(timeout) > now && connection.is_alive());
            !idle.connections.is_empty()
        });
    }

    /// How many connections are idle.
    pub(crate) fn len(&self) -> usize {
        self.idle.borrow().values().map(|idle| idle.connections.len()).sum()
    }
}
