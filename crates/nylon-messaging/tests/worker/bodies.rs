//! Bodies in both directions, pieces and credit.

use std::sync::mpsc;

use bytes::Bytes;
use nylon_messaging::worker::{Body, FetchError, Lane, Worker};
use nylon_wire::{Action, Credit, ErrorFrame, FetchKind, Frame, Operation, Phase, ResponseBody, failure};

use crate::{
    gateway::{Gateway, Open, Opened, first},
    options, pass, serve,
    server::NatsServer,
    start,
    wait::{found, until},
};

/// Bytes that show when a piece is missing or misplaced.
fn pattern(length: usize) -> Bytes {
    (0..length).map(|index| (index % 251) as u8).collect()
}

/// Answers a FETCH with pieces, as far as the worker's credit goes.
async fn answer(
    gateway: &mut Gateway,
    worker: &Worker,
    opened: &mut Opened,
    id: u32,
    body: &Bytes,
    credit: &mut Credit,
) {
    let mut sent = 0;
    while sent < body.len() {
        let piece = credit.allowance((body.len() - sent).min(100_000));
        if piece == 0 {
            let Frame::Credit(grant) = gateway.frame(opened).await else { panic!("no credit") };
            credit.grant(grant.bytes);
            continue;
        }
        assert!(credit.take(piece));
        let more = sent + piece < body.len();
        gateway.data(worker, opened, id, body.slice(sent..sent + piece), more).await;
        sent += piece;
    }
}

#[tokio::test]
async fn a_request_body_comes_in_pieces_and_only_once() {
    let server = NatsServer::start();
    let (worker, mut gateway) = start(&server, &[Phase::RequestFilter]).await;
    let body = pattern(5 << 20);
    let expected = body.clone();
    serve(&worker, move |job| {
        assert_eq!(job.request_body(10 << 20), Ok(expected.clone()));
        // The second time it is here already.
        assert_eq!(job.request_body(10 << 20), Ok(expected.clone()));
        assert_eq!(job.request_body(1_000), Err(FetchError::TooLarge(1_000)));
        pass(job);
    });
    let mut opened = gateway.open(&Open::default()).await;
    let Frame::Fetch(fetch) = gateway.frame(&opened).await else { panic!("no fetch") };
    assert_eq!(
        (fetch.what, fetch.max_bytes, fetch.first.clone()),
        (FetchKind::RequestBody, 10 << 20, first(&worker, 1))
    );
    let mut credit = Credit::new(fetch.first.unwrap().credit);
    answer(&mut gateway, &worker, &mut opened, fetch.call_id, &body, &mut credit).await;
    let mut frame = gateway.frame(&opened).await;
    while matches!(frame, Frame::Credit(_)) {
        frame = gateway.frame(&opened).await;
    }
    assert!(matches!(frame, Frame::Result(_)), "{frame:?}");
    assert_eq!(worker.stats().counts.fetches, 1);
}

#[tokio::test]
async fn credit_lasts_for_many_bodies_of_one_session() {
    let server = NatsServer::start();
    let (worker, mut gateway) = start(&server, &[Phase::ResponseBodyFilter, Phase::RequestFilter]).await;
    serve(&worker, |job| {
        let body = if job.phase() == Some(Phase::RequestFilter) {
            job.request_body(1 << 20)
        } else {
            job.response_body(1 << 20)
        };
        assert_eq!(body.map(|body| body.len()), Ok(30_000));
        pass(job);
    });
    let mut opened = gateway.open(&Open::default()).await;
    let mut credit = Credit::new(32 << 10);
    let body = pattern(30_000);
    for phase in [Phase::RequestFilter, Phase::ResponseBodyFilter] {
        if phase == Phase::ResponseBodyFilter {
            gateway.phase(&worker, &mut opened, phase, None).await;
        }
        loop {
            match gateway.frame(&opened).await {
                Frame::Credit(grant) => credit.grant(grant.bytes),
                Frame::Fetch(fetch) => {
                    answer(&mut gateway, &worker, &mut opened, fetch.call_id, &body, &mut credit).await
                }
                Frame::Result(_) => break,
                other => panic!("{other:?}"),
            }
        }
    }
    until("the session is gone", || worker.stats().sessions == 0).await;
}

#[tokio::test]
async fn what_came_with_the_open_is_not_asked_for() {
    let server = NatsServer::start();
    let (worker, mut gateway) = start(&server, &[Phase::RequestFilter]).await;
    let (tell, told) = mpsc::channel();
    serve(&worker, move |job| {
        tell.send(job.request_body(100)).unwrap();
        pass(job);
    });
    let opens = [
        (Open { body: Some(b"abc"), ..Open::default() }, Ok(Bytes::from_static(b"abc"))),
        (Open { body: Some(b""), ..Open::default() }, Ok(Bytes::new())),
        (Open { content_length: Some(0), ..Open::default() }, Ok(Bytes::new())),
    ];
    for (open, body) in opens {
        let opened = gateway.open(&open).await;
        assert!(matches!(gateway.frame(&opened).await, Frame::Result(_)));
        assert_eq!(told.try_recv(), Ok(body));
    }
    assert_eq!(worker.stats().counts.fetches, 0);
}

