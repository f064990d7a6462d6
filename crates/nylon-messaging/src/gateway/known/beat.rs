//! What a worker's beats say.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use nylon_plugin::PhaseMask;
use nylon_wire::{BeatEntry, BeatFrame, Revision};

use super::{KnownWorker, SILENT_MS};

impl KnownWorker {
    /// Takes a beat; false if it is known already (each listening thread brings it).
    pub(in crate::gateway) fn beat(&self, frame: &BeatFrame, now: u64, names: &[Box<str>]) -> bool {
        let last = self.last_beat_ms.load(Relaxed);
        if last != 0 && frame.seq.wrapping_sub(self.beat_seq.load(Relaxed)).wrapping_sub(1) > u32::MAX / 2 {
            return false;
        }
        if last == 0 || now.saturating_sub(last) >= SILENT_MS || self.gone.load(Relaxed) {
            // Back again: used at once, slowly (rules §16).
            self.since_ms.store(now, Relaxed);
            self.ejected_until_ms.store(0, Relaxed);
            self.strikes.store(0, Relaxed);
            self.latency.forget();
        }
        self.beat_seq.store(frame.seq, Relaxed);
        self.load.store(frame.load, Relaxed);
        self.limit.store(frame.limit, Relaxed);
        self.draining.store(frame.draining, Relaxed);
        self.state.store(frame.state as u8, Relaxed);
        self.revision.store(frame.revision.as_ref().map_or(0, start_of), Relaxed);
        self.oldest_running_ms.store(saturate(frame.oldest_running_ms), Relaxed);
        self.oldest_waiting_ms.store(saturate(frame.oldest_waiting_ms), Relaxed);
        let known = self.entries.load();
        let same = known.len() == frame.entries.len()
            && known.iter().zip(&frame.entries).all(|(known, new)| *known == Announced::of(new));
        if !same {
            self.entries.store(Arc::new(frame.entries.iter().map(Announced::of).collect()));
            self.index(names);
        }
        self.gone.store(false, Relaxed);
        self.last_beat_ms.store(now, Relaxed);
        true
    }

    /// Translates its entries into the group's bits.
    pub(in crate::gateway) fn index(&self, names: &[Box<str>]) {
        let entries = self.entries.load();
        let bits = names.iter().take(64).enumerate().filter(|(_, name)| entries.iter().any(|has| has.name == **name));
        self.entry_bits.store(bits.fold(0, |bits, (n, _)| bits | 1 << n), Relaxed);
    }
}

/// What a worker's beats say of one of its entries.
#[derive(Debug, PartialEq)]
pub(super) struct Announced {
    pub name: Box<str>,
    pub phases: PhaseMask,
    pub streams_body: bool,
}

impl Announced {
    fn of(entry: &BeatEntry) -> Self {
        let streams_body = entry.body_mode == nylon_wire::BodyMode::Streaming;
        Self { name: entry.entry.as_str().into(), phases: mask_of(entry.mask), streams_body }
    }
}

/// Enough of a hash to tell configurations apart; never 0.
pub(super) fn start_of(revision: &Revision) -> u64 {
    let start = revision.hash.iter().take(8).fold(0u64, |word, byte| word << 8 | u64::from(*byte));
    start.max(1)
}

fn saturate(milliseconds: u64) -> u32 {
    u32::try_from(milliseconds).unwrap_or(u32::MAX)
}

/// A mask from the wire; bits of phases that v1 does not have are dropped.
pub(in crate::gateway) fn mask_of(mask: nylon_wire::PhaseMask) -> PhaseMask {
    PhaseMask(u8::try_from(mask.0 & u32::from(PhaseMask::ALL.0)).unwrap_or_default())
}
