//! Streams, against a gateway that speaks raw frames.

use std::{
    sync::{Arc, mpsc},
    time::Duration,
};

use bytes::Bytes;
use nylon_messaging::worker::{Body, BodyReader, FetchError, Job, StreamWriter, WriteError};
use nylon_wire::{AbortReason, DataKind, FetchKind, Frame, Operation, Outcome, Phase, ProbeFrame};

use crate::{
    gateway::{Gateway, Open, Opened, first},
    pass, serve,
    server::NatsServer,
    start,
    wait::PATIENCE,
};

/// Writes and waits, as plain code does.
fn write(writer: &StreamWriter, bytes: impl Into<Bytes>) -> Result<(), WriteError> {
    let (sender, receiver) = mpsc::channel();
    writer.write(bytes.into(), Box::new(move |result| sender.send(result).unwrap()));
    receiver.recv_timeout(PATIENCE).expect("the write waits for ever")
}

fn read(reader: &Arc<BodyReader>) -> Result<Option<Bytes>, FetchError> {
    let (sender, receiver) = mpsc::channel();
    reader.read(Box::new(move |piece| sender.send(piece).unwrap()));
    receiver.recv_timeout(PATIENCE).expect("the read waits for ever")
}

fn begin(job: &Job) -> Arc<StreamWriter> {
    job.stream(vec![Operation::SetResponseStatus(203)]).unwrap()
}

async fn piece(gateway: &mut Gateway, opened: &Opened) -> usize {
    match gateway.frame(opened).await {
        Frame::Data(data) => {
            assert_eq!((data.kind, data.more), (DataKind::Stream, true));
            data.bytes.len()
        }
        other => panic!("expected DATA, got {other:?}"),
    }
}

async fn stream(gateway: &mut Gateway, opened: &Opened) -> u32 {
    match gateway.frame(opened).await {
        Frame::Stream(frame) => frame.stream_id,
        other => panic!("expected STREAM, got {other:?}"),
    }
}

async fn ended(gateway: &mut Gateway, opened: &Opened) -> Outcome {
    match gateway.frame(opened).await {
        Frame::StreamEnd(end) => end.outcome,
        other => panic!("expected STREAM_END, got {other:?}"),
    }
}

#[tokio::test]
async fn a_stream_stops_at_its_credit() {
    let server = NatsServer::start();
    let (worker, mut gateway) = start(&server, &[Phase::RequestFilter]).await;
    serve(&worker, |job| {
        let writer = begin(&job);
        assert_eq!(write(&writer, vec![1; 100_000]), Ok(()));
        assert_eq!(write(&writer, vec![2; 10]), Ok(()));
        writer.end(Outcome::Ok).unwrap();
        assert_eq!(write(&writer, vec![3; 10]), Err(WriteError::Ended));
        pass(job);
    });
    let mut opened = gateway.open(&Open::default()).await;
    let Frame::Stream(frame) = gateway.frame(&opened).await else { panic!("expected STREAM") };
    assert_eq!((frame.ops, frame.first), (vec![Operation::SetResponseStatus(203)], first(&worker, 1)));
    assert_eq!(piece(&mut gateway, &opened).await, 32 << 10);
    assert_eq!(gateway.frame_within(&opened, Duration::from_millis(200)).await, None);
    gateway.credit(&worker, &mut opened, frame.stream_id, 50_000).await;
    assert_eq!(piece(&mut gateway, &opened).await, 50_000);
    gateway.credit(&worker, &mut opened, frame.stream_id, 50_000).await;
    assert_eq!(piece(&mut gateway, &opened).await, 100_000 - 50_000 - (32 << 10));
    assert_eq!(piece(&mut gateway, &opened).await, 10);
    assert_eq!(ended(&mut gateway, &opened).await, Outcome::Ok);
}

#[tokio::test]
async fn only_what_waits_for_credit_is_joined() {
    let server = NatsServer::start();
    let (worker, mut gateway) = start(&server, &[Phase::RequestFilter]).await;
    let (sender, receiver) = mpsc::channel();
    serve(&worker, move |job| {
        let writer = begin(&job);
        for _ in 0..6 {
            let sender = sender.clone();
            writer.write(Bytes::from_static(b"event"), Box::new(move |result| sender.send(result).unwrap()));
        }
        writer.end(Outcome::Ok).unwrap();
        pass(job);
    });
    // Three messages cost 768.
    let mut opened = gateway.open(&Open { credit: 800, ..Open::default() }).await;
    let id = stream(&mut gateway, &opened).await;
    let mut sizes = Vec::new();
    while sizes.iter().sum::<usize>() < 30 {
        match gateway.frame_within(&opened, Duration::from_millis(200)).await {
            Some(Frame::Data(data)) => sizes.push(data.bytes.len()),
            None => gateway.credit(&worker, &mut opened, id, 1_000).await,
            other => panic!("expected DATA, got {other:?}"),
        }
    }
    assert!(sizes.len() < 6, "{sizes:?}");
    assert_eq!(ended(&mut gateway, &opened).await, Outcome::Ok);
    assert_eq!(receiver.try_iter().filter(Result::is_ok).count(), 6);
}