#[tokio::test]
async fn a_body_that_cannot_be_had_says_why() {
    let server = NatsServer::start();
    let (worker, mut gateway) = start(&server, &[Phase::RequestFilter]).await;
    for (code, expected) in [
        (failure::BODY_TOO_LARGE, FetchError::TooLarge(100)),
        (failure::NOT_FOUND, FetchError::Failed { code: "not_found".into(), text: "because".into() }),
    ] {
        let mut opened = gateway.open(&Open::default()).await;
        let job = found("a job", || worker.try_next(Lane::Threads)).await;
        let (tell, told) = mpsc::channel();
        job.fetch(Body::Request, 100, Box::new(move |result| tell.send(result).unwrap()));
        let Frame::Fetch(fetch) = gateway.frame(&opened).await else { panic!("no fetch") };
        assert_eq!(fetch.max_bytes, 100);
        let (header, call_id) = (opened.header(), Some(fetch.call_id));
        let (text, log_id, first, ext) = ("because".into(), None, None, Default::default());
        let error = ErrorFrame { header, call_id, code: code.into(), text, log_id, first, ext };
        gateway.say(&worker, &opened, Frame::Error(error)).await;
        assert_eq!(found("the answer", || told.try_recv().ok()).await, Err(expected));
        pass(job);
        assert!(matches!(gateway.frame(&opened).await, Frame::Result(_)));
    }
    // A session that ends answers what it has asked for.
    let mut opened = gateway.open(&Open::default()).await;
    let job = found("a job", || worker.try_next(Lane::Threads)).await;
    let (tell, told) = mpsc::channel();
    job.fetch(Body::Request, 100, Box::new(move |result| tell.send(result).unwrap()));
    gateway.abort(&worker, &mut opened, nylon_wire::AbortReason::ClientGone).await;
    let cancelled = Err(FetchError::Cancelled(nylon_wire::AbortReason::ClientGone));
    assert_eq!(found("the answer", || told.try_recv().ok()).await, cancelled);
    assert_eq!(job.request_body(1), cancelled);
    assert_eq!(job.response_body(1), cancelled);
}

#[tokio::test]
async fn data_beyond_credit_or_limit_ends_the_session() {
    let server = NatsServer::start();
    let (worker, mut gateway) = start(&server, &[Phase::RequestFilter]).await;
    for (length, max) in [(200, 100), (40_000, 1 << 20)] {
        let mut opened = gateway.open(&Open::default()).await;
        let job = found("a job", || worker.try_next(Lane::Threads)).await;
        let (tell, told) = mpsc::channel();
        job.fetch(Body::Request, max, Box::new(move |result| tell.send(result).unwrap()));
        let Frame::Fetch(fetch) = gateway.frame(&opened).await else { panic!("no fetch") };
        gateway.data(&worker, &mut opened, fetch.call_id, pattern(length), true).await;
        assert!(matches!(gateway.frame(&opened).await, Frame::Abort(_)));
        assert!(told.try_recv().unwrap().is_err());
        assert!(job.cancelled());
    }
}

