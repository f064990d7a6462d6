//! Leaving without losing anything, and discovery.

use std::time::{Duration, Instant};

use nylon_messaging::worker::{FetchError, Job, JobKind, Lane, Next, Worker};
use nylon_wire::{AbortReason, BusyReason, Frame, Phase, PhaseMask};

use crate::{
    gateway::{Gateway, Open},
    options, pass, serve,
    server::NatsServer,
    start,
    wait::{PATIENCE, found, until},
};

async fn job(worker: &Worker) -> Job {
    found("a job", || worker.try_next(Lane::Threads)).await
}

#[tokio::test]
async fn a_draining_worker_finishes_what_it_has_and_takes_nothing_new() {
    let server = NatsServer::start();
    let mut gateway = Gateway::connect(&server).await;
    let mut options = options(&server, &[Phase::RequestFilter, Phase::Logging]);
    options.wait_limit = Duration::from_millis(100);
    let worker = Worker::start(options).unwrap();
    gateway.ready(&worker).await;
    let mut opened = gateway.open(&Open::default()).await;
    let running = job(&worker).await;
    worker.drain();
    worker.drain();
    let beat = gateway.beat(|beat| beat.draining).await;
    assert_eq!(beat.load, 1);
    assert!(worker.state().draining && !worker.state().ready());
    // Opens that are on their way are still taken; once the open subjects are left, direct ones are refused.
    let refused = loop {
        let direct = gateway.open_at(&worker, &Open::default()).await;
        match gateway.raw_frame(&direct).await {
            Frame::Busy(busy) if busy.reason == BusyReason::Draining => break busy,
            _ => {}
        }
    };
    assert_eq!(refused.worker.as_str(), worker.id());
    pass(running);
    assert!(matches!(gateway.frame(&opened).await, Frame::Result(_)));
    gateway.phase(&worker, &mut opened, Phase::Logging, None).await;
    let logging = job(&worker).await;
    assert_eq!(logging.phase(), Some(Phase::Logging));
    assert!(!worker.drained());
    pass(logging);
    let last = job(&worker).await;
    assert_eq!(last.kind(), &JobKind::Shutdown);
    pass(last);
    until("it has ended", || worker.drained()).await;
    assert!(worker.wait_drained(None));
    assert!(matches!(worker.next(Lane::Threads, None), Next::Closed));
    assert!(matches!(worker.next(Lane::Loop, None), Next::Closed));
}

#[tokio::test]
async fn what_does_not_finish_is_aborted() {
    let server = NatsServer::start();
    let mut gateway = Gateway::connect(&server).await;
    let mut options = options(&server, &[Phase::RequestFilter]);
    options.drain_timeout = Duration::from_millis(400);
    let worker = Worker::start(options).unwrap();
    gateway.ready(&worker).await;
    let opened = gateway.open(&Open::default()).await;
    let running = job(&worker).await;
    worker.drain();
    until("the handler is told", || running.cancelled()).await;
    assert_eq!(running.cancel_reason(), Some(AbortReason::WorkerShutdown));
    let mut frame = gateway.raw_frame(&opened).await;
    if matches!(frame, Frame::Accept(_)) {
        frame = gateway.raw_frame(&opened).await;
    }
    assert!(matches!(frame, Frame::Abort(abort) if abort.reason == AbortReason::WorkerShutdown));
    // A handler that never returns and a Shutdown that nobody takes do not keep it.
    until("it has ended", || worker.drained()).await;
    assert!(matches!(running.request_body(1), Err(FetchError::Cancelled(_))));
    drop(running);
}

/// Opens through the queue group without a pause; every single one has to be served by somebody.
#[tokio::test]
async fn rolling_restarts_lose_no_open() {
    let server = NatsServer::start();
    let mut gateway = Gateway::connect(&server).await;
    let mut worker = Worker::start(options(&server, &[Phase::RequestFilter])).unwrap();
    gateway.ready(&worker).await;
    serve(&worker, pass);
    for _ in 0..3 {
        let next = Worker::start(options(&server, &[Phase::RequestFilter])).unwrap();
        gateway.ready(&next).await;
        serve(&next, pass);
        worker.drain();
        let (mut pending, mut sent) = (std::collections::VecDeque::new(), 0);
        while !worker.drained() || !pending.is_empty() {
            if !worker.drained() && pending.len() < 64 {
                pending.push_back(gateway.open(&Open::default()).await);
                sent += 1;
                continue;
            }
            let opened = pending.pop_front().unwrap();
            let frame = gateway.frame(&opened).await;
            assert!(matches!(frame, Frame::Result(_)), "{frame:?}");
        }
        assert!(sent > 100, "{sent}");
        assert!(worker.wait_drained(Some(PATIENCE)));
        worker = next;
    }
}

