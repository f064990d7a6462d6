//! Where plugins come from: the seam between the gateway and the transports.

use std::{collections::HashSet, sync::Arc};

use nylon_plugin::Entry;
use nylon_routing::Snapshot;

/// Makes plugins out of configuration.
pub trait PluginSource: Send + Sync + 'static {
    /// Checks everything that a snapshot says about plugins, before any thread uses it, and changes nothing of those that
    /// run: the snapshot may still be refused for another reason.
    ///
    /// # Errors
    /// What cannot be set up, for the operator; the snapshot is refused then.
    fn prepare(&self, snapshot: &Arc<Snapshot>) -> Result<Arc<dyn PreparedPlugins>, String>;

    /// The gateway has ended: no plugin is asked for anything any more. Blocks.
    fn shut_down(&self) {}
}

/// A worker that a gateway hears of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Heard {
    /// Name of the entry of `messaging`.
    pub messaging: String,
    /// Its queue group.
    pub group: String,
    /// Its id, which no other worker has.
    pub id: String,
}

/// The plugins of one snapshot.
pub trait PreparedPlugins: Send + Sync + 'static {
    /// The entries of one gateway thread, in the order of [`Snapshot::entries`]. Called on that thread, inside its
    /// runtime; waits for nothing.
    fn entries(&self, thread: u32) -> Vec<Entry>;

    /// Begins what takes its time and [`PreparedPlugins::entries`] needs, such as connections. Called on that thread, inside
    /// its runtime, before anything else; waits for nothing.
    fn connect(&self, _thread: u32) {}

    /// Whether what is new has come up on each of the gateway's `threads`.
    fn connected(&self, _threads: usize) -> bool {
        true
    }

    /// The workers that are heard of now.
    fn workers(&self) -> HashSet<Heard> {
        HashSet::new()
    }

    /// Hands the configurations over, and makes the snapshot the one in use: the last step before it is, and the last
    /// that may fail. Blocks.
    ///
    /// # Errors
    /// Which plugin did not take its own, for the operator. The others are given what they had before.
    fn commit(&self) -> Result<(), String> {
        Ok(())
    }

    /// The snapshot stays in use, because the next one was refused: what only that one needed can go. As
    /// [`PreparedPlugins::connect`].
    fn keep(&self, _thread: u32) {}

    /// Whether requests that need plugins can be served by each of the gateway's `threads`.
    fn ready(&self, _threads: usize) -> bool {
        true
    }

    /// Adds the transport's own metrics in Prometheus' text format.
    fn metrics(&self, _text: &mut String) {}
}

/// For gateways without plugins: a snapshot that names one is refused.
#[derive(Debug)]
pub struct NoPlugins;

impl PluginSource for NoPlugins {
    fn prepare(&self, snapshot: &Arc<Snapshot>) -> Result<Arc<dyn PreparedPlugins>, String> {
        match snapshot.entries.first() {
            Some(entry) => Err(format!("there is no transport for the plugin {:?}", snapshot.plugin(entry).name)),
            None => Ok(Arc::new(Self)),
        }
    }
}

impl PreparedPlugins for NoPlugins {
    fn entries(&self, _thread: u32) -> Vec<Entry> {
        Vec::new()
    }
}
