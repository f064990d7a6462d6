//! Limits of sessions in flight: they outlive a snapshot, as sessions do.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, Weak},
};

use nylon_plugin::InFlight;
use nylon_routing::Snapshot;

use crate::lock::lock;

/// The limits of a gateway, by plugin.
#[derive(Default)]
pub(crate) struct Admission {
    /// Also those of plugins that no snapshot has any more, as long as they have sessions.
    known: Mutex<HashMap<Arc<str>, Weak<InFlight>>>,
}

impl Admission {
    /// The limits of a snapshot's plugins, in their order. Those that are known stay as they are.
    pub(crate) fn prepare(&self, snapshot: &Snapshot) -> Vec<Arc<InFlight>> {
        let known = lock(&self.known);
        let limit = |plugin: &nylon_routing::Plugin| {
            known.get(&plugin.name).and_then(Weak::upgrade).unwrap_or_else(|| InFlight::new(plugin.max_in_flight))
        };
        snapshot.plugins.iter().map(limit).collect()
    }

    /// The snapshot that these were prepared for is the one in use from now on.
    pub(crate) fn commit(&self, snapshot: &Snapshot, limits: &[Arc<InFlight>]) {
        let mut known = lock(&self.known);
        known.retain(|_, limit| limit.strong_count() > 0);
        for (plugin, limit) in snapshot.plugins.iter().zip(limits) {
            limit.set_limit(plugin.max_in_flight);
            known.insert(Arc::clone(&plugin.name), Arc::downgrade(limit));
        }
    }
}
