//! Slow handlers, deadlines, cancellation, gateways that go.

use std::{
    sync::mpsc,
    time::{Duration, Instant},
};

use nylon_messaging::worker::{Job, Lane, Next, Worker};
use nylon_wire::{AbortReason, Action, Frame, Phase};

use crate::{
    gateway::{Gateway, Open, first},
    options, pass, serve,
    server::NatsServer,
    start,
    wait::{found, until},
};

/// Opens a session and takes its job.
async fn running(worker: &Worker, gateway: &mut Gateway, open: &Open<'_>) -> (crate::gateway::Opened, Job) {
    let opened = gateway.open(open).await;
    let job = found("a job", || worker.try_next(Lane::Threads)).await;
    (opened, job)
}

#[tokio::test]
async fn accept_says_that_a_slow_handler_runs() {
    let server = NatsServer::start();
    let (worker, mut gateway) = start(&server, &[Phase::RequestFilter]).await;
    let (opened, job) = running(&worker, &mut gateway, &Open::default()).await;
    let taken = Instant::now();
    let Frame::Accept(accept) = gateway.raw_frame(&opened).await else { panic!("no accept") };
    assert!(taken.elapsed() >= Duration::from_millis(45), "too early: {:?}", taken.elapsed());
    assert_eq!((accept.header.seq, accept.first), (0, first(&worker, 1)));
    pass(job);
    let Frame::Result(result) = gateway.raw_frame(&opened).await else { panic!("no result") };
    assert_eq!((result.header.seq, result.first), (1, None));
    assert!(result.timing.unwrap().handler_us >= 45_000);
}

#[tokio::test]
async fn a_task_that_waited_for_its_event_loop_was_queued() {
    let server = NatsServer::start();
    let (worker, mut gateway) = start(&server, &[Phase::RequestFilter]).await;
    let (opened, job) = running(&worker, &mut gateway, &Open::default()).await;
    // The worker says so after 50 ms.
    assert!(matches!(gateway.raw_frame(&opened).await, Frame::Accept(_)));
    let (waited, queued) = (job.waited(), Instant::now());
    job.begins();
    assert!(job.waited() >= waited + Duration::from_millis(45));
    pass(job);
    let Frame::Result(result) = gateway.raw_frame(&opened).await else { panic!("no result") };
    let timing = result.timing.unwrap();
    assert!(timing.queue_us >= 45_000, "{timing:?}");
    assert!(u128::from(timing.handler_us) <= queued.elapsed().as_micros(), "{timing:?}");
}

#[tokio::test]
async fn a_handler_over_its_deadline_is_cancelled_and_its_result_discarded() {
    let server = NatsServer::start();
    let (worker, mut gateway) = start(&server, &[Phase::RequestFilter]).await;
    let (opened, job) = running(&worker, &mut gateway, &Open { remaining_ms: 120, ..Open::default() }).await;
    let (tell, told) = mpsc::channel();
    job.on_cancel(Box::new(move |reason| tell.send(reason).unwrap()));
    assert!(!job.cancelled());
    assert_eq!(found("it is cancelled", || told.try_recv().ok()).await, AbortReason::Timeout);
    assert!(job.cancelled() && Instant::now() >= job.deadline());
    assert!(matches!(gateway.raw_frame(&opened).await, Frame::Accept(_)));
    until("the session is gone", || worker.stats().sessions == 0).await;
    assert_eq!(worker.stats().active, 1, "the handler still runs");
    let beat = gateway.beat(|beat| beat.oldest_running_ms > 0).await;
    assert_eq!(beat.load, 1);
    pass(job);
    until("the handler is done", || worker.stats().active == 0).await;
    let counts = worker.stats().counts;
    assert_eq!((counts.timeouts, counts.late, counts.results), (1, 1, 0));
    let other = gateway.open(&Open::default()).await;
    pass(found("a job", || worker.try_next(Lane::Threads)).await);
    assert!(matches!(gateway.frame(&other).await, Frame::Result(_)));
    assert_eq!(gateway.frame_within(&opened, Duration::ZERO).await, None);
}

