//! One messaging entry as all gateway threads share it: worker table, plugins, counters.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use nylon_wire::subject::{self, SubjectError};

use super::{
    group::Group,
    options::{MessagingOptions, PluginOptions},
    random,
    rooms::carried::CarriedRooms,
    stats::{LinkStats, PluginStats, PluginTimes},
    table::WorkerTable,
};
use crate::{ConnectionError, lock::lock};

/// Why a messaging entry or a plugin on it cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum MessagingError {
    /// A prefix, group or entry makes no subject.
    #[error(transparent)]
    Name(#[from] SubjectError),
    /// The connection cannot even be tried.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// The system gives no randomness.
    #[error("reading random bytes: {0}")]
    Random(#[from] getrandom::Error),
    /// The connection was closed while it was set up.
    #[error("subscribing to nats: the connection is closed")]
    Closed,
}

/// One messaging entry, shared by all gateway threads; each of them has a [`super::Link`] of its own.
pub struct Messaging {
    pub(super) options: MessagingOptions,
    /// Names this process in reply subjects.
    pub(super) gateway: Box<str>,
    pub(super) table: WorkerTable,
    links: Mutex<HashMap<u32, Arc<LinkStats>>>,
    plugins: Mutex<HashMap<Box<str>, Arc<PluginCounters>>>,
    rooms: Arc<CarriedRooms>,
}

/// Counters of a plugin; they outlive reloads of the configuration.
#[derive(Debug, Default)]
pub(super) struct PluginCounters {
    pub in_flight: AtomicUsize,
    threads: Mutex<HashMap<u32, Arc<PluginTimes>>>,
}

/// One plugin on a messaging entry, shared by all gateway threads.
pub struct PluginShared {
    pub(super) options: PluginOptions,
    pub(super) group: Arc<Group>,
    pub(super) counters: Arc<PluginCounters>,
}

impl Messaging {
    /// Sets the entry up; connects nothing yet.
    ///
    /// # Errors
    /// The prefix makes no subject, or the system gives no randomness.
    pub fn new(options: MessagingOptions) -> Result<Arc<Self>, MessagingError> {
        subject::check_prefix(&options.prefix)?;
        Ok(Arc::new(Self {
            gateway: random::token()?.into(),
            table: WorkerTable::new(&options.prefix),
            options,
            links: Mutex::default(),
            plugins: Mutex::default(),
            rooms: Arc::default(),
        }))
    }

    /// Rooms of plugins that are not workers. They are carried once [`super::Link::carry_rooms`] was called on a thread.
    #[must_use]
    pub fn rooms(&self) -> &Arc<CarriedRooms> {
        &self.rooms
    }

    /// A plugin of this entry, in the state that the configuration gives it now. Its counters and its workers are
    /// kept from earlier configurations.
    ///
    /// # Errors
    /// The group makes no subject.
    pub fn plugin(&self, options: PluginOptions) -> Result<Arc<PluginShared>, MessagingError> {
        let group = self.table.group(&options.group)?;
        let counters = lock(&self.plugins).entry(options.name.as_str().into()).or_default().clone();
        Ok(Arc::new(PluginShared { options, group, counters }))
    }

    /// The workers of all groups.
    #[must_use]
    pub fn workers(&self) -> &WorkerTable {
        &self.table
    }

    /// Counters of each thread's link.
    #[must_use]
    pub fn links(&self) -> Vec<(u32, Arc<LinkStats>)> {
        let mut links: Vec<_> = lock(&self.links).iter().map(|(thread, stats)| (*thread, stats.clone())).collect();
        links.sort_unstable_by_key(|(thread, _)| *thread);
        links
    }

    /// Counters of each plugin.
    #[must_use]
    pub fn plugins(&self) -> Vec<PluginStats> {
        let mut plugins: Vec<_> = lock(&self.plugins)
            .iter()
            .map(|(name, counters)| {
                let times: Vec<_> = lock(&counters.threads).values().cloned().collect();
                let unlimited: u64 = times.iter().map(|times| times.in_flight.get()).sum();
                let in_flight = counters.in_flight.load(Relaxed) + usize::try_from(unlimited).unwrap_or(usize::MAX / 2);
                PluginStats { name: name.clone(), in_flight, times }
            })
            .collect();
        plugins.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        plugins
    }

    pub(super) fn note_link(&self, thread: u32, stats: &Arc<LinkStats>) {
        lock(&self.links).insert(thread, stats.clone());
    }
}

impl PluginCounters {
    /// The counters that this thread writes.
    pub(super) fn of_thread(&self, thread: u32) -> Arc<PluginTimes> {
        lock(&self.threads).entry(thread).or_default().clone()
    }
}
