//! Bodies both ways: fetched, sent along, in pieces under credit, too long, too many.

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use nylon_plugin::{BodyError, BodyStream, Exchange, Operation, Phase, PluginErrorKind, RequestBody, ResponseBody};
use nylon_wire::{AbortReason, Action, FetchKind, Frame, Header, OpenFrame, failure};

use crate::{
    fake::Fake,
    gateway::{Ask, Body, Gateway, exchange, filter_with, run, spawn_filter, with_body},
};

fn pattern(length: usize) -> Bytes {
    (0..length).map(|n| u8::try_from(n % 251).unwrap()).collect()
}

/// Takes a body that was asked for by call 1, granting credit for each piece; returns it and the number of pieces.
async fn take_body(worker: &mut Fake, open: &OpenFrame, mut seq: u32) -> (Vec<u8>, usize, u32) {
    let (mut body, mut pieces) = (Vec::new(), 0);
    loop {
        let (frame, _) = worker.next().await;
        let Frame::Data(data) = frame else { panic!("expected DATA, got {frame:?}") };
        assert_eq!(data.id, 1);
        body.extend_from_slice(&data.bytes);
        pieces += 1;
        if !data.more {
            return (body, pieces, seq);
        }
        let cost = u32::try_from(data.bytes.len().max(256)).unwrap();
        worker.credit(open, seq, 1, cost).await;
        seq += 1;
    }
}

/// Runs a filter on this exchange while the worker does something with its open.
async fn serve<T: 'static>(
    gateway: &Gateway,
    exchange: Exchange,
    mut worker: Fake,
    serve: impl AsyncFnOnce(&mut Fake, OpenFrame) -> T + 'static,
) -> (Result<nylon_plugin::Outcome, nylon_plugin::PluginError>, T, Fake) {
    let serving = tokio::task::spawn_local(async move {
        let open = worker.open().await;
        let value = serve(&mut worker, open).await;
        (value, worker)
    });
    let result = filter_with(gateway, &Ask::default(), exchange).await;
    let (value, worker) = serving.await.unwrap();
    gateway.assert_clean().await;
    (result, value, worker)
}

#[test]
fn a_request_body_is_fetched_in_pieces_under_credit() {
    run(async {
        for length in [1, 200, 32_768, 1_000_000] {
            let gateway = Gateway::start().await;
            let worker = gateway.worker("w1").await;
            let (result, (body, pieces), _) =
                serve(&gateway, with_body(pattern(length)), worker, async |worker, open| {
                    assert_eq!(open.body, None);
                    worker.fetch(&open, 0, 1, FetchKind::RequestBody, 10 << 20).await;
                    let (body, pieces, seq) = take_body(worker, &open, 1).await;
                    worker.result_with(&open, Header { seq, ..open.header }, Vec::new(), Action::Next, None).await;
                    (body, pieces)
                })
                .await;
            result.unwrap();
            assert_eq!(body, pattern(length));
            assert!(pieces >= length.div_ceil(32_768), "{pieces} pieces");
        }
    });
}

#[test]
fn nothing_is_sent_beyond_credit() {
    run(async {
        let gateway = Gateway::start().await;
        let mut worker = gateway.worker("w1").await;
        let plugin = gateway.plugin.clone();
        let asked = tokio::task::spawn_local(async move {
            let mut exchange = with_body(pattern(100_000));
            Ask::default().of(&mut *nylon_plugin::Plugin::session(&plugin), &mut exchange).await
        });
        let open = worker.open().await;
        worker.fetch(&open, 0, 1, FetchKind::RequestBody, 10 << 20).await;
        let (Frame::Data(data), _) = worker.next().await else { panic!("expected DATA") };
        assert_eq!(data.bytes.len(), 32_768);
        crate::fake::roundtrip(&worker.client).await;
        worker.assert_nothing_came().await;
        // A phase may end without having taken all of its body.
        worker.result_with(&open, Header { seq: 1, ..open.header }, Vec::new(), Action::Next, None).await;
        asked.await.unwrap().unwrap();
        gateway.assert_clean().await;
    });
}

