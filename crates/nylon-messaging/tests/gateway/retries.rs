//! Opens that nobody takes: tried once more, held, or given up (rules §3).

use std::time::Duration;

use bytes::Bytes;
use nylon_messaging::gateway::Balance;
use nylon_plugin::PluginErrorKind;
use nylon_wire::{AbortFrame, AbortReason, BusyReason, Ext, Frame, WorkerState};

use crate::{
    fake::By,
    gateway::{Ask, Gateway, exchange, filter, filter_with, run, spawn_filter, until},
};

#[test]
fn an_open_that_is_not_accepted_is_tried_on_another_worker() {
    run(async {
        let gateway = Gateway::start().await;
        let mut silent = gateway.beating_worker("silent").await;
        let asked = spawn_filter(&gateway, Ask::default());
        let first = silent.open().await;
        let mut other = gateway.beating_worker("other").await;
        let (open, by) = other.open_by().await;
        assert_eq!(by, By::Direct);
        assert_ne!(open.header.session, first.header.session, "the retry has a session of its own");
        assert_ne!(open.reply, first.reply, "a slot that timed out rests");
        other.next_please(&open).await;
        let (result, took) = asked.await.unwrap();
        result.unwrap();
        assert!(took < Duration::from_millis(600), "{took:?}");
        assert_eq!(silent.aborted().await, AbortReason::Timeout);
        // The silent one is ejected: the next open goes to the other, at once.
        let asked = spawn_filter(&gateway, Ask::default());
        let (open, _) = other.open_by().await;
        other.next_please(&open).await;
        asked.await.unwrap().0.unwrap();
        assert_eq!(gateway.messaging.workers().groups()[0].ejections(), 1);
        assert_eq!(gateway.link.stats().retries.get(), 1);
        gateway.assert_clean().await;
    });
}

#[test]
fn an_open_that_was_lost_on_its_way_is_tried_on_another_worker() {
    run(async {
        let gateway = Gateway::with(|options| options.balance = Balance::LeastLoaded).await;
        let mut one = gateway.beating_worker("one").await;
        let asked = spawn_filter(&gateway, Ask::default());
        let lost = one.open().await;
        let mut other = gateway.beating_worker("other").await;
        // What a worker answers to a probe of a session that it does not know.
        let abort = AbortFrame { header: lost.header, reason: AbortReason::Stale, text: None, ext: Ext::empty() };
        one.send(&lost.reply, &Frame::Abort(abort)).await;
        let open = other.open().await;
        other.next_please(&open).await;
        asked.await.unwrap().0.unwrap();
        one.assert_nothing_came().await;
        let ejections = gateway.messaging.workers().groups()[0].ejections();
        assert_eq!((gateway.link.stats().retries.get(), ejections), (1, 0));
        gateway.assert_clean().await;
    });
}

#[test]
fn two_opens_not_accepted_are_a_timeout() {
    run(async {
        let gateway = Gateway::start().await;
        let mut worker = gateway.worker("w1").await;
        let asked = spawn_filter(&gateway, Ask::default());
        worker.open().await;
        worker.open().await;
        let (result, took) = asked.await.unwrap();
        assert_eq!(result.unwrap_err().kind, PluginErrorKind::Timeout);
        assert!(took >= Duration::from_millis(480) && took < Duration::from_millis(800), "{took:?}");
        gateway.assert_clean().await;
        assert_eq!(gateway.link.stats().slots_resting.get(), 2);
        until("the rest to end", || gateway.link.stats().slots_resting.get() == 0).await;
    });
}

#[test]
fn without_a_retry_one_open_is_all() {
    run(async {
        let gateway = Gateway::start().await;
        let mut worker = gateway.worker("w1").await;
        let asked = spawn_filter(&gateway, Ask { retry: 0, ..Ask::default() });
        worker.open().await;
        assert_eq!(asked.await.unwrap().0.unwrap_err().kind, PluginErrorKind::Timeout);
        assert_eq!(gateway.link.stats().opens.get(), 1);
        worker.assert_nothing_came().await;
    });
}

