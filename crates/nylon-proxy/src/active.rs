//! A snapshot as one gateway thread uses it: its chains and entries.

use std::{collections::HashMap, rc::Rc, sync::Arc};

use nylon_plugin::{Chain, Entries, Entry, EntryMetrics, HeaderFilter, Link, OnError, Phase, PhaseMask, Policy};
use nylon_routing::{Middleware, ServiceKind, Snapshot, config};

use crate::{built_in, plugins::PreparedPlugins};

/// A snapshot with everything that one thread has made of it.
pub(crate) struct Active {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) entries: Entries,
    /// By [`nylon_routing::PathEntry::index`].
    pub(crate) chains: Vec<Rc<Chain>>,
    /// Name of the route, likewise. Copies of this thread: counting references to the snapshot's would make every
    /// request wait for the other threads' caches.
    pub(crate) names: Vec<Rc<str>>,
}

/// Counters by label: they outlive a snapshot.
pub(crate) type KnownMetrics = HashMap<Arc<str>, Arc<EntryMetrics>>;

impl Active {
    pub(crate) fn new(
        snapshot: Arc<Snapshot>,
        plugins: &dyn PreparedPlugins,
        thread: u32,
        known: &mut KnownMetrics,
    ) -> Self {
        let mut entries: Vec<Entry> = plugins.entries(thread);
        entries.extend(snapshot.modifiers.iter().map(built_in::entry));
        for entry in &mut entries {
            let metrics = known.entry(Arc::clone(&entry.label)).or_insert_with(|| Arc::clone(&entry.metrics));
            entry.metrics = Arc::clone(metrics);
        }
        let mut chains: Vec<Rc<Chain>> = (0..snapshot.path_count).map(|_| Rc::default()).collect();
        let mut names: Vec<Rc<str>> = vec!["".into(); snapshot.path_count];
        for (route, path) in snapshot.routes.iter().flat_map(|route| route.paths.iter().map(move |path| (route, path)))
        {
            names[path.index] = Rc::from(&*route.name);
            let service = match &snapshot.service(path).kind {
                ServiceKind::Http(_) => None,
                ServiceKind::Plugin(service) => Some(link(service)),
            };
            let middleware = |middleware: &Middleware| match middleware {
                Middleware::Entry(entry) => link(entry),
                Middleware::Modifier(index) => {
                    built_in::link(&snapshot.modifiers[*index], snapshot.entries.len() + index)
                }
            };
            chains[path.index] = Rc::new(Chain::new(path.chain.iter().map(middleware).collect(), service));
        }
        Self { snapshot, entries: entries.into(), chains, names }
    }
}

fn link(link: &nylon_routing::Link) -> Link {
    let on_error = |policy| match policy {
        config::OnError::Fail => OnError::Fail,
        config::OnError::Continue => OnError::Continue,
    };
    Link {
        entry: link.entry,
        payload: link.payload.as_ref().map(built_in::payload),
        timeout: link.timeout,
        policy: Policy {
            request_filter: on_error(link.on_error.request_filter),
            response_filter: on_error(link.on_error.response_filter),
            response_body_filter: on_error(link.on_error.response_body_filter),
        },
        phases: link
            .phases
            .as_ref()
            .map(|phases| phases.iter().filter_map(|phase| Phase::from_number(phase.number())).collect::<PhaseMask>()),
        headers: HeaderFilter { allow: link.allow_headers.clone(), deny: link.deny_headers.clone() },
        retry: link.retry,
    }
}
