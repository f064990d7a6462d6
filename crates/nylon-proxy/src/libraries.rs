//! Plugins in shared libraries: loaded, initialized and shut down as configurations come and go.

use std::{
    collections::HashMap,
    fmt::Write,
    rc::Rc,
    sync::{Arc, Mutex},
    time::Duration,
};

use nylon_ffi::{Executor, FfiPlugin, Library, LoadError, stray_calls};
use nylon_plugin::{Entry, InFlight};
use nylon_routing::{Place, Snapshot, config};

use crate::{lock::lock, metrics::escape, nats::PreparedNats};

/// How long a library's `initialize` may take.
const INITIALIZE: Duration = Duration::from_secs(10);
/// How long the last sessions of a library and its `shutdown` may take.
const SHUT_DOWN: Duration = Duration::from_secs(5);

/// The libraries of a gateway.
#[derive(Default)]
pub(crate) struct Libraries {
    /// What each plugin was given last.
    given: Mutex<HashMap<Arc<str>, Given>>,
}

struct Given {
    library: &'static Library,
    config: Option<Arc<str>>,
}

impl Given {
    fn initialize(&self) -> Result<(), LoadError> {
        self.library.initialize(self.config.as_deref(), INITIALIZE)
    }
}

/// The plugins of one snapshot that are libraries.
pub(crate) struct PreparedLibraries {
    source: Arc<Libraries>,
    /// By the plugin's place in the snapshot.
    plugins: HashMap<usize, &'static Library>,
    names: Vec<(Arc<str>, &'static Library)>,
}

impl Libraries {
    /// As [`crate::PluginSource::prepare`]. Loads what is new.
    pub(crate) fn prepare(self: &Arc<Self>, snapshot: &Snapshot) -> Result<PreparedLibraries, String> {
        let mut plugins = HashMap::new();
        let mut names = Vec::new();
        for (index, plugin) in snapshot.plugins.iter().enumerate() {
            let Place::Library(place) = &plugin.place else { continue };
            let library = Library::load(&place.file)
                .map_err(|error| format!("plugin {:?}: loading {}: {error}", plugin.name, place.file.display()))?;
            plugins.insert(index, library);
            names.push((Arc::clone(&plugin.name), library));
        }
        Ok(PreparedLibraries { source: Arc::clone(self), plugins, names })
    }

    /// Lets every library shut down once: also those that no snapshot has any more, as they were initialized.
    pub(crate) fn shut_down(&self) {
        let given = std::mem::take(&mut *lock(&self.given));
        let mut libraries: Vec<_> = given.into_values().map(|given| given.library).collect();
        libraries.sort_unstable_by_key(|library| std::ptr::from_ref::<Library>(library) as usize);
        libraries.dedup_by(|one, other| std::ptr::eq(*one, *other));
        for library in libraries {
            if !library.shut_down(SHUT_DOWN) {
                tracing::warn!(
                    file = %library.path().display(),
                    "the plugin library has not shut down within {} s: going on without it",
                    SHUT_DOWN.as_secs(),
                );
            }
        }
    }
}

/// The last first: two plugins may be one library.
fn give_back(given: &mut HashMap<Arc<str>, Given>, taken: Vec<(Arc<str>, Option<Given>)>) {
    for (name, before) in taken.into_iter().rev() {
        // One that had another library before keeps what it has now: no request goes there.
        let Some(before) = before else { continue };
        if let Err(error) = before.initialize() {
            tracing::error!(plugin = %name, %error, "giving a plugin its old configuration back");
        }
        given.insert(name, before);
    }
}

impl PreparedLibraries {
    /// Gives every plugin its configuration, also one that has not changed. If one does not take it, those before it are
    /// given back what they had; one that is new has nothing that it could be given.
    pub(crate) fn commit(&self, snapshot: &Snapshot) -> Result<(), String> {
        let mut given = lock(&self.source.given);
        let mut taken = Vec::new();
        for (index, plugin) in snapshot.plugins.iter().enumerate() {
            let Some(&library) = self.plugins.get(&index) else { continue };
            let new = Given { library, config: plugin.config.clone() };
            if let Err(error) = new.initialize() {
                let refusal = format!("plugin {:?}: {}: {error}", plugin.name, library.path().display());
                give_back(&mut given, taken);
                return Err(refusal);
            }
            taken.push((Arc::clone(&plugin.name), given.insert(Arc::clone(&plugin.name), new)));
        }
        Ok(())
    }

    /// The entry, if its plugin is a library.
    pub(crate) fn entry(
        &self,
        snapshot: &Snapshot,
        entry: &nylon_routing::Entry,
        nats: &PreparedNats,
        in_flight: &Arc<InFlight>,
    ) -> Option<Entry> {
        let library = self.plugins.get(&entry.plugin)?;
        let plugin = snapshot.plugin(entry);
        let Place::Library(place) = &plugin.place else { return None };
        let executor = match place.executor {
            config::Executor::Pool => Executor::Pool,
            config::Executor::Inline => Executor::Inline,
        };
        let made = FfiPlugin::new(library, &plugin.name, &entry.name, plugin.max_body)
            .executor(executor)
            .rooms(place.rooms.map(|messaging| nats.rooms(messaging)));
        let label = format!("{}/{}", plugin.name, entry.name);
        Some(Entry::new(label, Rc::new(made), plugin.max_body, Arc::clone(in_flight)))
    }

    /// Adds the counters of libraries.
    pub(crate) fn metrics(&self, text: &mut String) {
        if self.names.is_empty() {
            return;
        }
        type Pick = fn(&Library) -> u64;
        let counters: [(&str, &str, &str, Pick); 4] = [
            ("nylon_ffi_sessions", "gauge", "Sessions open in a plugin library.", |library| library.sessions() as u64),
            ("nylon_ffi_threads", "gauge", "Threads that call into a plugin library.", |library| {
                library.threads() as u64
            }),
            (
                "nylon_ffi_blocks",
                "gauge",
                "Whether a plugin library was taken off the gateway's threads because it kept one.",
                |library| u64::from(library.blocks()),
            ),
            (
                "nylon_ffi_complaints_total",
                "counter",
                "What a plugin library did that the ABI does not allow, and phases that it did not end in time.",
                Library::complaints,
            ),
        ];
        for (name, kind, help, pick) in counters {
            // Writing to memory cannot fail, here and below.
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for (plugin, library) in &self.names {
                let _ = writeln!(text, "{name}{{plugin=\"{}\"}} {}", escape(plugin), pick(library));
            }
        }
        let _ = writeln!(
            text,
            "# HELP nylon_ffi_stray_calls_total Calls of plugin libraries for sessions that were over or not theirs.\n\
             # TYPE nylon_ffi_stray_calls_total counter\nnylon_ffi_stray_calls_total {}",
            stray_calls(),
        );
    }
}