#[test]
fn a_late_first_answer_is_cancelled_at_its_worker() {
    run(async {
        let gateway = Gateway::start().await;
        let mut worker = gateway.worker("w1").await;
        let asked = spawn_filter(&gateway, Ask { retry: 0, ..Ask::default() });
        let open = worker.open().await;
        assert_eq!(asked.await.unwrap().0.unwrap_err().kind, PluginErrorKind::Timeout);
        worker.accept(&open).await;
        assert_eq!(worker.aborted().await, AbortReason::Stale);
    });
}

#[test]
fn busy_is_tried_once_more_even_where_nothing_may_run_twice() {
    run(async {
        let gateway = Gateway::start().await;
        let mut worker = gateway.worker("w1").await;
        let asked = spawn_filter(&gateway, Ask { retry: 0, ..Ask::default() });
        let open = worker.open().await;
        worker.busy(&open, BusyReason::Full).await;
        let open = worker.open().await;
        worker.next_please(&open).await;
        asked.await.unwrap().0.unwrap();
        assert_eq!(gateway.link.stats().busy.get(), 1);
        gateway.assert_clean().await;
    });
}

#[test]
fn every_worker_full_is_busy_at_once() {
    run(async {
        let gateway = Gateway::start().await;
        let (mut one, mut two) = (gateway.beating_worker("w1").await, gateway.beating_worker("w2").await);
        let asked = spawn_filter(&gateway, Ask::default());
        let mut refused = Vec::new();
        for _ in 0..2 {
            tokio::select! {
                open = one.open() => { one.busy(&open, BusyReason::Full).await; refused.push("w1"); }
                open = two.open() => { two.busy(&open, BusyReason::Full).await; refused.push("w2"); }
            }
        }
        let (result, took) = asked.await.unwrap();
        let error = result.unwrap_err();
        assert_eq!(error.kind, PluginErrorKind::Busy);
        assert!(error.retry_after.is_some());
        assert!(took < Duration::from_millis(200), "{took:?}");
        refused.sort_unstable();
        assert_eq!(refused, ["w1", "w2"], "the second open goes to the other worker");
        gateway.assert_clean().await;
    });
}

#[test]
fn a_group_that_is_behind_is_not_asked_for_a_moment() {
    run(async {
        let gateway = Gateway::with(|options| options.balance = Balance::LeastLoaded).await;
        let mut worker = gateway.beating_worker("w1").await;
        let asked = spawn_filter(&gateway, Ask { retry: 0, ..Ask::default() });
        let open = worker.open().await;
        worker.busy_for(&open, BusyReason::Full, 1_000).await;
        assert_eq!(asked.await.unwrap().0.unwrap_err().kind, PluginErrorKind::Busy);
        let opens = gateway.link.stats().opens.get();
        let error = filter(&gateway).await.unwrap_err();
        assert_eq!((error.kind, error.retry_after.is_some()), (PluginErrorKind::Busy, true));
        assert_eq!(gateway.link.stats().opens.get(), opens, "an open was sent to a worker that is behind");
        // It says a second, but it could run out of work before.
        let (_work, serving) = (worker.keep_beating(), worker.serve());
        while filter(&gateway).await.is_err() {
            tokio::task::yield_now().await;
        }
        drop(serving);
        gateway.assert_clean().await;
    });
}

#[test]
fn a_worker_at_its_limit_is_asked_again_at_once() {
    run(async {
        let gateway = Gateway::with(|options| options.balance = Balance::LeastLoaded).await;
        let mut worker = gateway.beating_worker("w1").await;
        for _ in 0..3 {
            let asked = spawn_filter(&gateway, Ask::default());
            for _ in 0..2 {
                let open = worker.open().await;
                worker.busy(&open, BusyReason::Full).await;
            }
            assert_eq!(asked.await.unwrap().0.unwrap_err().kind, PluginErrorKind::Busy);
        }
        gateway.assert_clean().await;
    });
}

