//! Beats and the answers of the service protocol (ADR-32).

use std::time::Instant;

use nylon_wire::{BeatEntry, BeatFrame, Text};

use super::{Core, Life};

impl Core {
    /// Queues the next beat.
    pub fn beat(&mut self, now: Instant) {
        let (running, waiting) = self.oldest(now);
        let options = &self.shared.options;
        let millis = |age: std::time::Duration| u64::try_from(age.as_millis()).unwrap_or(u64::MAX >> 12);
        let state = self.init.state();
        let entries = options.entries.iter().map(|entry| BeatEntry {
            entry: Text::from(entry.name.as_str()),
            mask: entry.phases,
            body_mode: entry.body_mode,
        });
        let beat = BeatFrame {
            group: Text::from(options.group.as_str()),
            worker: self.worker.clone(),
            seq: self.beat_seq,
            load: u32::try_from(self.load()).unwrap_or(u32::MAX),
            limit: u32::try_from(options.max_sessions).unwrap_or(u32::MAX),
            draining: self.life != Life::Serving,
            oldest_running_ms: millis(running),
            oldest_waiting_ms: millis(waiting),
            entries: entries.collect(),
            revision: self.init.current().cloned(),
            state,
            ext: Default::default(),
        };
        self.beat_seq = self.beat_seq.wrapping_add(1);
        self.count(|c| &c.beats);
        self.out.alone(self.beat_subject.clone(), None, |out| beat.encode(out));
    }
}