#[test]
fn a_request_body_beyond_the_limit_fails_the_phase() {
    run(async {
        let gateway = Gateway::with(|options| options.max_body_bytes = 1_000).await;
        let worker = gateway.worker("w1").await;
        let (result, error, _) = serve(&gateway, with_body(pattern(1_001)), worker, async |worker, open| {
            worker.fetch(&open, 0, 1, FetchKind::RequestBody, 10 << 20).await;
            let (frame, _) = worker.next().await;
            let Frame::Error(error) = frame else { panic!("expected ERROR, got {frame:?}") };
            let (frame, _) = worker.next().await;
            assert!(matches!(frame, Frame::Close(_)), "{frame:?}");
            error
        })
        .await;
        assert_eq!(result.unwrap_err().kind, PluginErrorKind::RequestBodyTooLarge);
        assert_eq!((error.call_id, error.code.as_str()), (Some(1), failure::BODY_TOO_LARGE));
    });
}

#[test]
fn two_that_read_a_body_as_it_comes_are_answered() {
    run(async {
        let gateway = Gateway::start().await;
        let worker = gateway.worker("w1").await;
        let (result, lengths, _) = serve(&gateway, with_body(pattern(40_000)), worker, async |worker, open| {
            for call in [1, 2] {
                worker.fetch(&open, call - 1, call, FetchKind::RequestStream, 10 << 20).await;
            }
            // The first waits for credit when the second is asked for.
            worker.credit(&open, 2, 1, 100_000).await;
            let (mut lengths, mut ended) = ([0, 0], 0);
            while ended < 2 {
                let (Frame::Data(data), _) = worker.next().await else { panic!("expected DATA") };
                lengths[data.id as usize - 1] += data.bytes.len();
                ended += usize::from(!data.more);
            }
            worker.result_with(&open, Header { seq: 3, ..open.header }, Vec::new(), Action::Next, None).await;
            lengths
        })
        .await;
        result.unwrap();
        assert_eq!(lengths, [40_000, 40_000]);
    });
}

/// A client that sends the start of its body and leaves, or stalls.
struct Broken {
    stalls: bool,
}

impl RequestBody for Broken {
    fn read_all(&mut self, _limit: usize) -> LocalBoxFuture<'_, Result<Bytes, BodyError>> {
        if self.stalls {
            return Box::pin(std::future::pending());
        }
        Box::pin(std::future::ready(Err(BodyError::Client("reset".to_owned()))))
    }

    fn ready(&mut self, _limit: usize) -> Option<Bytes> {
        None
    }

    fn is_empty(&self) -> bool {
        false
    }

    fn stream(&mut self, _keep: usize) -> Result<Box<dyn BodyStream>, BodyError> {
        Err(BodyError::Taken)
    }

    fn share(&self) -> Box<dyn RequestBody> {
        Box::new(Self { stalls: self.stalls })
    }
}

#[test]
fn a_client_that_leaves_in_its_body_is_nobodys_failure() {
    run(async {
        let gateway = Gateway::start().await;
        let worker = gateway.worker("w1").await;
        let exchange = Exchange { request_body: Box::new(Broken { stalls: false }), ..exchange() };
        let (result, reason, _) = serve(&gateway, exchange, worker, async |worker, open| {
            worker.fetch(&open, 0, 1, FetchKind::RequestBody, 10 << 20).await;
            worker.aborted().await
        })
        .await;
        assert_eq!(result.unwrap_err().kind, PluginErrorKind::ClientGone);
        assert_eq!(reason, AbortReason::ClientGone);
    });
}

#[test]
fn while_a_body_stalls_the_worker_is_still_heard() {
    run(async {
        let gateway = Gateway::start().await;
        let worker = gateway.worker("w1").await;
        let exchange = Exchange { request_body: Box::new(Broken { stalls: true }), ..exchange() };
        let (result, (), _) = serve(&gateway, exchange, worker, async |worker, open| {
            worker.fetch(&open, 0, 1, FetchKind::RequestBody, 10 << 20).await;
            worker.result_with(&open, Header { seq: 1, ..open.header }, Vec::new(), Action::End, None).await;
        })
        .await;
        assert_eq!(result.unwrap().action, nylon_plugin::Action::End);
    });
}

