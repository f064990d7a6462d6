//! Plugins in shared libraries: loaded, initialized and shut down as configurations come and go.

use std::{
    collections::HashMap,
    fmt::Write,
    rc::Rc,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use nylon_ffi::{FfiPlugin, Library, stray_calls};
use nylon_plugin::{Entry, InFlight};
use nylon_routing::{Place, Revision, Snapshot};

use crate::nats::escape;

/// How long a library's `initialize` may take.
const INITIALIZE: Duration = Duration::from_secs(10);
/// How long the last sessions of a library and its `shutdown` may take.
const SHUT_DOWN: Duration = Duration::from_secs(5);

/// The libraries of a gateway.
#[derive(Default)]
pub(crate) struct Libraries {
    /// Which configuration each plugin was given last.
    initialized: Mutex<HashMap<Arc<str>, (&'static Library, Revision)>>,
}

/// The plugins of one snapshot that are libraries.
pub(crate) struct PreparedLibraries {
    /// By the plugin's place in the snapshot.
    plugins: HashMap<usize, (&'static Library, Arc<InFlight>)>,
    names: Vec<(Arc<str>, &'static Library)>,
}

impl Libraries {
    /// As [`crate::PluginSource::prepare`]. Loads what is new, and gives every plugin its configuration, also one that has
    /// not changed; the same snapshot once.
    pub(crate) fn prepare(&self, snapshot: &Snapshot) -> Result<PreparedLibraries, String> {
        let mut plugins = HashMap::new();
        let mut names = Vec::new();
        for (index, plugin) in snapshot.plugins.iter().enumerate() {
            let Place::Library(file) = &plugin.place else { continue };
            let library = Library::load(file)
                .map_err(|error| format!("plugin {:?}: loading {}: {error}", plugin.name, file.display()))?;
            plugins.insert(index, (library, InFlight::new(plugin.max_in_flight)));
            names.push((Arc::clone(&plugin.name), library));
        }
        let mut initialized = self.initialized.lock().unwrap_or_else(PoisonError::into_inner);
        for (index, (library, _)) in &plugins {
            let plugin = &snapshot.plugins[*index];
            let given = (*library, snapshot.revision.clone());
            if initialized.get(&plugin.name).is_some_and(|(known, at)| std::ptr::eq(*known, *library) && *at == given.1)
            {
                continue;
            }
            library
                .initialize(plugin.config.as_deref(), INITIALIZE)
                .map_err(|error| format!("plugin {:?}: {}: {error}", plugin.name, library.path().display()))?;
            initialized.insert(Arc::clone(&plugin.name), given);
        }
        Ok(PreparedLibraries { plugins, names })
    }

    /// Lets every library shut down once: also those that no snapshot has any more, as they were initialized.
    pub(crate) fn shut_down(&self) {
        let initialized = std::mem::take(&mut *self.initialized.lock().unwrap_or_else(PoisonError::into_inner));
        let mut libraries: Vec<_> = initialized.into_values().map(|(library, _)| library).collect();
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

impl PreparedLibraries {
    /// The entry, if its plugin is a library.
    pub(crate) fn entry(&self, snapshot: &Snapshot, entry: &nylon_routing::Entry) -> Option<Entry> {
        let (library, in_flight) = self.plugins.get(&entry.plugin)?;
        let plugin = snapshot.plugin(entry);
        let made = FfiPlugin::new(library, &plugin.name, &entry.name, plugin.max_body);
        let label = format!("{}/{}", plugin.name, entry.name);
        Some(Entry::new(label, Rc::new(made), plugin.max_body, Arc::clone(in_flight)))
    }

    /// Adds the counters of libraries.
    pub(crate) fn metrics(&self, text: &mut String) {
        if self.names.is_empty() {
            return;
        }
        type Pick = fn(&Library) -> u64;
        let counters: [(&str, &str, &str, Pick); 3] = [
            ("nylon_ffi_sessions", "gauge", "Sessions open in a plugin library.", |library| library.sessions() as u64),
            ("nylon_ffi_threads", "gauge", "Threads that call into a plugin library.", |library| {
                library.threads() as u64
            }),
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
