//! What the threads of a gateway share, and what it says to them and of them all.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use nylon_plugin::EntryMetrics;

use crate::{lock::lock, metrics, plugins::PreparedPlugins, target::Target, thread::Message};

/// What the gateway's threads share.
pub(crate) struct Shared {
    pub(crate) target: Target,
    pub(crate) plugins: Mutex<Arc<dyn PreparedPlugins>>,
    /// Whether clients are not accepted yet.
    pub(crate) starting: AtomicBool,
    pub(crate) draining: AtomicBool,
}

impl Shared {
    /// Why no request should be sent here, if so.
    pub(crate) fn not_ready(&self) -> Option<&'static str> {
        if self.draining.load(Relaxed) {
            Some("draining\n")
        } else if self.starting.load(Relaxed) {
            Some("starting\n")
        } else if !lock(&self.plugins).ready(self.target.threads.len()) {
            Some("plugins are not ready\n")
        } else {
            None
        }
    }

    /// All counters in Prometheus' text format.
    pub(crate) fn metrics(&self) -> String {
        let mut text = String::with_capacity(8192);
        let threads: Vec<_> = self.target.threads.iter().map(|(_, outside)| outside.metrics.clone()).collect();
        metrics::render(&threads, &mut text);
        let refused = self.target.refused.load(Relaxed);
        // Writing to memory cannot fail.
        let _ = writeln!(
            text,
            "# HELP nylon_connections_refused_total Client connections beyond max_connections.\n\
             # TYPE nylon_connections_refused_total counter\nnylon_connections_refused_total {refused}"
        );
        let mut entries: BTreeMap<Arc<str>, Vec<Arc<EntryMetrics>>> = BTreeMap::new();
        for (_, outside) in &self.target.threads {
            for (label, metrics) in &*lock(&outside.entries) {
                entries.entry(label.clone()).or_default().push(metrics.clone());
            }
        }
        if !entries.is_empty() {
            metrics::render_entries(&entries.into_iter().collect::<Vec<_>>(), &mut text);
        }
        let plugins = lock(&self.plugins).clone();
        plugins.metrics(&mut text);
        text
    }

    pub(crate) fn connections(&self) -> usize {
        self.target.threads.iter().map(|(_, outside)| outside.connections.load(Relaxed)).sum()
    }

    pub(crate) fn tell(&self, message: impl Fn() -> Message) {
        for (messages, _) in &self.target.threads {
            // A thread that has ended needs to be told nothing.
            drop(messages.send(message()));
        }
    }
}
