//! All sessions of the process by their number: libraries know nothing else of them.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

use crate::{lock::lock, shared::Shared};

const SHARDS: usize = 64;
/// So many sessions of libraries that know the ABI alone are remembered when they ended in the middle of a phase, so that what
/// their handlers still ask is answered and they return. Others hear the end of a session by its close.
const GRAVES: usize = 16 << 10;

/// The sessions of all libraries. A shard's lock is held for a look-up only.
pub(crate) struct Table<S = Shared> {
    next: AtomicU32,
    shards: [Mutex<HashMap<u32, Arc<S>>>; SHARDS],
    graves: Mutex<VecDeque<u32>>,
}

pub(crate) static TABLE: LazyLock<Table> = LazyLock::new(|| Table::new(1));

impl<S> Table<S> {
    fn new(first: u32) -> Self {
        Self {
            next: AtomicU32::new(first),
            shards: std::array::from_fn(|_| Mutex::default()),
            graves: Mutex::default(),
        }
    }

    fn shard(&self, sid: u32) -> &Mutex<HashMap<u32, Arc<S>>> {
        &self.shards[sid as usize % SHARDS]
    }

    /// Takes a number that is neither 0 nor in use.
    pub(crate) fn insert(&self, make: impl Fn(u32) -> Arc<S>) -> Arc<S> {
        loop {
            let sid = self.next.fetch_add(1, Relaxed);
            if sid == 0 {
                continue;
            }
            let mut shard = lock(self.shard(sid));
            if let std::collections::hash_map::Entry::Vacant(place) = shard.entry(sid) {
                return Arc::clone(place.insert(make(sid)));
            }
        }
    }

    pub(crate) fn get(&self, sid: u32) -> Option<Arc<S>> {
        lock(self.shard(sid)).get(&sid).cloned()
    }

    pub(crate) fn remove(&self, sid: u32) {
        let removed = lock(self.shard(sid)).remove(&sid);
        drop(removed);
    }

    /// Everything there is now.
    pub(crate) fn all(&self) -> Vec<Arc<S>> {
        self.shards.iter().flat_map(|shard| lock(shard).values().cloned().collect::<Vec<_>>()).collect()
    }
}

impl Table {
    /// Keeps a session that ended in the middle of a phase until its handler returns, or many others have ended so.
    pub(crate) fn bury(&self, sid: u32) {
        let oldest = {
            let mut graves = lock(&self.graves);
            graves.push_back(sid);
            if graves.len() > GRAVES { graves.pop_front() } else { None }
        };
        if let Some(oldest) = oldest
            && self.get(oldest).is_some_and(|session| session.is_dead())
        {
            self.remove(oldest);
        }
    }
}

#[cfg(test)]
mod tests;
