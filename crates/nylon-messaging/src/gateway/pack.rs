//! Opens for quick handlers go to as few workers as can keep up (decision 0010).
//!
//! Waking a worker costs more than a quick handler does, so spreading such opens evenly wakes every worker for one of them
//! at a time. Here they are packed instead: all threads of a gateway agree on the worker whose turn it is, and go on to the
//! next one only when the first has [`BUDGET_US`] of work from us. The turn moves on, so that all workers share over time.

use std::{cell::Cell, sync::Arc, time::Duration};

use super::{
    group::{Choice, Group},
    known::KnownWorker,
    options::Balance,
    random::Random,
};

/// A handler is quick up to this, on average, in microseconds.
const QUICK_US: u64 = 200;
/// What a worker spends on an open beside its handler, in microseconds. Too low makes long queues before one worker.
const OVERHEAD_US: u64 = 5;
/// So much work may wait at a worker before the next one gets some, in microseconds: less than a request's own time over
/// the network, and enough to be worth waking somebody for.
const BUDGET_US: u64 = 1_000;
/// The turn moves on after so many milliseconds, as a power of two.
const TURN_SHIFT: u32 = 7;
/// A worker whose answers take so much longer than twice another one's is not packed, in microseconds.
const SLACK_US: u64 = 1_000;
/// One open of so many is chosen like one for a slow handler, so that what has become of the others is known.
const LOOK_AROUND: u32 = 64;
/// But not more often than this, in milliseconds: it wakes a worker for one open, whose caches have gone cold.
const LOOK_AROUND_MS: u64 = 50;

/// What handlers of an entry take, as one gateway thread has seen it.
pub(super) struct Quickness {
    average_us: Cell<u64>,
    /// When an open was last used to look around, on the group's clock.
    looked_ms: Cell<u64>,
}

impl Quickness {
    /// Nothing is known at the start: slow.
    pub(super) fn new() -> Self {
        Self { average_us: Cell::new(QUICK_US * 8), looked_ms: Cell::new(0) }
    }

    /// Learns what a handler took: a moving average.
    pub(super) fn note(&self, handler: Duration) {
        let us = u64::try_from(handler.as_micros()).unwrap_or(u64::MAX).min(u64::from(u32::MAX));
        self.average_us.set((self.average_us.get() * 7 + us) / 8);
    }

    /// How many opens may be at one worker before the next one gets some; `None` for handlers that are not quick.
    pub(super) fn most(&self) -> Option<u32> {
        let us = self.average_us.get();
        (us <= QUICK_US).then(|| u32::try_from(BUDGET_US / (us + OVERHEAD_US)).unwrap_or(u32::MAX).max(2))
    }

    /// Whether this open looks around instead of being packed.
    pub(super) fn looks_around(&self, now_ms: u64, random: &mut Random) -> bool {
        let due = now_ms.saturating_sub(self.looked_ms.get()) >= LOOK_AROUND_MS && random.below(LOOK_AROUND) == 0;
        if due {
            self.looked_ms.set(now_ms);
        }
        due
    }
}

