//! A plugin's entry in a library, as one gateway thread sees it.

use std::sync::Arc;

use nylon_plugin::{BodyMode, Plugin, RoomCarrier, Session};

use crate::{
    library::{Executor, Library},
    session::FfiSession,
    shared::{EntryName, Nexts},
};

/// One entry of a plugin. Belongs to one gateway thread.
pub struct FfiPlugin {
    library: &'static Library,
    entry: Arc<EntryName>,
    max_body: usize,
    executor: Executor,
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
        Box::new(FfiSession::new(self.library, Arc::clone(&self.entry), self.max_body, self.executor))
    }

    fn announced_body_mode(&self) -> BodyMode {
        self.library.body_mode()
    }
}
