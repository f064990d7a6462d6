//! Configurations: when the plugin gets which, and who waits.

use std::time::Duration;

use bytes::Bytes;
use nylon_messaging::worker::{Job, JobKind, Lane, Worker, WorkerOptions};
use nylon_wire::{AbortReason, Action, BusyReason, FetchKind, Frame, Phase, Revision, WorkerState, failure};

use crate::{
    gateway::{Gateway, Open, Opened},
    options, pass,
    server::NatsServer,
    wait::found,
};

fn revision(hash: &'static [u8], loaded_ms: u64) -> Option<Revision> {
    Some(Revision { hash: Bytes::from_static(hash), loaded_ms })
}

fn open(hash: &'static [u8], loaded_ms: u64) -> Open<'static> {
    Open { revision: revision(hash, loaded_ms), ..Open::default() }
}

async fn start(server: &NatsServer, change: impl FnOnce(&mut WorkerOptions)) -> (Worker, Gateway) {
    let mut gateway = Gateway::connect(server).await;
    let mut options = options(server, &[Phase::RequestFilter]);
    options.initialize = true;
    change(&mut options);
    let worker = Worker::start(options).unwrap();
    gateway.ready(&worker).await;
    (worker, gateway)
}

async fn job(worker: &Worker) -> Job {
    found("a job", || worker.try_next(Lane::Threads)).await
}

/// Answers the FETCH of a configuration.
async fn bring(gateway: &mut Gateway, worker: &Worker, opened: &mut Opened, text: &'static str) {
    let Frame::Fetch(fetch) = gateway.frame(opened).await else { panic!("no fetch") };
    assert_eq!(fetch.what, FetchKind::Config);
    gateway.data(worker, opened, fetch.call_id, Bytes::from_static(text.as_bytes()), false).await;
}

fn initialize(config: &'static str, revision: Option<Revision>) -> JobKind {
    JobKind::Initialize { config: Bytes::from_static(config.as_bytes()), revision }
}

async fn served(gateway: &mut Gateway, worker: &Worker, open: &Open<'_>) {
    let opened = gateway.open(open).await;
    let next = job(worker).await;
    assert_eq!(next.kind(), &JobKind::Phase(Phase::RequestFilter));
    pass(next);
    assert!(matches!(gateway.frame(&opened).await, Frame::Result(result) if result.action == Action::Next));
}

#[tokio::test]
async fn the_first_open_brings_the_configuration_and_then_runs() {
    let server = NatsServer::start();
    let (worker, mut gateway) = start(&server, |options| options.wait_limit = Duration::from_millis(100)).await;
    let mut first = gateway.open(&open(b"a", 5)).await;
    bring(&mut gateway, &worker, &mut first, r#"{"a":1}"#).await;
    let init = job(&worker).await;
    assert_eq!(init.kind(), &initialize(r#"{"a":1}"#, revision(b"a", 5)));
    gateway.beat(|beat| beat.state == WorkerState::Initializing).await;
    // Another one waits, but not for long.
    let second = gateway.open(&open(b"a", 5)).await;
    assert!(matches!(gateway.frame(&second).await, Frame::Busy(busy) if busy.reason == BusyReason::Initializing));
    pass(init);
    pass(job(&worker).await);
    assert!(matches!(gateway.frame(&first).await, Frame::Result(_)));
    let beat = gateway.beat(|beat| beat.state == WorkerState::Ready).await;
    assert_eq!(beat.revision, revision(b"a", 5));
    served(&mut gateway, &worker, &open(b"a", 9)).await;
    assert_eq!(worker.stats().counts.initialized, 1);
}

#[tokio::test]
async fn only_a_newer_revision_initializes_again_and_a_refused_one_keeps_the_old() {
    let server = NatsServer::start();
    let (worker, mut gateway) = start(&server, |_| {}).await;
    let mut first = gateway.open(&open(b"a", 5)).await;
    bring(&mut gateway, &worker, &mut first, "1").await;
    pass(job(&worker).await);
    pass(job(&worker).await);
    served(&mut gateway, &worker, &open(b"b", 4)).await;
    let mut newer = gateway.open(&open(b"b", 6)).await;
    bring(&mut gateway, &worker, &mut newer, "2").await;
    let init = job(&worker).await;
    // The old revision is served meanwhile.
    served(&mut gateway, &worker, &open(b"a", 5)).await;
    init.fail(failure::HANDLER_ERROR, "no such table", None);
    pass(job(&worker).await);
    assert!(matches!(gateway.frame(&newer).await, Frame::Result(_)));
    let beat = gateway.beat(|beat| beat.state == WorkerState::FailedKeepingOld).await;
    assert_eq!(beat.revision, revision(b"a", 5));
    assert_eq!(worker.state().config, WorkerState::FailedKeepingOld);
    let stats = gateway.client.request("$SRV.STATS", "".into()).await.unwrap();
    let stats: serde_json::Value = serde_json::from_slice(&stats.payload).unwrap();
    let data = &stats["endpoints"][0]["data"];
    assert_eq!((&data["config"], &data["config_error"]), (&"failed_keeping_old".into(), &"no such table".into()));
    // Served while it is tried again in the background.
    let again = found("it is tried again", || worker.try_next(Lane::Threads)).await;
    assert_eq!(again.kind(), &initialize("2", revision(b"b", 6)));
    served(&mut gateway, &worker, &open(b"b", 6)).await;
    pass(again);
    gateway.beat(|beat| beat.state == WorkerState::Ready && beat.revision == revision(b"b", 6)).await;
}

#[tokio::test]
async fn a_refused_first_configuration_fails_opens_until_it_is_taken() {
    let server = NatsServer::start();
    let (worker, mut gateway) = start(&server, |_| {}).await;
    let mut first = gateway.open(&open(b"a", 5)).await;
    bring(&mut gateway, &worker, &mut first, "1").await;
    job(&worker).await.fail(failure::HANDLER_ERROR, "no database", None);
    let next = gateway.open(&open(b"a", 5)).await;
    for opened in [&first, &next] {
        let Frame::Error(error) = gateway.frame(opened).await else { panic!("no error") };
        assert_eq!((error.code.as_str(), error.text.as_str()), (failure::INIT_FAILED, "no database"));
    }
    gateway.beat(|beat| beat.state == WorkerState::FailedFirst).await;
    pass(job(&worker).await);
    gateway.beat(|beat| beat.state == WorkerState::Ready).await;
    served(&mut gateway, &worker, &open(b"a", 5)).await;
}

#[tokio::test]
async fn when_the_session_that_fetches_ends_another_one_fetches() {
    let server = NatsServer::start();
    let (worker, mut gateway) = start(&server, |_| {}).await;
    let mut first = gateway.open(&open(b"a", 5)).await;
    assert!(matches!(gateway.frame(&first).await, Frame::Fetch(_)));
    // On one subject, so that the open is there before the other session ends.
    let mut second = gateway.open_at(&worker, &open(b"a", 5)).await;
    gateway.abort(&worker, &mut first, AbortReason::ClientGone).await;
    bring(&mut gateway, &worker, &mut second, "1").await;
    pass(job(&worker).await);
    pass(job(&worker).await);
    assert!(matches!(gateway.frame(&second).await, Frame::Result(_)));
}

#[tokio::test]
async fn a_plugin_without_configuration_is_initialized_without_one() {
    let server = NatsServer::start();
    let (worker, mut gateway) = start(&server, |_| {}).await;
    let opened = gateway.open(&Open::default()).await;
    let init = job(&worker).await;
    assert_eq!(init.kind(), &initialize("", None));
    pass(init);
    pass(job(&worker).await);
    assert!(matches!(gateway.frame(&opened).await, Frame::Result(_)));
    served(&mut gateway, &worker, &Open::default()).await;
}

#[tokio::test]
async fn the_own_configuration_wins_and_needs_no_open() {
    let server = NatsServer::start();
    let (worker, mut gateway) = start(&server, |options| options.config = Some(Bytes::from_static(b"own"))).await;
    let init = job(&worker).await;
    assert_eq!(init.kind(), &initialize("own", None));
    gateway.beat(|beat| beat.state == WorkerState::Initializing).await;
    assert!(!worker.state().ready());
    pass(init);
    gateway.beat(|beat| beat.state == WorkerState::Ready).await;
    served(&mut gateway, &worker, &open(b"b", 6)).await;
    assert!(worker.state().ready());
}