#[test]
fn an_entry_that_keeps_asking_gets_the_body_with_its_opens() {
    run(async {
        let gateway = Gateway::start().await;
        let mut worker = gateway.worker("w1").await;
        for round in 0..4 {
            let (result, brought, back) = serve(&gateway, with_body(pattern(500)), worker, async |worker, open| {
                let brought = open.body.clone();
                if brought.is_some() {
                    worker.next_please(&open).await;
                } else {
                    worker.fetch(&open, 0, 1, FetchKind::RequestBody, 10 << 20).await;
                    take_body(worker, &open, 1).await;
                    worker.result_with(&open, Header { seq: 1, ..open.header }, Vec::new(), Action::Next, None).await;
                }
                brought
            })
            .await;
            result.unwrap();
            assert_eq!(brought, (round == 3).then(|| pattern(500)), "round {round}");
            worker = back;
        }
        // What is long, or not here yet, delays no open.
        for (length, ready) in [(40_000, true), (500, false)] {
            let body = Body { bytes: pattern(length), ready };
            let exchange = Exchange { request_body: Box::new(body), ..exchange() };
            let (result, brought, back) = serve(&gateway, exchange, worker, async |worker, open| {
                worker.fetch(&open, 0, 1, FetchKind::RequestBody, 10 << 20).await;
                let (_, _, seq) = take_body(worker, &open, 1).await;
                worker.result_with(&open, Header { seq, ..open.header }, Vec::new(), Action::Next, None).await;
                open.body.clone()
            })
            .await;
            result.unwrap();
            assert_eq!(brought, None);
            worker = back;
        }
    });
}

/// Sends a body as a worker does that obeys its credit.
async fn send_body(worker: &mut Fake, open: &OpenFrame, body: &Bytes, mut seq: u32) -> u32 {
    let mut credit = open.credit as usize;
    let mut rest = body.clone();
    loop {
        while credit < 256 {
            let (frame, _) = worker.next().await;
            let Frame::Credit(more) = frame else { panic!("expected CREDIT, got {frame:?}") };
            credit += more.bytes as usize;
        }
        let piece = rest.split_to(rest.len().min(credit).min(100_000));
        credit -= piece.len().max(256);
        worker.data(open, seq, 5, piece, !rest.is_empty()).await;
        seq += 1;
        if rest.is_empty() {
            return seq;
        }
    }
}

fn body_operation(id: u32, total: usize) -> Vec<Operation> {
    vec![Operation::SetResponseBody(nylon_wire::ResponseBody::Data { id, total: total as u64 })]
}

#[test]
fn a_long_response_body_comes_in_pieces_under_credit() {
    run(async {
        for length in [0, 30_000, 2_000_000] {
            let gateway = Gateway::start().await;
            let worker = gateway.worker("w1").await;
            let (result, (), _) = serve(&gateway, exchange(), worker, async move |worker, open| {
                worker.accept(&open).await;
                let seq = send_body(worker, &open, &pattern(length), 1).await;
                let header = Header { seq, ..open.header };
                worker.result_with(&open, header, body_operation(5, length), Action::End, None).await;
            })
            .await;
            let outcome = result.unwrap();
            let inline = Operation::SetResponseBody(nylon_wire::ResponseBody::Inline(pattern(length)));
            assert_eq!(outcome.operations, [inline]);
        }
    });
}

#[test]
fn a_response_body_beyond_the_limit_fails_the_phase() {
    run(async {
        let gateway = Gateway::with(|options| options.max_body_bytes = 10_000).await;
        let worker = gateway.worker("w1").await;
        let (result, reason, _) = serve(&gateway, exchange(), worker, async |worker, open| {
            worker.accept(&open).await;
            worker.data(&open, 1, 5, pattern(10_001), false).await;
            worker.aborted().await
        })
        .await;
        assert_eq!(result.unwrap_err().kind, PluginErrorKind::ResponseBodyTooLarge);
        assert_eq!(reason, AbortReason::Protocol);
    });
}

