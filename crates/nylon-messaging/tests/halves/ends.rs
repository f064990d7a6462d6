//! Failures, cancellation, and workers that come and go.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use nylon_messaging::{
    gateway::Balance,
    worker::{Lane, Worker},
};
use nylon_plugin::{Plugin, PluginErrorKind};
use nylon_wire::{AbortReason, PhaseMask, failure};

use crate::{
    gateway::{Ask, Gateway, exchange, filter, run, spawn_filter, until},
    pass, serve, worker,
};

const REQUEST: PhaseMask = PhaseMask(1);

#[test]
fn a_failed_handler_fails_the_phase_with_its_text() {
    run(async {
        let gateway = Gateway::start().await;
        let worker = worker(&gateway, REQUEST, |_| {}).await;
        serve(&worker, 1, |job| job.fail(failure::HANDLER_ERROR, "no such user", Some("e42".into())));
        let error = filter(&gateway).await.unwrap_err();
        assert_eq!(error.kind, PluginErrorKind::Handler);
        assert!(error.message.contains("no such user") && error.message.contains("e42"), "{}", error.message);
        gateway.assert_clean().await;
    });
}

#[test]
fn a_handler_over_its_deadline_is_cancelled_on_both_sides() {
    run(async {
        let gateway = Gateway::start().await;
        let worker = worker(&gateway, REQUEST, |_| {}).await;
        let asked = spawn_filter(&gateway, Ask::within(300));
        let job = found(&worker).await;
        let (result, took) = asked.await.unwrap();
        assert_eq!(result.unwrap_err().kind, PluginErrorKind::Timeout);
        // 50 ms by the rules; twice that on a machine that has other things to do.
        assert!((300..400).contains(&took.as_millis()), "{took:?}");
        until("the handler to be cancelled", || job.cancelled()).await;
        pass(job);
        until("the handler to be done", || worker.stats().active == 0).await;
        assert_eq!(worker.stats().counts.late, 1);
        gateway.assert_clean().await;
    });
}

async fn found(worker: &Worker) -> nylon_messaging::worker::Job {
    let mut job = None;
    until("a job", || {
        job = worker.try_next(Lane::Threads);
        job.is_some()
    })
    .await;
    job.unwrap()
}

#[test]
fn a_client_that_leaves_cancels_the_handler() {
    run(async {
        let gateway = Gateway::start().await;
        let worker = worker(&gateway, REQUEST, |_| {}).await;
        let asked = spawn_filter(&gateway, Ask::default());
        let job = found(&worker).await;
        let left = Instant::now();
        asked.abort();
        until("the handler to be cancelled", || job.cancelled()).await;
        assert!(left.elapsed() < Duration::from_millis(100));
        assert_eq!(job.cancel_reason(), Some(AbortReason::ClientGone));
        drop(job);
        gateway.assert_clean().await;
    });
}

#[test]
fn a_worker_that_is_dropped_is_lost_at_once() {
    run(async {
        let gateway = Gateway::start().await;
        let worker = worker(&gateway, REQUEST, |_| {}).await;
        let asked = spawn_filter(&gateway, Ask::default());
        let job = found(&worker).await;
        drop(worker);
        let (result, _) = asked.await.unwrap();
        assert_eq!(result.unwrap_err().kind, PluginErrorKind::Lost);
        drop(job);
        let started = Instant::now();
        assert_eq!(filter(&gateway).await.unwrap_err().kind, PluginErrorKind::Unavailable);
        assert!(started.elapsed() < Duration::from_millis(50));
        gateway.assert_clean().await;
    });
}

#[test]
fn a_gateway_that_is_gone_cancels_its_sessions() {
    run(async {
        let gateway = Gateway::start().await;
        let other = Gateway::on(crate::server::NatsServer::start(), |_| {}).await;
        drop(other);
        let worker = worker(&gateway, REQUEST, |_| {}).await;
        let asked = spawn_filter(&gateway, Ask { within: Duration::from_secs(30), ..Ask::default() });
        let job = found(&worker).await;
        gateway.link.shutdown(Duration::from_secs(1)).await;
        until("the handler to be cancelled", || job.cancelled()).await;
        asked.abort();
        drop(job);
        until("nothing to be left", || worker.stats().active == 0).await;
    });
}

/// Requests without a pause while workers are replaced: none may fail, whatever the balance.
fn rolling_restart(balance: Balance) {
    run(async move {
        let gateway = Gateway::with(|options| options.balance = balance).await;
        let mut workers = vec![];
        for _ in 0..3 {
            let worker = worker(&gateway, REQUEST, |_| {}).await;
            serve(&worker, 2, pass);
            workers.push(worker);
        }
        let (served, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let clients: Vec<_> = (0..16)
            .map(|_| {
                let (plugin, served, stop) = (gateway.plugin.clone(), served.clone(), stop.clone());
                tokio::task::spawn_local(async move {
                    while stop.load(SeqCst) == 0 {
                        let outcome = Ask::default().of(&mut *plugin.session(), &mut exchange()).await;
                        assert!(outcome.is_ok(), "{outcome:?}");
                        served.fetch_add(1, SeqCst);
                    }
                })
            })
            .collect();
        for _ in 0..3 {
            let next = worker(&gateway, REQUEST, |_| {}).await;
            serve(&next, 2, pass);
            workers.push(next);
            let leaving = workers.remove(0);
            leaving.drain();
            until("it has ended", || leaving.drained()).await;
            let before = served.load(SeqCst);
            until("the others to serve on", || served.load(SeqCst) > before + 50).await;
        }
        stop.store(1, SeqCst);
        for client in clients {
            client.await.unwrap();
        }
        gateway.assert_clean().await;
    });
}

#[test]
fn a_rolling_restart_fails_no_request_with_auto() {
    rolling_restart(Balance::Auto);
}

#[test]
fn a_rolling_restart_fails_no_request_with_queue() {
    rolling_restart(Balance::Queue);
}

#[test]
fn a_full_worker_is_told_from_a_dead_one() {
    run(async {
        let gateway = Gateway::start().await;
        let worker = worker(&gateway, REQUEST, |options| options.max_sessions = 1).await;
        let asked = spawn_filter(&gateway, Ask::default());
        let job = found(&worker).await;
        let error = filter(&gateway).await.unwrap_err();
        assert_eq!(error.kind, PluginErrorKind::Busy, "{}", error.message);
        pass(job);
        asked.await.unwrap().0.unwrap();
        gateway.assert_clean().await;
    });
}