#[tokio::test]
async fn abort_cancels_what_runs_and_takes_back_what_waits() {
    let server = NatsServer::start();
    let (worker, mut gateway) = start(&server, &[Phase::RequestFilter]).await;
    let (mut opened, job) = running(&worker, &mut gateway, &Open::default()).await;
    gateway.abort(&worker, &mut opened, AbortReason::ClientGone).await;
    until("it is cancelled", || job.cancelled()).await;
    assert_eq!(job.cancel_reason(), Some(AbortReason::ClientGone));
    // Registered too late is called at once.
    let (tell, told) = mpsc::channel();
    job.on_cancel(Box::new(move |reason| tell.send(reason).unwrap()));
    assert_eq!(told.try_recv(), Ok(AbortReason::ClientGone));
    let mut waiting = gateway.open(&Open::default()).await;
    until("it waits", || worker.stats().queued == 1).await;
    gateway.abort(&worker, &mut waiting, AbortReason::Stale).await;
    until("the queue is swept", || worker.stats().queued == 0).await;
    drop(job);
    until("nothing is left", || worker.stats().active == 0).await;
    assert_eq!(worker.stats().counts.aborted, 2);
}

#[tokio::test]
async fn sessions_of_a_gateway_that_is_gone_are_cancelled() {
    let server = NatsServer::start();
    let (worker, mut gateway) = start(&server, &[Phase::RequestFilter, Phase::Logging]).await;
    let mut other = Gateway::connect(&server).await;
    let (_, job) = running(&worker, &mut gateway, &Open::default()).await;
    let (_, idle) = running(&worker, &mut gateway, &Open::default()).await;
    pass(idle);
    let (kept, kept_job) = running(&worker, &mut other, &Open::default()).await;
    until("one session is between two phases", || worker.stats().active == 2).await;
    gateway.vanish().await;
    until("the handler is cancelled", || job.cancelled()).await;
    assert_eq!(job.cancel_reason(), Some(AbortReason::GatewayShutdown));
    until("the sessions are gone", || worker.stats().sessions == 1).await;
    assert!(!kept_job.cancelled(), "the other gateway is there");
    pass(kept_job);
    assert!(matches!(other.frame(&kept).await, Frame::Result(_)));
    assert_eq!(worker.stats().counts.gateway_lost, 2);
}

#[tokio::test]
async fn an_open_older_than_its_deadline_does_not_run() {
    let server = NatsServer::start();
    let (worker, mut gateway) = start(&server, &[Phase::RequestFilter]).await;
    serve(&worker, pass);
    let now = gateway.open(&Open::default()).await;
    assert!(matches!(gateway.frame(&now).await, Frame::Result(_)));
    // It has waited somewhere for three seconds.
    let sent = gateway.mono_ms() - 3_000;
    gateway.open(&Open { mono_ms: Some(sent), remaining_ms: 2_000, ..Open::default() }).await;
    until("it is dropped", || worker.stats().counts.expired == 1).await;
    let younger = gateway.open(&Open { mono_ms: Some(sent), remaining_ms: 4_000, ..Open::default() }).await;
    assert!(matches!(gateway.frame(&younger).await, Frame::Result(_)));
    assert_eq!(worker.stats().counts.results, 2);
}

#[tokio::test]
async fn a_slow_handler_holds_nobody_up() {
    let server = NatsServer::start();
    let (worker, mut gateway) = start(&server, &[Phase::RequestFilter]).await;
    let (go, wait) = mpsc::channel::<()>();
    let wait = std::sync::Arc::new(std::sync::Mutex::new(wait));
    for _ in 0..2 {
        let wait = wait.clone();
        serve(&worker, move |job| {
            if job.payload().is_some() {
                wait.lock().unwrap().recv().unwrap();
            }
            pass(job);
        });
    }
    let slow = gateway.open(&Open { payload: Some(b"slow"), ..Open::default() }).await;
    until("it runs", || worker.stats().active == 1 && worker.stats().queued == 0).await;
    for _ in 0..20 {
        let quick = gateway.open(&Open::default()).await;
        assert!(matches!(gateway.frame(&quick).await, Frame::Result(_)));
    }
    go.send(()).unwrap();
    assert!(matches!(gateway.frame(&slow).await, Frame::Result(result) if result.action == Action::Next));
}