#[tokio::test]
async fn a_client_that_leaves_wakes_a_write() {
    let server = NatsServer::start();
    let (worker, mut gateway) = start(&server, &[Phase::RequestFilter]).await;
    let (sender, receiver) = mpsc::channel();
    serve(&worker, move |job| {
        let writer = begin(&job);
        sender.send(write(&writer, vec![1; 100_000])).unwrap();
        sender.send(write(&writer, vec![1; 1])).unwrap();
        assert_eq!(job.cancel_reason(), Some(AbortReason::ClientGone));
        drop(job);
    });
    let mut opened = gateway.open(&Open::default()).await;
    stream(&mut gateway, &opened).await;
    piece(&mut gateway, &opened).await;
    gateway.abort(&worker, &mut opened, AbortReason::ClientGone).await;
    gateway.client.flush().await.unwrap();
    let gone = Err(WriteError::Cancelled(AbortReason::ClientGone));
    assert_eq!(receiver.recv_timeout(PATIENCE), Ok(gone.clone()));
    assert_eq!(receiver.recv_timeout(PATIENCE), Ok(gone));
}

#[tokio::test]
async fn a_handler_that_ends_without_its_stream_cuts_it() {
    let server = NatsServer::start();
    let (worker, mut gateway) = start(&server, &[Phase::RequestFilter]).await;
    serve(&worker, |job| {
        let _writer = begin(&job);
        match job.snapshot().and_then(|request| request.header("x-fails")) {
            Some(_) => job.fail("handler_error", "asked to", None),
            None => pass(job),
        }
    });
    for headers in [vec![], vec![("x-fails", &b"1"[..])]] {
        let opened = gateway.open(&Open { headers, ..Open::default() }).await;
        stream(&mut gateway, &opened).await;
        assert_eq!(ended(&mut gateway, &opened).await, Outcome::Abort);
    }
}

#[tokio::test]
async fn the_next_phase_waits_for_the_handler_of_a_stream() {
    let server = NatsServer::start();
    let (worker, mut gateway) = start(&server, &[Phase::RequestFilter, Phase::ResponseFilter]).await;
    let (go_on, wait) = mpsc::channel::<()>();
    serve(&worker, move |job| {
        if job.phase() == Some(Phase::RequestFilter) {
            let writer = begin(&job);
            writer.end(Outcome::Ok).unwrap();
            wait.recv_timeout(PATIENCE).unwrap();
        }
        pass(job);
    });
    let mut opened = gateway.open(&Open::default()).await;
    stream(&mut gateway, &opened).await;
    assert_eq!(ended(&mut gateway, &opened).await, Outcome::Ok);
    gateway.phase(&worker, &mut opened, Phase::ResponseFilter, None).await;
    assert_eq!(gateway.frame_within(&opened, Duration::from_millis(200)).await, None);
    go_on.send(()).unwrap();
    assert!(matches!(gateway.frame(&opened).await, Frame::Result(_)));
}

#[tokio::test]
async fn what_is_missing_ends_a_stream() {
    let server = NatsServer::start();
    let (worker, mut gateway) = start(&server, &[Phase::RequestFilter]).await;
    let (sender, receiver) = mpsc::channel();
    serve(&worker, move |job| {
        let writer = begin(&job);
        sender.send(write(&writer, vec![1; 100_000])).unwrap();
        drop(job);
    });
    for by_probe in [false, true] {
        let mut opened = gateway.open(&Open::default()).await;
        let id = stream(&mut gateway, &opened).await;
        piece(&mut gateway, &opened).await;
        let _lost = opened.header();
        if by_probe {
            // The number that the next frame will have, one of which never came.
            let mut header = opened.header();
            header.seq = opened.seq - 1;
            gateway.say(&worker, &opened, Frame::Probe(ProbeFrame { header, ext: Default::default() })).await;
        } else {
            gateway.credit(&worker, &mut opened, id, 1_000).await;
        }
        let Frame::Abort(abort) = gateway.frame(&opened).await else { panic!("expected ABORT") };
        assert_eq!(abort.reason, AbortReason::Gap);
        assert_eq!(receiver.recv_timeout(PATIENCE), Ok(Err(WriteError::Cancelled(AbortReason::Gap))));
    }
}

