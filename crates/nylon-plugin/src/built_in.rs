//! Middleware of the gateway itself: no worker, no library, nothing to wait for.

use std::rc::Rc;

use futures_util::future::LocalBoxFuture;
use nylon_wire::Operation;

use crate::{Action, BodyMode, Call, Exchange, Outcome, Phase, PhaseMask, Plugin, PluginError, Session, Timing};

/// What a built-in wants to change of an exchange.
pub type Changes = Rc<dyn Fn(&Exchange) -> Vec<Operation>>;

/// A built-in that runs once, in one phase, and always goes on.
#[derive(Clone)]
pub struct BuiltIn {
    phase: Phase,
    changes: Changes,
}

impl BuiltIn {
    /// A built-in of that phase.
    #[must_use]
    pub fn new(phase: Phase, changes: Changes) -> Self {
        Self { phase, changes }
    }

    /// The one phase that it has.
    #[must_use]
    pub fn mask(&self) -> PhaseMask {
        std::iter::once(self.phase).collect()
    }
}

impl Plugin for BuiltIn {
    fn session(&self) -> Box<dyn Session> {
        Box::new(self.clone())
    }

    fn announced_phases(&self) -> Option<PhaseMask> {
        Some(self.mask())
    }
}

impl Session for BuiltIn {
    fn phases(&self) -> Option<PhaseMask> {
        Some(self.mask())
    }

    fn body_mode(&self) -> BodyMode {
        BodyMode::Buffered
    }

    fn run<'a>(&'a mut self, call: Call<'a>) -> LocalBoxFuture<'a, Result<Outcome, PluginError>> {
        let operations = if call.phase == self.phase { (self.changes)(call.exchange) } else { Vec::new() };
        let outcome =
            Outcome { operations, action: Action::Next, timing: Timing::default(), stream: None, upgrade: None };
        Box::pin(std::future::ready(Ok(outcome)))
    }

    fn log(&mut self, _call: Call<'_>) {}

    fn close(&mut self, _client_gone: bool) {}
}