#[test]
fn a_body_that_is_not_the_one_announced_is_a_protocol_failure() {
    run(async {
        for (id, total) in [(5, 101), (6, 100)] {
            let gateway = Gateway::start().await;
            let worker = gateway.worker("w1").await;
            let (result, (), _) = serve(&gateway, exchange(), worker, async move |worker, open| {
                worker.accept(&open).await;
                worker.data(&open, 1, 5, pattern(100), false).await;
                let header = Header { seq: 2, ..open.header };
                worker.result_with(&open, header, body_operation(id, total), Action::End, None).await;
            })
            .await;
            assert_eq!(result.unwrap_err().kind, PluginErrorKind::Protocol);
        }
    });
}

#[test]
fn a_worker_that_sends_beyond_its_credit_is_cut_off() {
    run(async {
        let gateway = Gateway::start().await;
        let worker = gateway.worker("w1").await;
        let (result, reason, _) = serve(&gateway, exchange(), worker, async |worker, open| {
            worker.accept(&open).await;
            worker.data(&open, 1, 5, pattern(open.credit as usize + 1), true).await;
            worker.aborted().await
        })
        .await;
        assert_eq!(result.unwrap_err().kind, PluginErrorKind::Protocol);
        assert_eq!(reason, AbortReason::Protocol);
    });
}

#[test]
fn the_response_body_is_fetched_when_it_is_long() {
    run(async {
        let gateway = Gateway::start().await;
        let mut worker = gateway.worker("w1").await;
        worker.mask = nylon_wire::PhaseMask(0b101);
        let mut session = gateway.session();
        let mut exchange = exchange();
        let serving = tokio::task::spawn_local(async move {
            let open = worker.open().await;
            worker.next_please(&open).await;
            let (Frame::Phase(phase), _) = worker.next().await else { panic!("expected PHASE") };
            assert_eq!(phase.body, None);
            assert_eq!(phase.response.as_ref().unwrap().body_length(), Some(70_000));
            let there = OpenFrame { header: phase.header, ..open };
            worker.fetch(&there, 1, 1, FetchKind::ResponseBody, 10 << 20).await;
            let (body, _, seq) = take_body(&mut worker, &there, 2).await;
            let header = Header { seq, ..phase.header };
            worker.result_with(&there, header, Vec::new(), Action::Next, None).await;
            body
        });
        Ask::default().of(&mut *session, &mut exchange).await.unwrap();
        exchange.response.body = ResponseBody::Full(pattern(70_000));
        Ask::phase(Phase::ResponseBodyFilter).of(&mut *session, &mut exchange).await.unwrap();
        assert_eq!(serving.await.unwrap(), pattern(70_000));
        drop(session);
        gateway.assert_clean().await;
    });
}

#[test]
fn what_is_not_there_is_not_found() {
    run(async {
        let gateway = Gateway::start().await;
        let worker = gateway.worker("w1").await;
        let (result, codes, _) = serve(&gateway, exchange(), worker, async |worker, open| {
            let mut codes = Vec::new();
            for (seq, what) in [FetchKind::ResponseBody, FetchKind::Config, FetchKind::OpenRest].into_iter().enumerate()
            {
                let seq = u32::try_from(seq).unwrap();
                worker.fetch(&open, seq, seq, what, 100).await;
                let (frame, _) = worker.next().await;
                let Frame::Error(error) = frame else { panic!("expected ERROR, got {frame:?}") };
                codes.push(error.code.to_string());
            }
            worker.result_with(&open, Header { seq: 3, ..open.header }, Vec::new(), Action::Next, None).await;
            codes
        })
        .await;
        result.unwrap();
        assert_eq!(codes, [failure::NOT_FOUND; 3]);
    });
}

#[test]
fn a_lost_connection_is_noticed_while_a_body_moves() {
    run(async {
        let mut gateway = Gateway::start().await;
        let mut worker = gateway.worker("w1").await;
        let asked = spawn_filter(&gateway, Ask::default());
        let open = worker.open().await;
        worker.accept(&open).await;
        worker.data(&open, 1, 5, pattern(20_000), true).await;
        let (frame, _) = worker.next().await;
        assert!(matches!(frame, Frame::Credit(_)), "{frame:?}");
        gateway.server.kill();
        assert_eq!(asked.await.unwrap().0.unwrap_err().kind, PluginErrorKind::Lost);
        gateway.assert_clean().await;
    });
}
