//! Where opens go, seen from outside. The choice itself is tested in `group/tests.rs`.

use bytes::BytesMut;
use nylon_messaging::gateway::Balance;
use nylon_wire::subject;

use crate::{
    fake::{By, Fake, roundtrip},
    gateway::{Ask, ENTRY, GROUP, Gateway, run, spawn_filter, until},
};

/// Serves opens until `count` filters have run; says how many came directly.
async fn direct(gateway: &Gateway, mut worker: Fake, count: usize) -> usize {
    let mut directly = 0;
    for _ in 0..count {
        let asked = spawn_filter(gateway, Ask::default());
        let (open, by) = worker.open_by().await;
        directly += usize::from(by == By::Direct);
        worker.next_please(&open).await;
        asked.await.unwrap().0.unwrap();
    }
    directly
}

#[test]
fn auto_goes_directly_and_explores_rarely() {
    run(async {
        let gateway = Gateway::start().await;
        let worker = gateway.beating_worker("w1").await;
        let _beating = worker.keep_beating();
        let directly = direct(&gateway, worker, 400).await;
        assert!(directly > 380, "{directly} of 400");
    });
}

#[test]
fn queue_never_goes_directly() {
    run(async {
        let gateway = Gateway::with(|options| options.balance = Balance::Queue).await;
        let worker = gateway.beating_worker("w1").await;
        let _beating = worker.keep_beating();
        assert_eq!(direct(&gateway, worker, 100).await, 0);
    });
}

#[test]
fn least_loaded_always_goes_directly() {
    run(async {
        let gateway = Gateway::with(|options| options.balance = Balance::LeastLoaded).await;
        let worker = gateway.beating_worker("w1").await;
        let _beating = worker.keep_beating();
        assert_eq!(direct(&gateway, worker, 300).await, 300);
    });
}

#[test]
fn a_worker_of_another_group_attracts_nothing_whatever_it_announces() {
    run(async {
        let gateway = Gateway::start().await;
        let mut foreign = Fake::start(&gateway.server.url(), "foreign", "w1", Some(ENTRY)).await;
        // Its own subject with the group's name in the frame; the group's subject with its own name; and both of
        // another worker.
        let own = subject::beat("nylon", "foreign", "w1").unwrap();
        let taken = subject::beat("nylon", GROUP, "w1").unwrap();
        let other = subject::beat("nylon", GROUP, "w2").unwrap();
        for (subject, group) in [(&own, GROUP), (&taken, "foreign"), (&other, GROUP), (&own, "foreign")] {
            let mut beat = foreign.beat.clone();
            beat.group = group.into();
            let mut out = BytesMut::new();
            beat.encode(&mut out);
            foreign.send_raw(subject, out.freeze()).await;
        }
        let mut honest = gateway.beating_worker("honest").await;
        assert_eq!(gateway.messaging.workers().groups()[0].workers().len(), 1);
        // Of a group that the configuration does not name nothing is even read.
        assert_eq!(gateway.messaging.workers().refused_beats(), 2);
        for _ in 0..20 {
            let asked = spawn_filter(&gateway, Ask::default());
            let open = honest.open().await;
            honest.next_please(&open).await;
            asked.await.unwrap().0.unwrap();
        }
        roundtrip(&foreign.client).await;
        foreign.assert_nothing_came().await;
    });
}

#[test]
fn a_draining_worker_gets_no_more_opens() {
    run(async {
        let gateway = Gateway::start().await;
        let mut draining = gateway.beating_worker("d").await;
        let mut other = gateway.beating_worker("other").await;
        let _beating = other.keep_beating();
        draining.leave_queue().await;
        draining.beat.draining = true;
        draining.beat().await;
        until("draining", || gateway.messaging.workers().groups()[0].workers().iter().any(|worker| worker.draining()))
            .await;
        for _ in 0..20 {
            let asked = spawn_filter(&gateway, Ask::default());
            let open = other.open().await;
            other.next_please(&open).await;
            asked.await.unwrap().0.unwrap();
        }
        draining.assert_nothing_came().await;
    });
}
