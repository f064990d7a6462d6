//! A plugin's entry on NATS, as one gateway thread sees it.

use std::{rc::Rc, sync::Arc};

use nylon_plugin::{BodyMode, PhaseMask, Plugin, Session};

use super::{
    entry::Entry,
    link::Link,
    messaging::{MessagingError, PluginShared},
    session::NatsSession,
};
use crate::Clock;

/// One entry of a plugin on NATS. Belongs to one gateway thread; cheap to clone.
#[derive(Clone)]
pub struct NatsPlugin(pub(super) Rc<Entry>);

impl NatsPlugin {
    /// The entry of a plugin, over this thread's link.
    ///
    /// # Errors
    /// The entry's name makes no subject.
    pub fn new(link: &Rc<Link>, shared: &Arc<PluginShared>, entry: &str) -> Result<Self, MessagingError> {
        Entry::new(link, shared, entry).map(|entry| Self(Rc::new(entry)))
    }
}

impl Plugin for NatsPlugin {
    fn session(&self) -> Box<dyn Session> {
        Box::new(NatsSession::new(self.0.clone()))
    }

    fn announced_phases(&self) -> Option<PhaseMask> {
        self.0.shared.group.announced(&self.0.name, Clock::now_ms())
    }

    fn announced_body_mode(&self) -> BodyMode {
        let streams = self.0.shared.group.streams_body(&self.0.name, Clock::now_ms());
        if streams { BodyMode::Streaming } else { BodyMode::Buffered }
    }
}