#[test]
fn draining_workers_are_left_without_counting() {
    run(async {
        let gateway = Gateway::start().await;
        let mut draining = Vec::new();
        for id in ["d1", "d2", "d3"] {
            draining.push(gateway.beating_worker(id).await);
        }
        let busy: Vec<_> = draining
            .into_iter()
            .map(|mut worker| {
                tokio::task::spawn_local(async move {
                    worker.leave_queue().await;
                    loop {
                        let open = worker.open().await;
                        worker.busy(&open, BusyReason::Draining).await;
                    }
                })
            })
            .collect();
        let mut fresh = gateway.worker("fresh").await;
        let asked = spawn_filter(&gateway, Ask { retry: 0, ..Ask::default() });
        let open = fresh.open().await;
        fresh.next_please(&open).await;
        asked.await.unwrap().0.unwrap();
        busy.iter().for_each(tokio::task::JoinHandle::abort);
        gateway.assert_clean().await;
    });
}

#[test]
fn an_open_is_held_while_no_worker_is_ready() {
    run(async {
        let gateway = Gateway::with(|options| {
            options.config = Some(Bytes::from_static(b"{}"));
            options.revision = Some(nylon_wire::Revision { hash: Bytes::from_static(b"x"), loaded_ms: 1 });
        })
        .await;
        let mut worker = gateway.worker("w1").await;
        worker.beat.state = WorkerState::Initializing;
        worker.beat().await;
        gateway.heard("w1").await;
        let asked = spawn_filter(&gateway, Ask::default());
        for _ in 0..4 {
            let open = worker.open().await;
            worker.busy(&open, BusyReason::Initializing).await;
        }
        worker.beat.state = WorkerState::Ready;
        worker.beat().await;
        let open = worker.open().await;
        worker.next_please(&open).await;
        asked.await.unwrap().0.unwrap();
        gateway.assert_clean().await;
    });
}

#[test]
fn an_open_is_held_no_longer_than_its_deadline() {
    run(async {
        let gateway = Gateway::start().await;
        let mut worker = gateway.worker("w1").await;
        let asked = spawn_filter(&gateway, Ask::within(350));
        let serve = tokio::task::spawn_local(async move {
            loop {
                let open = worker.open().await;
                worker.busy(&open, BusyReason::Initializing).await;
            }
        });
        let (result, took) = asked.await.unwrap();
        assert_eq!(result.unwrap_err().kind, PluginErrorKind::Unavailable);
        assert!(took >= Duration::from_millis(340) && took < Duration::from_millis(500), "{took:?}");
        serve.abort();
        gateway.assert_clean().await;
    });
}

#[test]
fn a_worker_that_is_gone_costs_nothing_but_the_way() {
    run(async {
        let gateway = Gateway::start().await;
        let gone = gateway.beating_worker("gone").await;
        let client = gone.client.clone();
        drop(gone);
        // The server has seen the unsubscriptions once a later message of that client came back.
        crate::fake::roundtrip(&client).await;
        crate::fake::roundtrip(&client).await;
        let mut other = gateway.worker("other").await;
        let asked = spawn_filter(&gateway, Ask { retry: 0, ..Ask::default() });
        let open = other.open().await;
        other.next_please(&open).await;
        let (result, took) = asked.await.unwrap();
        result.unwrap();
        assert!(took < Duration::from_millis(200), "{took:?}");
        gateway.assert_clean().await;
    });
}

#[test]
fn retries_stay_within_a_tenth_of_the_opens() {
    run(async {
        let gateway = Gateway::start().await;
        let mut worker = gateway.worker("w1").await;
        let serve = tokio::task::spawn_local(async move {
            loop {
                let open = worker.open().await;
                worker.busy(&open, BusyReason::Full).await;
            }
        });
        for _ in 0..100 {
            assert_eq!(filter(&gateway).await.unwrap_err().kind, PluginErrorKind::Busy);
        }
        serve.abort();
        let stats = gateway.link.stats();
        // Ten are there at the start; the rest is a tenth of the opens.
        let (retries, opens) = (stats.retries.get(), stats.opens.get());
        assert!(retries <= 10 + opens / 10 && retries >= 10, "{retries} of {opens}");
        assert_eq!(stats.over_budget.get(), 100 - retries);
        gateway.assert_clean().await;
    });
}

#[test]
fn an_open_without_time_is_not_sent() {
    run(async {
        let gateway = Gateway::start().await;
        let mut worker = gateway.worker("w1").await;
        let error = filter_with(&gateway, &Ask::within(0), exchange()).await.unwrap_err();
        assert_eq!(error.kind, PluginErrorKind::Timeout);
        worker.assert_nothing_came().await;
    });
}