#[tokio::test]
async fn a_worker_comes_back_with_its_server() {
    let mut server = NatsServer::start();
    let mut gateway = Gateway::connect(&server).await;
    let worker = Worker::start(options(&server, &[Phase::RequestFilter])).unwrap();
    gateway.ready(&worker).await;
    serve(&worker, pass);
    for connects in 2..4 {
        server.restart();
        until("it is connected again", || worker.stats().connects == connects).await;
        let mut gateway = Gateway::connect(&server).await;
        gateway.ready(&worker).await;
        let opened = gateway.open(&Open::default()).await;
        assert!(matches!(gateway.frame(&opened).await, Frame::Result(_)));
    }
}

#[tokio::test]
async fn a_worker_may_start_before_its_server() {
    let mut server = NatsServer::start();
    server.kill();
    let worker = Worker::start(options(&server, &[Phase::RequestFilter])).unwrap();
    assert!(!worker.state().ready());
    serve(&worker, pass);
    server.restart();
    let mut gateway = Gateway::connect(&server).await;
    gateway.ready(&worker).await;
    assert!(worker.state().ready());
    let opened = gateway.open(&Open::default()).await;
    assert!(matches!(gateway.frame(&opened).await, Frame::Result(_)));
}

/// Results of quick handlers leave together, but none waits for a handler that is slow.
#[tokio::test]
async fn a_quick_result_does_not_wait_for_the_slow_handler_after_it() {
    let server = NatsServer::start();
    let (worker, mut gateway) = start(&server, &[Phase::RequestFilter]).await;
    let quick = gateway.open(&Open::default()).await;
    let slow = gateway.open(&Open::default()).await;
    until("both wait", || worker.stats().queued == 2).await;
    let (release, released) = mpsc::channel::<()>();
    let serving = worker.clone();
    let thread = std::thread::spawn(move || {
        for wait in [false, true] {
            let Next::Job(job) = serving.next(Lane::Threads, None) else { panic!("no job") };
            if wait {
                released.recv().unwrap();
            }
            pass(job);
        }
    });
    assert!(matches!(gateway.frame(&quick).await, Frame::Result(_)));
    assert_eq!(worker.stats().active, 1, "the slow one still runs");
    release.send(()).unwrap();
    assert!(matches!(gateway.frame(&slow).await, Frame::Result(_)));
    thread.join().unwrap();
}

#[tokio::test]
async fn a_worker_that_is_behind_refuses_at_once() {
    let server = NatsServer::start();
    let mut options = options(&server, &[Phase::RequestFilter]);
    options.wait_limit = Duration::from_secs(2);
    let mut gateway = Gateway::connect(&server).await;
    let worker = Worker::start(options).unwrap();
    gateway.ready(&worker).await;
    // Somebody works, much more slowly than opens come.
    let hands = serve(&worker, |job| {
        let until = Instant::now() + Duration::from_millis(4);
        while Instant::now() < until {
            std::hint::spin_loop();
        }
        pass(job);
    });
    let mut refused = None;
    for _ in 0..400 {
        let opened: Vec<_> = {
            let mut opened = vec![];
            for _ in 0..8 {
                opened.push((Instant::now(), gateway.open(&Open::default()).await));
            }
            opened
        };
        tokio::time::sleep(Duration::from_millis(10)).await; // sleep: the pace of the load, not a wait
        if worker.stats().counts.busy_full > 0 {
            refused = opened.into_iter().next_back();
            break;
        }
    }
    let (sent, last) = refused.expect("nothing was refused");
    let Frame::Busy(busy) = gateway.raw_frame(&last).await else { panic!("it is behind and takes more") };
    assert_eq!((busy.reason, busy.retry_after_ms > 0), (nylon_wire::BusyReason::Full, true));
    assert!(sent.elapsed() < Duration::from_millis(1_900), "refused only after it had waited: {:?}", sent.elapsed());
    worker.drain();
    hands.join().expect("the handlers end");
}
