//! Opens, phases, their answers and their order.

use std::sync::mpsc;

use nylon_messaging::worker::{Lane, Worker, WorkerOptions};
use nylon_wire::{AbortReason, AcceptFrame, Action, BusyReason, CloseFrame, Frame, Operation, Phase, failure};

use crate::{
    gateway::{Gateway, Open, first},
    options, pass, serve,
    server::NatsServer,
    start,
    wait::{found, until},
};

#[tokio::test]
async fn an_open_is_answered_once_with_everything_the_gateway_must_know() {
    let server = NatsServer::start();
    let (worker, mut gateway) = start(&server, &[Phase::RequestFilter]).await;
    serve(&worker, |job| {
        let snapshot = job.snapshot().unwrap();
        assert_eq!((snapshot.method(), snapshot.path(), snapshot.header("Accept")), ("GET", "/x", Some(&b"*/*"[..])));
        assert_eq!((job.entry(), job.phase(), job.session_uid().len()), ("auth", Some(Phase::RequestFilter), 32));
        assert_eq!(job.payload().map(|p| p.as_ref()), Some(&b"{}"[..]));
        let name = "X-User".into();
        job.finish(vec![Operation::SetRequestHeader { name, value: "joe".into() }], Action::Next);
    });
    for direct in [false, true, false] {
        let open = Open { payload: Some(b"{}"), ..Open::default() };
        let opened = if direct { gateway.open_at(&worker, &open).await } else { gateway.open(&open).await };
        let Frame::Result(result) = gateway.frame(&opened).await else { panic!("no result") };
        assert_eq!((result.header.seq, result.header.phase_seq, result.action), (0, 0, Action::Next));
        assert_eq!(result.first, first(&worker, 1));
        assert_eq!(result.ops.len(), 1);
        assert!(result.timing.is_some());
    }
    // Nothing is left of a session whose entry has no further phase.
    until("all sessions are gone", || worker.stats().sessions == 0).await;
    assert_eq!(worker.stats().counts.results, 3);
}

#[tokio::test]
async fn state_lives_through_all_phases_of_a_session() {
    let server = NatsServer::start();
    let (worker, mut gateway) = start(&server, &Phase::ALL).await;
    let (tell, told) = mpsc::channel();
    serve(&worker, move |job| {
        let mut user = job.session().unwrap().user().lock().unwrap();
        let mut seen = user.take().map_or_else(Vec::new, |seen| *seen.downcast::<Vec<Phase>>().unwrap());
        seen.push(job.phase().unwrap());
        tell.send((job.session_number(), seen.clone(), job.response().map(|r| r.status()))).unwrap();
        *user = Some(Box::new(seen));
        drop(user);
        if job.phase() == Some(Phase::ResponseBodyFilter) {
            assert_eq!(job.response_body(100).as_deref(), Ok(&b"abc"[..]));
        }
        pass(job);
    });
    let mut opened = gateway.open(&Open::default()).await;
    let Frame::Result(result) = gateway.frame(&opened).await else { panic!("no result") };
    assert_eq!(result.first, first(&worker, 0b1111));
    assert_eq!(found("the handler tells", || told.try_recv().ok()).await, (1, vec![Phase::RequestFilter], None));
    for (index, phase) in [Phase::ResponseFilter, Phase::ResponseBodyFilter].into_iter().enumerate() {
        let body = (phase == Phase::ResponseBodyFilter).then_some(&b"abc"[..]);
        gateway.phase(&worker, &mut opened, phase, body).await;
        let Frame::Result(result) = gateway.frame(&opened).await else { panic!("no result") };
        let seq = u32::try_from(index).unwrap() + 1;
        assert_eq!((result.header.seq, result.header.phase_seq, result.first), (seq, seq, None));
        assert_eq!(found("the handler tells", || told.try_recv().ok()).await.2, Some(200));
    }
    gateway.phase(&worker, &mut opened, Phase::Logging, None).await;
    assert_eq!(found("the handler tells", || told.try_recv().ok()).await.1, Phase::ALL);
    until("the session is gone", || worker.stats().sessions == 0).await;
    // Logging is not answered: the next frame of this gateway belongs to another session.
    let other = gateway.open(&Open::default()).await;
    assert!(matches!(gateway.frame(&other).await, Frame::Result(_)));
}

#[tokio::test]
async fn a_phase_that_the_entry_has_not_is_answered_without_user_code() {
    let server = NatsServer::start();
    let (worker, mut gateway) = start(&server, &[Phase::ResponseFilter]).await;
    let opened = gateway.open(&Open::default()).await;
    let Frame::Result(result) = gateway.frame(&opened).await else { panic!("no result") };
    assert_eq!((result.action, result.first), (Action::Next, first(&worker, 2)));
    assert!(worker.try_next(Lane::Threads).is_none());
}

