//! What all sessions of a plugin's entry on one gateway thread share: where it is, what it has learned, who is in flight.

use std::{
    cell::Cell,
    rc::Rc,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use async_nats::Subject;
use bytes::Bytes;
use nylon_plugin::{Exchange, PluginError, PluginErrorKind};
use nylon_wire::subject;

use super::{
    link::Link,
    messaging::{MessagingError, PluginCounters, PluginShared},
    pack::Quickness,
    stats::PluginTimes,
};

/// An entry that fetched the body so often in a row gets it along with its opens.
const LEARNED: u8 = 3;
/// One open of so many goes without the body, to see whether it is still wanted.
const RECHECK: u32 = 64;

/// What all sessions of the entry share.
pub(super) struct Entry {
    pub link: Rc<Link>,
    pub shared: Arc<PluginShared>,
    pub name: Box<str>,
    pub bit: u64,
    /// Subject of opens through the queue group.
    pub open: Subject,
    pub times: Arc<PluginTimes>,
    /// Whether a logging open is attended now, see [`super::session::NatsSession`].
    pub attending: Cell<bool>,
    fetches: Cell<u8>,
    sent_along: Cell<u32>,
    pub quickness: Quickness,
}

impl Entry {
    pub(super) fn new(link: &Rc<Link>, shared: &Arc<PluginShared>, name: &str) -> Result<Self, MessagingError> {
        let open = subject::open(&link.messaging().options.prefix, shared.group.name(), name)?;
        Ok(Self {
            link: link.clone(),
            shared: shared.clone(),
            name: name.into(),
            bit: shared.group.entry_bit(name),
            open: Subject::from(open),
            times: shared.counters.of_thread(link.thread),
            attending: Cell::new(false),
            fetches: Cell::new(0),
            sent_along: Cell::new(0),
            quickness: Quickness::new(),
        })
    }

    /// The request body, if it may go along with an open: the entry keeps asking for it, and it is here.
    pub(super) fn body_to_send(&self, exchange: &mut Exchange) -> Option<Bytes> {
        if exchange.request_body.is_empty() {
            return Some(Bytes::new());
        }
        let limit = self.shared.options.prefetch_body_bytes;
        if limit == 0 || self.fetches.get() < LEARNED {
            return None;
        }
        self.sent_along.set(self.sent_along.get().wrapping_add(1));
        if self.sent_along.get().is_multiple_of(RECHECK) {
            return None;
        }
        exchange.request_body.ready(limit)
    }

    /// Learns from a session that had a body and was opened without it.
    pub(super) fn learn(&self, fetched: bool) {
        self.fetches.set(if fetched { self.fetches.get().saturating_add(1).min(LEARNED) } else { 0 });
    }

    /// Takes a place among the phases in flight, in all threads.
    pub(super) fn admit(&self) -> Result<Admitted, PluginError> {
        let limit = self.shared.options.max_in_flight;
        if limit == usize::MAX {
            self.times.in_flight.add();
            return Ok(Admitted::Here(Arc::clone(&self.times)));
        }
        let admitted = Admitted::Anywhere(Arc::clone(&self.shared.counters));
        if self.shared.counters.in_flight.fetch_add(1, Relaxed) < limit {
            return Ok(admitted);
        }
        Err(PluginError::new(PluginErrorKind::Busy, format!("{limit} phases are in flight already")))
    }
}

/// A place among the phases in flight; given back on drop.
pub(super) enum Admitted {
    /// Counted against a limit of all threads.
    Anywhere(Arc<PluginCounters>),
    /// There is no limit, so no thread needs to know what the others do: a number that all of them write to would
    /// go back and forth between their caches.
    Here(Arc<PluginTimes>),
}

impl Drop for Admitted {
    fn drop(&mut self) {
        match self {
            Self::Anywhere(counters) => drop(counters.in_flight.fetch_sub(1, Relaxed)),
            Self::Here(times) => times.in_flight.subtract(),
        }
    }
}
