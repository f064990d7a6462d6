//! A plugin that stands in for one that cannot be had.

use std::rc::Rc;

use futures_util::future::LocalBoxFuture;
use nylon_plugin::{
    BodyMode, Call, Entry, InFlight, Outcome, PhaseMask, Plugin, PluginError, PluginErrorKind, Session,
};

/// A plugin that cannot be reached at all: its phases fail, and so no request passes it.
pub(crate) struct Broken(pub(crate) String);

impl Broken {
    /// An entry that nobody has made: it fails.
    pub(crate) fn entry(name: &str) -> Entry {
        Entry::new(name, Rc::new(Self("there is no transport for it".to_owned())), 0, InFlight::new(1))
    }
}

impl Plugin for Broken {
    fn session(&self) -> Box<dyn Session> {
        Box::new(BrokenSession(self.0.clone()))
    }
}

struct BrokenSession(String);

impl Session for BrokenSession {
    fn phases(&self) -> Option<PhaseMask> {
        None
    }

    fn body_mode(&self) -> BodyMode {
        BodyMode::Buffered
    }

    fn run<'a>(&'a mut self, _call: Call<'a>) -> LocalBoxFuture<'a, Result<Outcome, PluginError>> {
        let error = PluginError::new(PluginErrorKind::Unavailable, self.0.clone());
        Box::pin(std::future::ready(Err(error)))
    }

    fn log(&mut self, _call: Call<'_>) {}

    fn close(&mut self, _client_gone: bool) {}
}