#[tokio::test]
async fn a_body_gives_credit_back_when_it_is_taken() {
    let server = NatsServer::start();
    let (worker, mut gateway) = start(&server, &[Phase::RequestFilter]).await;
    let (go_on, wait) = mpsc::channel::<()>();
    serve(&worker, move |job| {
        let reader = job.read(Body::Request);
        wait.recv_timeout(PATIENCE).unwrap();
        let mut total = 0;
        while let Some(piece) = read(&reader).unwrap() {
            total += piece.len();
        }
        assert_eq!(total, 40_000);
        pass(job);
    });
    let mut opened = gateway.open(&Open::default()).await;
    let Frame::Fetch(fetch) = gateway.frame(&opened).await else { panic!("expected FETCH") };
    assert_eq!(fetch.what, FetchKind::RequestStream);
    assert!(fetch.max_bytes > 1 << 50);
    gateway.data(&worker, &mut opened, fetch.call_id, Bytes::from(vec![0; 32 << 10]), true).await;
    assert_eq!(gateway.frame_within(&opened, Duration::from_millis(200)).await, None);
    go_on.send(()).unwrap();
    let Frame::Credit(credit) = gateway.frame(&opened).await else { panic!("expected CREDIT") };
    assert!(credit.bytes >= 32 << 10);
    gateway.data(&worker, &mut opened, fetch.call_id, Bytes::from(vec![0; 40_000 - (32 << 10)]), true).await;
    gateway.data(&worker, &mut opened, fetch.call_id, Bytes::new(), false).await;
    let mut frame = gateway.frame(&opened).await;
    while matches!(frame, Frame::Credit(_)) {
        frame = gateway.frame(&opened).await;
    }
    assert!(matches!(frame, Frame::Result(_)), "{frame:?}");
}

#[tokio::test]
async fn who_reads_a_body_hears_that_its_phase_is_over() {
    // With a later phase the session lives on, and so does what was asked for in it.
    for phases in [&[Phase::RequestFilter][..], &[Phase::RequestFilter, Phase::Logging]] {
        let server = NatsServer::start(); // of its own: the first worker still serves
        let (worker, mut gateway) = start(&server, phases).await;
        let (sender, receiver) = mpsc::channel();
        serve(&worker, move |job| {
            let reader = job.read(Body::Request);
            let waiting = sender.clone();
            reader.read(Box::new(move |piece| waiting.send(piece).unwrap()));
            pass(job);
            let waited = sender.clone();
            reader.read(Box::new(move |piece| waited.send(piece).unwrap()));
        });
        let opened = gateway.open(&Open::default()).await;
        assert!(matches!(gateway.frame(&opened).await, Frame::Fetch(_)));
        assert!(matches!(gateway.frame(&opened).await, Frame::Result(_)));
        let mut heard: Vec<_> =
            (0..2).map(|_| receiver.recv_timeout(PATIENCE).expect("a read waits for ever")).collect();
        // The second read may take the first one's place before the phase is over.
        heard.retain(|piece| *piece != Err(FetchError::NotAvailable));
        assert!(!heard.is_empty());
        assert!(heard.iter().all(|piece| *piece == Err(FetchError::Cancelled(AbortReason::Stale))), "{heard:?}");
    }
}

#[tokio::test]
async fn a_gateway_that_is_gone_ends_a_stream() {
    let server = NatsServer::start();
    let (worker, mut gateway) = start(&server, &[Phase::RequestFilter]).await;
    let (sender, receiver) = mpsc::channel();
    serve(&worker, move |job| {
        let writer = begin(&job);
        sender.send(write(&writer, vec![1; 100_000])).unwrap();
        drop(job);
    });
    let opened = gateway.open(&Open::default()).await;
    stream(&mut gateway, &opened).await;
    gateway.vanish().await;
    assert_eq!(receiver.recv_timeout(PATIENCE), Ok(Err(WriteError::Cancelled(AbortReason::GatewayShutdown))));
}

#[tokio::test]
async fn logging_has_no_body_to_stream() {
    let server = NatsServer::start();
    let (worker, mut gateway) = start(&server, &[Phase::ResponseFilter]).await;
    serve(&worker, |job| {
        assert!(matches!(job.stream(vec![]), Err(WriteError::NotAvailable(_))));
        pass(job);
    });
    let open = Open { phase: Phase::ResponseFilter, response: Some(200), ..Open::default() };
    let opened = gateway.open(&open).await;
    assert!(matches!(gateway.frame(&opened).await, Frame::Result(_)));
}