#[tokio::test]
async fn close_ends_a_session_between_two_phases() {
    let server = NatsServer::start();
    let (worker, mut gateway) = start(&server, &Phase::ALL).await;
    serve(&worker, pass);
    let mut opened = gateway.open(&Open::default()).await;
    gateway.frame(&opened).await;
    until("it waits", || worker.stats().active == 0).await;
    assert_eq!(worker.stats().sessions, 1);
    let header = opened.header();
    gateway.say(&worker, &opened, Frame::Close(CloseFrame { header, ext: Default::default() })).await;
    until("the session is gone", || worker.stats().sessions == 0).await;
}

#[tokio::test]
async fn failures_of_handlers_are_answered_at_once() {
    let server = NatsServer::start();
    let (worker, mut gateway) = start(&server, &[Phase::RequestFilter]).await;
    serve(&worker, |job| match job.payload().map(|payload| payload.to_vec()).as_deref() {
        Some(b"drop") => drop(job),
        _ => job.fail(failure::HANDLER_ERROR, "no such user", Some("e42".into())),
    });
    for (payload, text, log_id) in
        [(&b"fail"[..], "no such user", Some("e42")), (b"drop", "the handler ended without an answer", None)]
    {
        let opened = gateway.open(&Open { payload: Some(payload), ..Open::default() }).await;
        let Frame::Error(error) = gateway.frame(&opened).await else { panic!("no error") };
        assert_eq!((error.call_id, error.code.as_str(), error.text.as_str()), (None, failure::HANDLER_ERROR, text));
        assert_eq!(error.log_id.as_deref(), log_id);
        assert_eq!(error.first, first(&worker, 1));
    }
    let opened = gateway.open_at(&worker, &Open { entry: "nobody", ..Open::default() }).await;
    let Frame::Error(error) = gateway.frame(&opened).await else { panic!("no error") };
    assert_eq!(error.code.as_str(), failure::UNKNOWN_ENTRY);
    until("all sessions are gone", || worker.stats().sessions == 0).await;
    assert_eq!(worker.stats().counts.errors, 3);
}

#[tokio::test]
async fn an_open_for_logging_is_never_answered() {
    let server = NatsServer::start();
    let mut gateway = Gateway::connect(&server).await;
    let mut options = options(&server, &[Phase::Logging]);
    options.max_sessions = 1;
    let worker = Worker::start(options).unwrap();
    gateway.ready(&worker).await;
    let opens: Vec<_> =
        [200, 201, 202].map(|status| Open { phase: Phase::Logging, response: Some(status), ..Open::default() }).into();
    let mut opened = vec![];
    for open in &opens {
        opened.push(gateway.open_at(&worker, open).await);
    }
    until("the other two are turned away", || worker.stats().counts.busy_full == 2).await;
    let job = found("a job", || worker.try_next(Lane::Threads)).await;
    assert_eq!((job.phase(), job.response().map(|r| r.status())), (Some(Phase::Logging), Some(200)));
    job.fail(failure::HANDLER_ERROR, "nobody cares", None);
    until("the session is gone", || worker.stats().sessions == 0).await;
    let unknown = gateway.open_at(&worker, &Open { entry: "nobody", ..Open::default() }).await;
    assert!(matches!(gateway.frame(&unknown).await, Frame::Error(_)));
    for opened in &opened {
        assert_eq!(gateway.frame_within(opened, std::time::Duration::ZERO).await, None);
    }
}

#[tokio::test]
async fn a_frame_for_nobody_is_told_so() {
    let server = NatsServer::start();
    let (worker, mut gateway) = start(&server, &[Phase::RequestFilter]).await;
    let (mut opened, _) = gateway.encode(&Open::default());
    gateway.phase(&worker, &mut opened, Phase::ResponseFilter, None).await;
    let Frame::Abort(abort) = gateway.frame(&opened).await else { panic!("no abort") };
    assert_eq!(abort.reason, AbortReason::Stale);
    gateway.send(&worker, &opened, bytes::Bytes::from_static(b"rubbish")).await;
    let accept = AcceptFrame { header: opened.header(), first: None, ext: Default::default() };
    gateway.say(&worker, &opened, Frame::Accept(accept)).await;
    gateway.abort(&worker, &mut opened.clone(), AbortReason::ClientGone).await;
    serve(&worker, pass);
    let other = gateway.open_at(&worker, &Open::default()).await;
    assert!(matches!(gateway.frame(&other).await, Frame::Result(_)), "the worker lives on");
    assert_eq!(worker.stats().counts.protocol, 1);
}