#[tokio::test]
async fn without_a_server_it_ends_all_the_same() {
    let mut server = NatsServer::start();
    server.kill();
    let worker = Worker::start(options(&server, &[Phase::RequestFilter])).unwrap();
    let threads = [serve(&worker, pass), serve(&worker, pass)];
    let begun = Instant::now();
    worker.drain();
    assert!(worker.wait_drained(Some(PATIENCE)));
    assert!(begun.elapsed() < Duration::from_secs(10));
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[tokio::test]
async fn dropping_the_last_handle_ends_it_at_once() {
    let server = NatsServer::start();
    let (worker, mut gateway) = start(&server, &[Phase::RequestFilter]).await;
    let opened = gateway.open(&Open::default()).await;
    let running = job(&worker).await;
    let waiting = gateway.open_at(&worker, &Open::default()).await;
    until("it waits", || worker.stats().queued == 1).await;
    drop(worker);
    assert!(running.cancelled());
    assert_eq!(running.request_body(1), Err(FetchError::Cancelled(AbortReason::WorkerShutdown)));
    // What has reached user code is said to have; what has not may go elsewhere.
    assert!(matches!(gateway.raw_frame(&opened).await, Frame::Accept(_)));
    let frame = gateway.raw_frame(&opened).await;
    assert!(matches!(frame, Frame::Abort(abort) if abort.reason == AbortReason::WorkerShutdown));
    assert!(matches!(gateway.raw_frame(&waiting).await, Frame::Busy(busy) if busy.reason == BusyReason::Draining));
    pass(running);
}

#[tokio::test]
async fn workers_are_found_by_the_service_protocol() {
    let server = NatsServer::start();
    let (worker, mut gateway) = start(&server, &[Phase::RequestFilter]).await;
    serve(&worker, |job| match job.payload() {
        Some(_) => job.fail("handler_error", "no", None),
        None => pass(job),
    });
    for payload in [None, Some(&b"x"[..]), None] {
        let opened = gateway.open(&Open { payload, ..Open::default() }).await;
        gateway.frame(&opened).await;
    }
    let name = nylon_wire::subject::service_name("auth workers").unwrap();
    let mut answers = vec![];
    for verb in ["PING", "INFO", "STATS"] {
        for subject in
            [format!("$SRV.{verb}"), format!("$SRV.{verb}.{name}"), format!("$SRV.{verb}.{name}.{}", worker.id())]
        {
            let answer = gateway.client.request(subject, "".into()).await.unwrap();
            let answer: serde_json::Value = serde_json::from_slice(&answer.payload).unwrap();
            assert_eq!(answer["type"], format!("io.nats.micro.v1.{}_response", verb.to_lowercase()));
            assert_eq!((answer["name"].as_str(), answer["id"].as_str()), (Some(name.as_str()), Some(worker.id())));
            answers.push(answer);
        }
    }
    let info = &answers[3]["endpoints"][0];
    assert_eq!((&info["name"], &info["subject"]), (&"auth".into(), &"nylon.v1.open.auth=20workers.auth".into()));
    assert_eq!(info["queue_group"], "auth=20workers");
    let stats = &answers[6]["endpoints"][0];
    assert_eq!((stats["num_requests"].as_u64(), stats["num_errors"].as_u64()), (Some(3), Some(1)));
    assert!(stats["processing_time"].as_u64() > Some(0) && stats["last_error"] == "no");
    assert!(answers[6]["started"].as_str().unwrap().ends_with('Z'));
}

#[tokio::test]
async fn beats_say_how_the_worker_is() {
    let server = NatsServer::start();
    let (worker, mut gateway) = start(&server, &[Phase::RequestFilter, Phase::Logging]).await;
    let idle = gateway.beat(|_| true).await;
    assert_eq!((idle.group.as_str(), idle.load, idle.limit, idle.draining), ("auth workers", 0, 1_024, false));
    assert_eq!((idle.oldest_running_ms, idle.oldest_waiting_ms), (0, 0));
    assert_eq!((idle.entries.len(), idle.entries[0].mask), (1, PhaseMask(0b1001)));
    let _opened = gateway.open(&Open::default()).await;
    let running = job(&worker).await;
    let busy = gateway.beat(|beat| beat.oldest_running_ms >= 300).await;
    assert!(busy.load == 1 && busy.seq > idle.seq);
    pass(running);
    gateway.beat(|beat| beat.load == 0 && beat.oldest_running_ms == 0).await;
}
