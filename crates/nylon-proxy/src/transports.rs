//! All ways to run a plugin, behind one source.

use std::{collections::HashSet, sync::Arc};

use nylon_plugin::{Entry, InFlight};
use nylon_routing::Snapshot;

use crate::{
    admission::Admission,
    broken::Broken,
    libraries::{Libraries, PreparedLibraries},
    nats::{NatsPlugins, PreparedNats},
    plugins::{Heard, PluginSource, PreparedPlugins},
};

/// Makes plugins that are workers on NATS or in this process, or shared libraries.
#[derive(Default)]
pub struct Transports {
    admission: Arc<Admission>,
    nats: Arc<NatsPlugins>,
    libraries: Arc<Libraries>,
}

struct Prepared {
    snapshot: Arc<Snapshot>,
    admission: Arc<Admission>,
    /// In the order of the snapshot's plugins.
    in_flight: Vec<Arc<InFlight>>,
    nats: PreparedNats,
    libraries: PreparedLibraries,
}

impl PluginSource for Transports {
    fn prepare(&self, snapshot: &Arc<Snapshot>) -> Result<Arc<dyn PreparedPlugins>, String> {
        let nats = NatsPlugins::prepare(&self.nats, snapshot)?;
        let libraries = Libraries::prepare(&self.libraries, snapshot)?;
        let admission = Arc::clone(&self.admission);
        let in_flight = admission.prepare(snapshot);
        Ok(Arc::new(Prepared { snapshot: Arc::clone(snapshot), admission, in_flight, nats, libraries }))
    }

    fn shut_down(&self) {
        self.libraries.shut_down();
    }
}

impl PreparedPlugins for Prepared {
    fn entries(&self, thread: u32) -> Vec<Entry> {
        let links = self.nats.links(thread);
        let entry = |entry: &nylon_routing::Entry| {
            let in_flight = &self.in_flight[entry.plugin];
            let made = self.nats.entry(&self.snapshot, entry, &links, in_flight);
            made.or_else(|| self.libraries.entry(&self.snapshot, entry, &self.nats, in_flight))
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
        self.admission.commit(&self.snapshot, &self.in_flight);
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
