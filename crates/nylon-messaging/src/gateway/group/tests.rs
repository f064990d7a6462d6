use std::collections::HashMap;

use nylon_wire::{BeatEntry, BodyMode, Ext, Revision, WorkerState};

use super::*;

pub(in crate::gateway) const NOW: u64 = 100_000;

fn beat(worker: &str) -> BeatFrame {
    BeatFrame {
        group: "g".into(),
        worker: worker.into(),
        seq: 0,
        load: 0,
        limit: 100,
        draining: false,
        oldest_running_ms: 0,
        oldest_waiting_ms: 0,
        entries: vec![BeatEntry {
            entry: "auth".into(),
            mask: nylon_wire::PhaseMask(1),
            body_mode: BodyMode::Buffered,
        }],
        revision: None::<Revision>,
        state: WorkerState::Ready,
        ext: Ext::empty(),
    }
}

/// A group whose workers w0… have been there for long.
pub(in crate::gateway) fn group(workers: usize) -> (Group, u64) {
    let group = Group::new("nylon", "g").unwrap();
    let bit = group.entry_bit("auth");
    for n in 0..workers {
        let mut frame = beat(&format!("w{n}"));
        assert!(group.beat(&frame, NOW - 10_000));
        for seq in 1..=40 {
            frame.seq = seq;
            assert!(group.beat(&frame, NOW - 10_000 + u64::from(seq) * 250));
        }
    }
    (group, bit)
}

fn change(group: &Group, worker: &str, now: u64, change: impl FnOnce(&mut BeatFrame)) {
    let mut frame = beat(worker);
    frame.seq = 1_000;
    change(&mut frame);
    assert!(group.beat(&frame, now));
}

pub(in crate::gateway) fn choice(bit: u64) -> Choice<'static> {
    Choice { balance: Balance::LeastLoaded, entry_bit: bit, now: NOW, avoid: None, configured: false, explore: true }
}

fn picks(group: &Group, choice: &Choice<'_>, times: usize) -> HashMap<String, usize> {
    let mut random = Random::new();
    let mut picks = HashMap::new();
    for _ in 0..times {
        let name = match group.pick(choice, &mut random) {
            Target::Worker(worker) => worker.id().to_owned(),
            Target::Queue => "queue".to_owned(),
            Target::Full => "full".to_owned(),
        };
        *picks.entry(name).or_default() += 1;
    }
    picks
}

fn only(name: &str, times: usize) -> HashMap<String, usize> {
    HashMap::from([(name.to_owned(), times)])
}

#[test]
fn equal_workers_share() {
    let (group, bit) = group(4);
    let picks = picks(&group, &choice(bit), 4_000);
    assert_eq!(picks.len(), 4);
    assert!(picks.values().all(|count| (800..1_200).contains(count)), "{picks:?}");
}

#[test]
fn of_two_the_less_loaded_is_always_taken() {
    let (group, bit) = group(2);
    change(&group, "w0", NOW, |beat| beat.load = 5);
    assert_eq!(picks(&group, &choice(bit), 500), only("w1", 500));
}

#[test]
fn own_phases_in_flight_count() {
    let (group, bit) = group(2);
    let _busy: Vec<_> = (0..3).map(|_| super::super::known::InFlight::new(&group.workers()[1])).collect();
    assert_eq!(picks(&group, &choice(bit), 500), only("w0", 500));
}

#[test]
fn a_slow_worker_gets_little() {
    let (group, bit) = group(10);
    for (n, worker) in group.workers().iter().enumerate() {
        worker.sample(if n == 3 { 20_000 } else { 2_000 }, NOW);
    }
    let picks = picks(&group, &choice(bit), 10_000);
    assert_eq!(picks.get("w3"), None, "{picks:?}");
}