#[tokio::test]
async fn a_large_response_body_goes_ahead_within_credit() {
    let server = NatsServer::start();
    let (worker, mut gateway) = start(&server, &[Phase::RequestFilter]).await;
    let body = pattern(3 << 20);
    let set = body.clone();
    serve(&worker, move |job| {
        let inline = |bytes| Operation::SetResponseBody(ResponseBody::Inline(bytes));
        let status = Operation::SetResponseStatus(203);
        job.finish(vec![inline(pattern(200_000)), status, inline(set.clone())], Action::End);
    });
    let mut opened = gateway.open(&Open { credit: 5_000, ..Open::default() }).await;
    let Frame::Accept(accept) = gateway.raw_frame(&opened).await else { panic!("the first frame is no DATA") };
    assert_eq!(accept.first, first(&worker, 1));
    let (mut got, mut credit, mut seq) = (Vec::new(), Credit::new(5_000), 1);
    loop {
        match gateway.frame(&opened).await {
            Frame::Data(data) => {
                assert_eq!((data.header.seq, data.more), (seq, got.len() + data.bytes.len() < body.len()));
                assert!(credit.take(data.bytes.len()), "beyond its credit");
                got.extend_from_slice(&data.bytes);
                seq += 1;
                if credit.left() < 256 {
                    credit.grant(70_000);
                    gateway.credit(&worker, &mut opened, data.id, 70_000).await;
                }
            }
            Frame::Result(result) => {
                let total = body.len() as u64;
                let Operation::SetResponseBody(ResponseBody::Data { total: said, .. }) = result.ops[1] else {
                    panic!("{result:?}")
                };
                assert_eq!(
                    (said, result.ops.len(), result.ops[0].clone()),
                    (total, 2, Operation::SetResponseStatus(203))
                );
                assert_eq!((result.action, result.header.seq), (Action::End, seq));
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(got == body);
    until("the session is gone", || worker.stats().sessions == 0).await;
    assert!(worker.stats().counts.credit_stalls > 0);
    assert_eq!(worker.stats().connects, 1);
}

#[tokio::test]
async fn results_that_cannot_be_sent_are_errors() {
    let server = NatsServer::start();
    let mut gateway = Gateway::connect(&server).await;
    let mut options = options(&server, &[Phase::RequestFilter]);
    options.max_body = 1 << 20;
    let worker = Worker::start(options).unwrap();
    gateway.ready(&worker).await;
    serve(&worker, |job| {
        let operations = if job.payload().is_some() {
            vec![Operation::SetResponseBody(ResponseBody::Inline(pattern(2 << 20)))]
        } else {
            vec![Operation::SetResponseHeader { name: "x".into(), value: pattern(2 << 20) }]
        };
        job.finish(operations, Action::End);
    });
    for payload in [None, Some(&b"body"[..])] {
        let opened = gateway.open(&Open { payload, ..Open::default() }).await;
        let frame = gateway.frame(&opened).await;
        assert!(matches!(&frame, Frame::Error(error) if error.call_id.is_none()), "{frame:?}");
    }
    assert_eq!((worker.stats().connects, worker.stats().sessions), (1, 0));
}

#[tokio::test]
async fn an_open_that_does_not_fit_is_fetched() {
    let server = NatsServer::start();
    let (worker, mut gateway) = start(&server, &[Phase::RequestFilter]).await;
    let value = pattern(1_500_000);
    let expected = value.clone();
    serve(&worker, move |job| {
        assert_eq!(job.snapshot().unwrap().header("x-large"), Some(&expected[..]));
        assert_eq!(job.payload().map(|payload| &payload[..]), Some(&b"{}"[..]));
        pass(job);
    });
    let mut opened = gateway.open(&Open { more: true, ..Open::default() }).await;
    let Frame::Fetch(fetch) = gateway.frame(&opened).await else { panic!("no fetch") };
    assert_eq!((fetch.what, fetch.first), (FetchKind::OpenRest, first(&worker, 1)));
    let header = nylon_wire::Header { session: opened.id, generation: 7, seq: 0, phase_seq: 0 };
    let whole = Open { headers: vec![("x-large", &value)], payload: Some(b"{}"), ..Open::default() };
    let whole = gateway.encode_as(&opened, &header, &whole);
    answer(&mut gateway, &worker, &mut opened, fetch.call_id, &whole, &mut Credit::new(32 << 10)).await;
    let mut frame = gateway.frame(&opened).await;
    while matches!(frame, Frame::Credit(_)) {
        frame = gateway.frame(&opened).await;
    }
    assert!(matches!(frame, Frame::Result(_)), "{frame:?}");
}

#[tokio::test]
async fn the_limit_of_the_server_is_kept_and_read_again_after_a_reconnect() {
    let config = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("nylon-max-payload-{}.conf", std::process::id()));
    std::fs::write(&config, "max_payload: 65536").unwrap();
    let mut server = NatsServer::with(&["-c", config.to_str().unwrap()]);
    let worker = Worker::start(options(&server, &[Phase::RequestFilter])).unwrap();
    serve(&worker, |job| {
        let body = Operation::SetResponseBody(ResponseBody::Inline(pattern(70_000)));
        job.finish(vec![body], Action::End);
    });
    for (limit, largest) in [(65_536, 61_440), (20_000, 15_904)] {
        std::fs::write(&config, format!("max_payload: {limit}")).unwrap();
        server.restart();
        let mut gateway = Gateway::connect(&server).await;
        gateway.ready(&worker).await;
        let opened = gateway.open(&Open { credit: 1 << 20, ..Open::default() }).await;
        let (mut got, mut seen) = (0, 0);
        loop {
            match gateway.raw_frame(&opened).await {
                Frame::Data(data) => {
                    got += data.bytes.len();
                    seen = seen.max(data.bytes.len());
                }
                Frame::Accept(_) => {}
                Frame::Result(_) => break,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((got, seen), (70_000, largest));
    }
    std::fs::remove_file(&config).unwrap();
}
