//! A plugin's entry in a library, as one gateway thread sees it.

use std::sync::Arc;

use nylon_plugin::{BodyMode, Plugin, RoomCarrier, Session};

use crate::{
    library::Library,
    session::FfiSession,
    shared::{EntryName, Nexts},
};

/// One entry of a plugin. Belongs to one gateway thread.
pub struct FfiPlugin {
    pub(crate) library: &'static Library,
    pub(crate) entry: Arc<EntryName>,
    pub(crate) max_body: usize,
    pub(crate) executor: Executor,
}

/// Where a library is called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Executor {
    /// On threads of its own.
    #[default]
    Pool,
    /// On the gateway thread that serves the request, as long as the library returns at once.
    Inline,
}

impl FfiPlugin {
    /// The entry of a plugin in a library. `max_body` is the longest body that it gets or makes, bytes.
    #[must_use]
    pub fn new(library: &'static Library, plugin: &Arc<str>, entry: &str, max_body: usize) -> Self {
        let label = format!("{plugin}/{entry}").into();
        let name =
            EntryName { plugin: Arc::clone(plugin), entry: entry.into(), label, rooms: None, nexts: Nexts::default() };
        // A library reads answers through a view of 1 GiB.
        Self { library, entry: Arc::new(name), max_body: max_body.min((1 << 30) - 1), executor: Executor::Pool }
    }

    /// What takes its rooms to other gateways; without it they are those of this process.
    #[must_use]
    pub fn rooms(mut self, rooms: Option<Arc<dyn RoomCarrier>>) -> Self {
        let EntryName { plugin, entry, label, .. } = &*self.entry;
        let (plugin, entry, label) = (Arc::clone(plugin), entry.clone(), label.clone());
        self.entry = Arc::new(EntryName { plugin, entry, label, rooms, nexts: Nexts::default() });
        self
    }

    /// Where it is called.
    #[must_use]
    pub fn executor(mut self, executor: Executor) -> Self {
        self.executor = executor;
        self
    }
}

impl Plugin for FfiPlugin {
    fn session(&self) -> Box<dyn Session> {
        Box::new(FfiSession::new(self))
    }

    fn announced_body_mode(&self) -> BodyMode {
        body_mode(self.library)
    }
}

/// A library that cannot say which phases it has gets the body when it asks for it.
pub(crate) fn body_mode(library: &Library) -> BodyMode {
    if library.symbols.has_masks() { BodyMode::Buffered } else { BodyMode::OnDemand }
}