#[test]
fn unfit_workers_are_not_chosen() {
    let unfit: [fn(&mut BeatFrame); 6] = [
        |beat| beat.draining = true,
        |beat| beat.state = WorkerState::Initializing,
        |beat| beat.state = WorkerState::FailedFirst,
        |beat| beat.oldest_waiting_ms = 251,
        |beat| beat.oldest_running_ms = 6_001,
        |beat| beat.entries[0].entry = "other".into(),
    ];
    for unfit in unfit {
        let (group, bit) = group(3);
        group.opened(5_000);
        change(&group, "w0", NOW, unfit);
        change(&group, "w1", NOW, unfit);
        assert_eq!(picks(&group, &choice(bit), 300), only("w2", 300));
        change(&group, "w2", NOW, unfit);
        assert_eq!(picks(&group, &choice(bit), 10), only("queue", 10));
    }
}

#[test]
fn a_worker_that_keeps_an_old_configuration_serves() {
    let (group, bit) = group(1);
    change(&group, "w0", NOW, |beat| beat.state = WorkerState::FailedKeepingOld);
    assert_eq!(picks(&group, &choice(bit), 10), only("w0", 10));
}

#[test]
fn silence_ends_after_750_ms_and_the_first_beat_brings_it_back() {
    let (group, bit) = group(1);
    let later = Choice { now: NOW + 751, ..choice(bit) };
    assert_eq!(picks(&group, &later, 10), only("queue", 10));
    change(&group, "w0", NOW + 751, |_| {});
    assert_eq!(picks(&group, &later, 10), only("w0", 10));
}

#[test]
fn a_worker_that_was_never_heard_to_beat_is_lost_as_soon() {
    let (group, _) = group(0);
    let worker = group.worker("mute", NOW).expect("a name");
    assert!(!worker.lost(NOW + 749, 0) && worker.lost(NOW + 750, 0));
    worker.answered(NOW + 500);
    assert!(!worker.lost(NOW + 1_249, 0) && worker.lost(NOW + 1_250, 0));
    assert!(!worker.lost(NOW + 1_250, NOW + 2_000));
}

#[test]
fn who_has_just_answered_is_not_lost_for_a_beat_that_is_late() {
    let (group, _) = group(1);
    let worker = group.worker("w0", NOW).expect("a name");
    assert!(group.lost(&worker, NOW + 2_000));
    worker.answered(NOW + 1_500);
    assert!(!group.lost(&worker, NOW + 2_249) && group.lost(&worker, NOW + 2_250));
    // After a reconnect it may still be on its way back; opens go to others meanwhile.
    group.let_settle(NOW + 4_000);
    assert!(!group.lost(&worker, NOW + 3_999) && group.lost(&worker, NOW + 4_000));
    assert!(!worker.fresh(NOW + 3_999, group.grace()));
}

#[test]
fn silence_proves_nothing_while_we_did_not_run() {
    let (group, bit) = group(1);
    group.grant_grace(NOW + 2_000);
    assert_eq!(picks(&group, &Choice { now: NOW + 1_999, ..choice(bit) }, 10), only("w0", 10));
    assert_eq!(picks(&group, &Choice { now: NOW + 2_001, ..choice(bit) }, 10), only("queue", 10));
}

#[test]
fn an_ejected_worker_rests_longer_each_time() {
    let (group, bit) = group(1);
    let worker = group.workers()[0].clone();
    let fit = |now| worker.fit(bit, now, u64::MAX, 0).is_ok();
    group.eject(&worker, NOW - 250, NOW);
    assert!(!fit(NOW + 999) && fit(NOW + 1_000));
    group.eject(&worker, NOW + 750, NOW + 1_000);
    assert!(!fit(NOW + 2_999) && fit(NOW + 3_000));
    worker.answered(NOW + 2_000);
    group.eject(&worker, NOW + 2_750, NOW + 3_000);
    assert!(!fit(NOW + 3_999) && fit(NOW + 4_000));
    assert_eq!(group.ejections(), 3);
}

#[test]
fn a_worker_that_answers_others_meanwhile_is_not_ejected() {
    let (group, bit) = group(1);
    let worker = group.workers()[0].clone();
    worker.answered(NOW - 100);
    group.eject(&worker, NOW - 250, NOW);
    assert!(worker.fit(bit, NOW, u64::MAX, 0).is_ok());
    assert_eq!(group.ejections(), 0);
}

