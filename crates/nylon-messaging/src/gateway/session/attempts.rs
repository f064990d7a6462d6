//! What has been tried for an open, and what is said where nothing more can be.

use std::sync::Arc;

use nylon_plugin::{PluginError, PluginErrorKind};

use crate::{PublishError, gateway::known::KnownWorker};

/// How often an open may go elsewhere without being counted, because it has certainly not run.
const UNCOUNTED_MAX: u32 = 32;

/// What has been tried for one open.
#[derive(Default)]
pub(super) struct Attempts {
    pub(super) counted: u32,
    uncounted: u32,
    /// Who has just not run it.
    pub(super) avoid: Option<Arc<KnownWorker>>,
    /// Nobody is behind the queue group.
    pub(super) no_exploring: bool,
    pub(super) holding: bool,
}

impl Attempts {
    /// Whether nothing has been tried yet.
    pub(super) fn is_first(&self) -> bool {
        self.counted == 0 && self.uncounted == 0
    }

    /// Takes one of the retries that are not counted, because the open has certainly not run.
    pub(super) fn uncounted(&mut self) -> bool {
        self.uncounted += 1;
        self.uncounted <= UNCOUNTED_MAX
    }
}

pub(super) fn full() -> PluginError {
    PluginError::new(PluginErrorKind::Busy, "every worker of the group is behind")
}

pub(super) fn unavailable(error: PublishError) -> PluginError {
    PluginError::new(PluginErrorKind::Unavailable, error.to_string())
}