impl Group {
    /// The worker that an open for a quick handler is packed to, if one fits.
    pub(super) fn pack(&self, choice: &Choice<'_>, most: u32, random: &mut Random) -> Option<Arc<KnownWorker>> {
        let workers = self.workers();
        let count = workers.len();
        if choice.balance != Balance::Auto || count < 2 {
            return None;
        }
        let turn = usize::try_from(choice.now >> TURN_SHIFT).unwrap_or_default() % count;
        let (before, after) = workers.split_at(turn);
        let fits = |worker: &&Arc<KnownWorker>| {
            worker.in_flight() < most && self.may_take(worker, choice.entry_bit, choice.now)
        };
        let packed = after.iter().chain(before).find(fits)?;
        let other = workers.get(random.below(u32::try_from(count).unwrap_or(u32::MAX)) as usize)?;
        let slow = match (packed.latency_us(choice.now), other.latency_us(choice.now)) {
            (Some(packed), Some(other)) => packed > other * 2 + SLACK_US,
            _ => false,
        };
        (!slow).then(|| packed.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::{
        super::{
            group::tests::{NOW, choice as any_choice, group},
            known::InFlight,
        },
        *,
    };

    fn choice(bit: u64, now: u64) -> Choice<'static> {
        Choice { balance: Balance::Auto, now, ..any_choice(bit) }
    }

    /// Who gets the next open.
    fn packed(group: &Group, bit: u64, now: u64, most: u32) -> Option<String> {
        Some(group.pack(&choice(bit, now), most, &mut Random::new())?.id().to_owned())
    }

    fn worker(group: &Group, id: &str) -> Arc<KnownWorker> {
        group.worker(id, NOW).unwrap()
    }

    #[test]
    fn one_worker_gets_all_until_it_has_enough() {
        let (group, bit) = group(3);
        let first = packed(&group, bit, NOW, 4).unwrap();
        let mut busy = vec![];
        for _ in 0..4 {
            assert_eq!(packed(&group, bit, NOW, 4).as_ref(), Some(&first));
            busy.push(InFlight::new(&worker(&group, &first)));
        }
        let second = packed(&group, bit, NOW, 4).unwrap();
        assert_ne!(second, first);
        busy.pop();
        assert_eq!(packed(&group, bit, NOW, 4), Some(first));
        let all = ["w0", "w1", "w2"].map(|id| (0..4).map(|_| InFlight::new(&worker(&group, id))).collect::<Vec<_>>());
        assert_eq!(packed(&group, bit, NOW, 4), None, "everybody has enough");
        drop((all, busy));
    }

    #[test]
    fn the_turn_moves_on_to_everybody() {
        let (group, bit) = group(3);
        let mut turns = HashMap::<_, usize>::new();
        for step in 0..30 {
            *turns.entry(packed(&group, bit, NOW + step * 20, 9).unwrap()).or_default() += 1;
        }
        assert_eq!(turns.len(), 3, "{turns:?}");
    }

    #[test]
    fn whoever_is_unfit_or_slow_is_passed_over() {
        let (group, bit) = group(2);
        let first = worker(&group, &packed(&group, bit, NOW, 9).unwrap());
        let other = worker(&group, if first.id() == "w0" { "w1" } else { "w0" });
        other.sample(300, NOW);
        first.sample(50_000, NOW);
        let mut random = Random::new();
        let found: Vec<_> = (0..200).filter_map(|_| group.pack(&choice(bit, NOW), 9, &mut random)).collect();
        // It is compared with itself half of the time; otherwise the choice is left to latency and queue.
        assert!((40..160).contains(&found.len()), "{}", found.len());
        first.set_draining();
        assert_eq!(packed(&group, bit, NOW, 9).as_deref(), Some(other.id()));
    }

    #[test]
    fn only_quick_handlers_are_packed_and_slower_ones_less() {
        let quickness = Quickness::new();
        assert_eq!(quickness.most(), None, "nothing is known yet");
        let settle = |us| (0..60).for_each(|_| quickness.note(Duration::from_micros(us)));
        settle(1);
        assert!(quickness.most() > Some(50));
        settle(100);
        assert!(matches!(quickness.most(), Some(9..=10)));
        quickness.note(Duration::from_millis(100));
        assert_eq!(quickness.most(), None);
    }

    #[test]
    fn some_opens_look_around_but_not_many_at_once() {
        let (quickness, mut random) = (Quickness::new(), Random::new());
        let mut looks = |now| (0..10_000).filter(|_| quickness.looks_around(now, &mut random)).count();
        assert_eq!([NOW, NOW + LOOK_AROUND_MS - 1, NOW + LOOK_AROUND_MS].map(&mut looks), [1, 0, 1]);
        let few =
            (0..640).filter(|step| quickness.looks_around(NOW + 1_000 + step * 1_000, &mut Random::new())).count();
        assert!((1..60).contains(&few), "{few} of 640 opens that come slowly");
    }

    #[test]
    fn forced_balance_and_a_single_worker_are_left_alone() {
        let (pair, bit) = group(2);
        let (one, only) = group(1);
        for (group, bit, balance) in [(&pair, bit, Balance::LeastLoaded), (&one, only, Balance::Auto)] {
            let choice = Choice { balance, ..choice(bit, NOW) };
            assert!((0..50).all(|_| group.pack(&choice, 9, &mut Random::new()).is_none()));
        }
    }
}