#[test]
fn a_worker_that_is_gone_comes_back_with_its_next_beat() {
    let (group, bit) = group(1);
    // While it may be on its way back it is not.
    group.let_settle(NOW + 1);
    group.gone(&group.workers()[0], NOW);
    assert_eq!(picks(&group, &choice(bit), 10), only("w0", 10));
    group.gone(&group.workers()[0], NOW + 1);
    assert_eq!(picks(&group, &choice(bit), 10), only("queue", 10));
    // A beat that another thread's listener brings late is the same beat.
    let mut old = beat("w0");
    old.seq = 40;
    assert!(!group.beat(&old, NOW));
    assert_eq!(picks(&group, &choice(bit), 10), only("queue", 10));
    change(&group, "w0", NOW, |_| {});
    assert_eq!(picks(&group, &choice(bit), 10), only("w0", 10));
}

#[test]
fn a_new_worker_starts_slowly() {
    let (group, bit) = group(1);
    change(&group, "new", NOW - 100, |_| {});
    assert_eq!(picks(&group, &choice(bit), 300), only("w0", 300));
    let _busy: Vec<_> = (0..20).map(|_| super::super::known::InFlight::new(&group.workers()[0])).collect();
    assert_eq!(picks(&group, &choice(bit), 300), only("new", 300));
}

#[test]
fn the_worker_that_refused_is_avoided() {
    let (group, bit) = group(2);
    let avoid = group.workers()[0].clone();
    let retry = Choice { avoid: Some(&avoid), ..choice(bit) };
    assert_eq!(picks(&group, &retry, 100), only("w1", 100));
}

#[test]
fn the_queue_group_is_explored_rarely_and_not_under_suspicion() {
    let (group, bit) = group(3);
    let auto = Choice { balance: Balance::Auto, ..choice(bit) };
    let explored = picks(&group, &auto, 20_000).get("queue").copied().unwrap_or_default();
    assert!((50..200).contains(&explored), "{explored} of 20000");
    group.eject(&group.workers()[0], NOW - 250, NOW);
    assert_eq!(picks(&group, &auto, 5_000).get("queue"), None);
}

#[test]
fn an_unready_worker_is_nudged_once_in_a_while() {
    let (group, bit) = group(1);
    change(&group, "w0", NOW, |beat| beat.state = WorkerState::Initializing);
    let configured = Choice { configured: true, ..choice(bit) };
    let picks = picks(&group, &configured, 100);
    assert_eq!(picks.get("w0"), Some(&1), "{picks:?}");
}

#[test]
fn the_budget_is_a_tenth_of_the_opens() {
    let (group, _) = group(0);
    let taken = (0..100).filter(|_| group.take_retry()).count();
    assert_eq!(taken, 10);
    (0..1_000).for_each(|_| group.opened(5_000));
    let taken = (0..1_000).filter(|_| group.take_retry()).count();
    assert_eq!(taken, 100);
}

#[test]
fn workers_that_are_silent_for_long_are_forgotten() {
    let (group, _) = group(2);
    change(&group, "w0", NOW + 60_000, |_| {});
    group.forget(NOW + 30_000);
    assert_eq!(group.workers().len(), 1);
}

#[test]
fn agreement_needs_all_live_workers() {
    let (group, _) = group(2);
    assert_eq!(group.announced("auth", NOW), Some(PhaseMask(1)));
    assert_eq!(group.announced("other", NOW), None);
    change(&group, "w1", NOW, |beat| beat.entries.clear());
    assert_eq!(group.announced("auth", NOW), None);
}

#[test]
fn who_is_behind_is_left_alone_and_nobody_is_asked_if_all_are() {
    let (group, bit) = group(2);
    let worker = |id| group.worker(id, NOW).unwrap();
    worker("w0").set_full(NOW + 10);
    assert_eq!(picks(&group, &choice(bit), 300), only("w1", 300));
    worker("w1").set_full(NOW + 10);
    assert_eq!(picks(&group, &choice(bit), 300), only("full", 300));
    let later = Choice { now: NOW + 10, ..choice(bit) };
    assert_eq!(picks(&group, &later, 300).len(), 2);
    // One that is gone does not make the group look busy.
    worker("w0").set_gone();
    worker("w1").set_gone();
    assert_eq!(picks(&group, &choice(bit), 300), only("queue", 300));
}
