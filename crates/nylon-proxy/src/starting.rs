//! Workers that start together with a snapshot: it waits until they are there.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use crate::plugins::{Heard, PreparedPlugins};

/// How long a new snapshot waits for workers that are starting before it goes on without them: an interpreter with a
/// large plugin on a busy machine needs seconds.
const ATTEND: Duration = Duration::from_secs(10);

/// How often a drain or a reload looks whether it is done.
pub(crate) const LOOK: Duration = Duration::from_millis(5);

/// Workers that somebody is starting for a snapshot, as one for each group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Starting {
    /// Name of the entry of `messaging` that they connect to.
    pub messaging: String,
    /// Queue group that they join.
    pub group: String,
    /// How many.
    pub count: usize,
}

/// Waits until so many workers are heard of that were not `before`.
pub(crate) fn attend(plugins: &dyn PreparedPlugins, before: &HashSet<Heard>, starting: &[Starting]) {
    let deadline = Instant::now() + ATTEND;
    for Starting { messaging, group, count } in starting {
        let new = |heard: &&Heard| heard.messaging == *messaging && heard.group == *group && !before.contains(heard);
        while plugins.workers().iter().filter(new).count() < *count {
            if Instant::now() >= deadline {
                tracing::warn!(%messaging, %group, "reloading: new workers are not up yet, going on without them");
                break;
            }
            std::thread::sleep(LOOK);
        }
    }
}
