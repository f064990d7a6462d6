//! What a snapshot waits for before requests are served by it: connections of its plugins, and workers that start
//! together with it.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use crate::plugins::{Heard, PreparedPlugins};

/// How long a snapshot waits for the connections of its plugins before it goes on without them.
const CONNECT: Duration = Duration::from_secs(5);

/// How long it waits for workers that are starting: an interpreter with a large plugin on a busy machine needs seconds.
const ATTEND: Duration = Duration::from_secs(10);

/// How often something that is waited for is looked at.
pub(crate) const LOOK: Duration = Duration::from_millis(5);

/// Workers that somebody is starting for a snapshot, as one for each group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Name of the entry of `messaging` that they connect to.
    pub messaging: String,
    /// Queue group that they join.
    pub name: String,
    /// How many.
    pub count: usize,
}

/// What starts together with a snapshot.
pub struct Starting<'a> {
    /// Workers, each group once.
    pub groups: &'a [Group],
    /// Whether waiting for them still makes sense; asked again and again meanwhile.
    pub expected: &'a dyn Fn() -> bool,
}

impl Starting<'_> {
    /// Nothing does.
    pub const NOTHING: Starting<'static> = Starting { groups: &[], expected: &|| true };

    /// Waits until every thread is connected, and so many workers are heard of that were not `before`.
    pub(crate) fn wait(&self, plugins: &dyn PreparedPlugins, before: &HashSet<Heard>, threads: usize) {
        if self.late(Instant::now() + CONNECT, || plugins.connected(threads)) {
            tracing::warn!("starting to serve: new nats connections are not up yet, their plugins cannot be reached");
        }
        let deadline = Instant::now() + ATTEND;
        for Group { messaging, name, count } in self.groups {
            let new = |heard: &&Heard| heard.messaging == *messaging && heard.group == *name && !before.contains(heard);
            if self.late(deadline, || plugins.workers().iter().filter(new).count() >= *count) {
                tracing::warn!(%messaging, group = %name, "starting to serve: new workers are not up yet, going on without them");
            }
        }
    }

    /// Waits; whether that took too long.
    fn late(&self, deadline: Instant, done: impl Fn() -> bool) -> bool {
        while !done() && (self.expected)() {
            if Instant::now() >= deadline {
                return true;
            }
            std::thread::sleep(LOOK);
        }
        false
    }
}
