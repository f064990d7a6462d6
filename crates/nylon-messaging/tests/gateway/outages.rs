//! NATS that goes away and comes back; a gateway that ends.

use std::time::Duration;

use nylon_messaging::{
    ConnectionOptions,
    gateway::{Link, Messaging, MessagingOptions, NatsPlugin, PluginOptions},
};
use nylon_plugin::{Phase, Plugin, PluginErrorKind};
use nylon_wire::{AbortReason, Action, Frame, Header};

use crate::{
    fake::{Fake, roundtrip},
    gateway::{Ask, ENTRY, GROUP, Gateway, exchange, filter, run, spawn_filter, until},
    server::NatsServer,
};

#[test]
fn a_lost_connection_fails_what_waits_at_once() {
    run(async {
        let mut gateway = Gateway::start().await;
        let mut worker = gateway.worker("w1").await;
        let accepted = spawn_filter(&gateway, Ask::default());
        let open = worker.open().await;
        gateway.accepted_by(&mut worker, &open).await;
        let waiting = spawn_filter(&gateway, Ask { retry: 0, ..Ask::default() });
        worker.open().await;
        gateway.server.kill();
        assert_eq!(accepted.await.unwrap().0.unwrap_err().kind, PluginErrorKind::Lost);
        assert_eq!(waiting.await.unwrap().0.unwrap_err().kind, PluginErrorKind::Unavailable);
        let (result, took) = spawn_filter(&gateway, Ask::default()).await.unwrap();
        assert_eq!(result.unwrap_err().kind, PluginErrorKind::Unavailable);
        assert!(took < Duration::from_millis(20), "{took:?}");
        gateway.assert_clean().await;
    });
}

#[test]
fn everything_works_again_after_nats_came_back() {
    run(async {
        let mut gateway = Gateway::start().await;
        gateway.server.kill();
        until("the loss", || !gateway.link.is_connected()).await;
        gateway.server.restart();
        gateway.connected().await;
        let mut worker = gateway.beating_worker("w1").await;
        let asked = spawn_filter(&gateway, Ask::default());
        let open = worker.open().await;
        worker.next_please(&open).await;
        asked.await.unwrap().0.unwrap();
        assert_eq!(gateway.link.stats().connection().connects(), 2);
    });
}

#[test]
fn a_session_survives_a_reconnect_between_phases() {
    run(async {
        let mut gateway = Gateway::start().await;
        let mut worker = gateway.worker("w1").await;
        worker.mask = nylon_wire::PhaseMask(0b11);
        let mut session = gateway.session();
        let mut exchange = exchange();
        let serve = tokio::task::spawn_local(async move {
            let open = worker.open().await;
            worker.next_please(&open).await;
            let (Frame::Phase(phase), _) = worker.next().await else { panic!("expected PHASE") };
            let header = Header { seq: 1, ..phase.header };
            worker.result_with(&open, header, Vec::new(), Action::Next, None).await;
        });
        Ask::default().of(&mut *session, &mut exchange).await.unwrap();
        gateway.server.restart();
        until("the loss", || gateway.link.stats().connection().disconnects() == 1).await;
        gateway.connected().await;
        // The worker reconnects by itself; until then nobody listens, so a probe decides.
        let result = Ask::phase(Phase::ResponseFilter).of(&mut *session, &mut exchange).await;
        match result {
            Ok(_) => serve.await.unwrap(),
            Err(error) => assert_eq!(error.kind, PluginErrorKind::Lost),
        }
        drop(session);
        gateway.assert_clean().await;
    });
}

#[test]
fn a_beat_that_is_late_after_a_reconnect_loses_no_session() {
    run(async {
        let mut gateway = Gateway::start().await;
        let mut worker = gateway.beating_worker("w1").await;
        worker.mask = nylon_wire::PhaseMask(0b11);
        let (plugin, ask) = (gateway.plugin.clone(), Ask::default());
        let asked = tokio::task::spawn_local(async move {
            let (mut session, mut exchange) = (plugin.session(), exchange());
            ask.of(&mut *session, &mut exchange).await.unwrap();
            (session, exchange)
        });
        let open = worker.open().await;
        worker.next_please(&open).await;
        let (mut session, mut exchange) = asked.await.unwrap();
        gateway.server.kill();
        until("the loss", || !gateway.link.is_connected()).await;
        tokio::time::sleep(Duration::from_secs(3)).await; // sleep: what counts is the reconnect, not the loss
        gateway.server.restart();
        gateway.connected().await;
        // The worker is back, its next beat is not.
        roundtrip(&worker.client).await;
        let asked = tokio::task::spawn_local(async move {
            Ask::phase(Phase::ResponseFilter).of(&mut *session, &mut exchange).await.map(|_| ())
        });
        let (Frame::Phase(phase), _) = worker.next().await else { panic!("expected PHASE") };
        until("a look at the worker", || gateway.link.stats().probes.get() > 0).await;
        let header = Header { seq: 1, ..phase.header };
        worker.result_with(&open, header, Vec::new(), Action::Next, None).await;
        asked.await.unwrap().unwrap();
        gateway.assert_clean().await;
    });
}

#[test]
fn shutdown_aborts_sessions_and_fails_what_waits() {
    run(async {
        let gateway = Gateway::start().await;
        let mut worker = gateway.worker("w1").await;
        worker.mask = nylon_wire::PhaseMask(0b11);
        let mut idle = gateway.session();
        let mut exchange = exchange();
        let first = tokio::task::spawn_local(async move {
            let open = worker.open().await;
            worker.next_please(&open).await;
            worker
        });
        Ask::default().of(&mut *idle, &mut exchange).await.unwrap();
        let mut worker = first.await.unwrap();
        let asked = spawn_filter(&gateway, Ask::default());
        let open = worker.open().await;
        gateway.accepted_by(&mut worker, &open).await;
        gateway.link.shutdown(Duration::from_secs(2)).await;
        assert_eq!(asked.await.unwrap().0.unwrap_err().kind, PluginErrorKind::Lost);
        assert_eq!(worker.aborted().await, AbortReason::GatewayShutdown);
        assert_eq!(worker.aborted().await, AbortReason::GatewayShutdown);
        assert_eq!(filter(&gateway).await.unwrap_err().kind, PluginErrorKind::Unavailable);
    });
}

#[test]
fn a_gateway_that_starts_before_nats_waits_for_it() {
    run(async {
        let mut server = NatsServer::start();
        server.kill();
        let connection = ConnectionOptions { servers: vec![server.url()], ..Default::default() };
        let options = MessagingOptions { connection, ..Default::default() };
        let messaging = Messaging::new(options).unwrap();
        let link = Link::start(&messaging, 0).await.unwrap();
        assert!(!link.is_connected());
        server.restart();
        until("the connection", || link.is_connected()).await;
        let shared = messaging.plugin(PluginOptions::new("auth", GROUP)).unwrap();
        let plugin = NatsPlugin::new(&link, &shared, ENTRY).unwrap();
        let mut worker = Fake::start(&server.url(), GROUP, "w1", Some(ENTRY)).await;
        let asked =
            tokio::task::spawn_local(async move { Ask::default().of(&mut *plugin.session(), &mut exchange()).await });
        let open = worker.open().await;
        worker.next_please(&open).await;
        asked.await.unwrap().unwrap();
    });
}