#[tokio::test]
async fn a_missing_or_repeated_frame_aborts_the_session() {
    let server = NatsServer::start();
    let (worker, mut gateway) = start(&server, &Phase::ALL).await;
    serve(&worker, pass);
    for seq in [0, 2, 1_000] {
        let mut opened = gateway.open(&Open::default()).await;
        gateway.frame(&opened).await;
        opened.seq = seq;
        gateway.phase(&worker, &mut opened, Phase::ResponseFilter, None).await;
        let Frame::Abort(abort) = gateway.frame(&opened).await else { panic!("no abort") };
        assert_eq!((abort.reason, abort.header.seq), (AbortReason::Gap, 1));
        until("the session is gone", || worker.stats().sessions == 0).await;
    }
    assert_eq!(worker.stats().counts.gaps, 3);
}

#[tokio::test]
async fn an_open_cannot_make_the_worker_speak_elsewhere() {
    let server = NatsServer::start();
    let (worker, mut gateway) = start(&server, &[Phase::RequestFilter]).await;
    serve(&worker, pass);
    // No line of the NATS protocol holds the last one: the server would cut the connection.
    let long = format!("nylon.v1.h.{}.0.1", "a".repeat(5_000));
    let elsewhere =
        ["nylon.v1.w.auth=20workers.x", "nylon.v1.h.a.0.1\r\nPUB x 0\r\n\r\n", "nylon.v1.h.a b.0.1", "", &long];
    for reply in elsewhere {
        gateway.open_at(&worker, &Open { reply: Some(reply.into()), ..Open::default() }).await;
    }
    until("they are refused", || worker.stats().counts.protocol == 5).await;
    let opened = gateway.open_at(&worker, &Open::default()).await;
    assert!(matches!(gateway.frame(&opened).await, Frame::Result(_)), "the connection is whole");
    assert_eq!(worker.stats().connects, 1);
}

#[tokio::test]
async fn an_open_that_nobody_takes_comes_back_and_never_runs() {
    let server = NatsServer::start();
    let mut gateway = Gateway::connect(&server).await;
    let mut options = options(&server, &[Phase::RequestFilter]);
    options.wait_limit = WorkerOptions::new("", vec![]).wait_limit;
    let worker = Worker::start(options).unwrap();
    gateway.ready(&worker).await;
    let sent = std::time::Instant::now();
    let opened = gateway.open(&Open::default()).await;
    let Frame::Busy(busy) = gateway.frame(&opened).await else { panic!("not busy") };
    assert!(sent.elapsed() >= std::time::Duration::from_millis(95), "too early: {:?}", sent.elapsed());
    assert_eq!((busy.reason, busy.worker.as_str()), (BusyReason::Full, worker.id()));
    assert!(worker.try_next(Lane::Threads).is_none());
    until("the queue is swept", || worker.stats().queued == 0).await;
    assert_eq!(worker.stats().sessions, 0);
}

#[tokio::test]
async fn a_full_worker_says_so_at_once() {
    let server = NatsServer::start();
    let mut gateway = Gateway::connect(&server).await;
    let mut options = options(&server, &[Phase::RequestFilter]);
    options.max_sessions = 2;
    let worker = Worker::start(options).unwrap();
    gateway.ready(&worker).await;
    let mut jobs = vec![];
    let mut running = vec![];
    for _ in 0..2 {
        running.push(gateway.open(&Open::default()).await);
        let job = found("a job", || worker.try_next(Lane::Threads)).await;
        jobs.push(job);
    }
    let third = gateway.open(&Open::default()).await;
    assert!(matches!(gateway.frame(&third).await, Frame::Busy(busy) if busy.reason == BusyReason::Full));
    let beat = gateway.beat(|beat| beat.load == 2).await;
    assert_eq!((beat.limit, beat.draining), (2, false));
    jobs.into_iter().for_each(pass);
    for opened in &running {
        assert!(matches!(gateway.frame(opened).await, Frame::Result(_)));
    }
}

#[tokio::test]
async fn idle_sessions_are_many_but_not_without_end() {
    let server = NatsServer::start();
    let mut gateway = Gateway::connect(&server).await;
    let mut options = options(&server, &[Phase::RequestFilter, Phase::Logging]);
    options.max_sessions = 2;
    let worker = Worker::start(options).unwrap();
    gateway.ready(&worker).await;
    serve(&worker, pass);
    let mut opened = vec![];
    for _ in 0..32 {
        opened.push(gateway.open(&Open::default()).await);
        assert!(matches!(gateway.frame(&opened[opened.len() - 1]).await, Frame::Result(_)));
    }
    assert_eq!((worker.stats().sessions, worker.stats().active), (32, 0));
    let more = gateway.open(&Open::default()).await;
    assert!(matches!(gateway.frame(&more).await, Frame::Busy(busy) if busy.reason == BusyReason::Full));
    for opened in &mut opened {
        gateway.phase(&worker, opened, Phase::Logging, None).await;
    }
    until("all of them are gone", || worker.stats().sessions == 0).await;
}
