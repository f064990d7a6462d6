//! All ways to run a plugin, behind one source.

use std::{collections::HashSet, sync::Arc};

use nylon_plugin::Entry;
use nylon_routing::Snapshot;

use crate::{
    broken::Broken,
    libraries::{Libraries, PreparedLibraries},
    nats::{NatsPlugins, PreparedNats},
    plugins::{Heard, PluginSource, PreparedPlugins},
};

/// Makes plugins that are workers on NATS or in this process, or shared libraries.
#[derive(Default)]
pub struct Transports {
    nats: Arc<NatsPlugins>,
    libraries: Arc<Libraries>,
}

struct Prepared {
    snapshot: Arc<Snapshot>,
    nats: PreparedNats,
    libraries: PreparedLibraries,
}

impl PluginSource for Transports {
    fn prepare(&self, snapshot: &Arc<Snapshot>) -> Result<Arc<dyn PreparedPlugins>, String> {
        let nats = NatsPlugins::prepare(&self.nats, snapshot)?;
        let libraries = Libraries::prepare(&self.libraries, snapshot)?;
        Ok(Arc::new(Prepared { snapshot: Arc::clone(snapshot), nats, libraries }))
    }

    fn shut_down(&self) {
        self.libraries.shut_down();
    }
}

impl PreparedPlugins for Prepared {
    fn entries(&self, thread: u32) -> Vec<Entry> {
        let links = self.nats.links(thread);
        let entry = |entry: &nylon_routing::Entry| {
            let made = self.nats.entry(&self.snapshot, entry, &links);
            made.or_else(|| self.libraries.entry(&self.snapshot, entry, &self.nats))
                .unwrap_or_else(|| Broken::entry(&entry.name))
        };
        self.snapshot.entries.iter().map(entry).collect()
    }

    fn connect(&self, thread: u32) {
        self.nats.connect(thread);
    }

    fn connected(&self, threads: usize) -> bool {
        self.nats.connected(threads)
    }

    fn workers(&self) -> HashSet<Heard> {
        self.nats.workers()
    }

    fn commit(&self) -> Result<(), String> {
        self.libraries.commit(&self.snapshot)?;
        self.nats.commit();
        Ok(())
    }

    fn keep(&self, _thread: u32) {
        self.nats.keep();
    }

    fn ready(&self, threads: usize) -> bool {
        self.nats.ready(threads)
    }

    fn metrics(&self, text: &mut String) {
        self.nats.metrics(text);
        self.libraries.metrics(text);
    }
}
