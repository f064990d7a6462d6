//! Workers that answer rubbish, too late, for somebody else, or not at all; clients that leave.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use nylon_messaging::gateway::Balance;
use nylon_plugin::{Phase, PluginError, PluginErrorKind};
use nylon_wire::{AbortReason, Action, Ext, First, Frame, Header, OpenFrame, Operation, SessionId, failure};

use crate::{
    fake::{By, Fake, roundtrip},
    gateway::{Ask, GROUP, Gateway, exchange, run, spawn_filter, until},
};

/// How one answer to an open ends the phase.
async fn after(answer: impl AsyncFnOnce(&mut Fake, &OpenFrame)) -> (PluginError, Option<AbortReason>) {
    let gateway = Gateway::start().await;
    let mut worker = gateway.beating_worker("w1").await;
    // So that every open comes directly, also one that explores: the answers are about this worker and no other.
    worker.leave_queue().await;
    let asked = spawn_filter(&gateway, Ask { retry: 0, ..Ask::within(3_000) });
    let open = worker.open().await;
    answer(&mut worker, &open).await;
    let error = asked.await.unwrap().0.unwrap_err();
    gateway.assert_clean().await;
    // Whatever the gateway has sent is here before the worker's own mark.
    roundtrip(&worker.client).await;
    let mark = Frame::Close(nylon_wire::CloseFrame { header: Header::default(), ext: nylon_wire::Ext::empty() });
    let own = nylon_wire::subject::worker("nylon", GROUP, "w1").unwrap();
    worker.send(&own, &mark).await;
    let reason = match worker.next().await.0 {
        Frame::Abort(abort) => Some(abort.reason),
        _ => None,
    };
    (error, reason)
}

fn assert_kind(result: &(PluginError, Option<AbortReason>), kind: PluginErrorKind, abort: Option<AbortReason>) {
    assert_eq!((result.0.kind, result.1), (kind, abort), "{}", result.0);
}

#[test]
fn no_worker_is_unavailable_at_once() {
    run(async {
        let gateway = Gateway::start().await;
        let (result, took) = spawn_filter(&gateway, Ask::default()).await.unwrap();
        let error = result.unwrap_err();
        assert_eq!(error.kind, PluginErrorKind::Unavailable);
        assert!(error.retry_after.is_some());
        assert!(took < Duration::from_millis(200), "{took:?}");
        gateway.assert_clean().await;
    });
}

#[test]
fn rubbish_is_a_protocol_failure() {
    run(async {
        for rubbish in [&b"rubbish"[..], b"", b"\x95\x07", &[0xff; 300]] {
            let result = after(async |worker, open| {
                worker.send_raw(&open.reply, Bytes::copy_from_slice(rubbish)).await;
            })
            .await;
            assert_kind(&result, PluginErrorKind::Protocol, Some(AbortReason::Protocol));
        }
    });
}

#[test]
fn an_operation_that_is_not_known_is_a_protocol_failure() {
    run(async {
        let result = after(async |worker, open| {
            let mut out = bytes::BytesMut::new();
            let frame = nylon_wire::ResultFrame {
                header: open.header,
                ops: vec![Operation::SetResponseStatus(200)],
                action: Action::Next,
                first: worker.first(),
                timing: None,
                ext: nylon_wire::Ext::empty(),
            };
            frame.encode(&mut out);
            // [102, 200] as an operation becomes [99, 200].
            let place = out.windows(4).position(|bytes| bytes == [0x92, 102, 0xcc, 200]).unwrap();
            out[place + 1] = 99;
            worker.send_raw(&open.reply, out.freeze()).await;
        })
        .await;
        assert_kind(&result, PluginErrorKind::Protocol, Some(AbortReason::Protocol));
    });
}

#[test]
fn frames_that_a_worker_may_not_send_are_protocol_failures() {
    run(async {
        let result = after(async |worker, open| {
            worker.accept(open).await;
            let header = Header { seq: 1, ..open.header };
            worker
                .send(&open.reply, &Frame::Close(nylon_wire::CloseFrame { header, ext: nylon_wire::Ext::empty() }))
                .await;
        })
        .await;
        assert_kind(&result, PluginErrorKind::Protocol, Some(AbortReason::Protocol));
        let result = after(async |worker, open| {
            worker.result_with(open, open.header, Vec::new(), Action::Next, None).await;
        })
        .await;
        assert_kind(&result, PluginErrorKind::Protocol, Some(AbortReason::Protocol));
    });
}

#[test]
fn a_worker_cannot_answer_for_another() {
    run(async {
        let result = after(async |worker, open| {
            worker.id = "w2".to_owned();
            worker.next_please(open).await;
            worker.id = "w1".to_owned();
        })
        .await;
        assert_kind(&result, PluginErrorKind::Protocol, Some(AbortReason::Protocol));
    });
}

#[test]
fn a_worker_s_name_that_no_subject_holds_cuts_no_connection() {
    run(async {
        let gateway = Gateway::start().await;
        let mut worker = gateway.worker("w1").await;
        // No line of the NATS protocol holds it.
        let long = "w".repeat(5_000);
        let first = worker.first().map(|first| First { worker: long.as_str().into(), ..first });
        let asked = spawn_filter(&gateway, Ask::default());
        let open = worker.open().await;
        worker.result_with(&open, open.header, Vec::new(), Action::Next, first.clone()).await;
        assert_eq!(asked.await.unwrap().0.unwrap_err().kind, PluginErrorKind::Protocol);
        // Nobody waits for it any more, and whom it names is not told.
        worker.result_with(&open, open.header, Vec::new(), Action::Next, first).await;
        until("the late answer", || gateway.link.stats().stale.get() == 1).await;
        let asked = spawn_filter(&gateway, Ask::default());
        let open = worker.open().await;
        worker.next_please(&open).await;
        asked.await.unwrap().0.unwrap();
        assert_eq!(gateway.link.stats().connection().disconnects(), 0);
        gateway.assert_clean().await;
    });
}

#[test]
fn a_gap_aborts() {
    run(async {
        let result = after(async |worker, open| {
            worker.accept(open).await;
            worker.result_with(open, Header { seq: 2, ..open.header }, Vec::new(), Action::Next, None).await;
        })
        .await;
        assert_kind(&result, PluginErrorKind::Lost, Some(AbortReason::Gap));
    });
}

#[test]
fn a_handler_that_raised_is_a_handler_error() {
    run(async {
        let result = after(async |worker, open| worker.error(open, failure::HANDLER_ERROR).await).await;
        assert_eq!(result.0.kind, PluginErrorKind::Handler);
        assert!(result.0.message.contains("L1"), "{}", result.0);
        let result = after(async |worker, open| worker.error(open, failure::UNKNOWN_ENTRY).await).await;
        assert_eq!(result.0.kind, PluginErrorKind::Handler);
        let result = after(async |worker, open| worker.error(open, failure::INIT_FAILED).await).await;
        assert_eq!(result.0.kind, PluginErrorKind::Unavailable);
        let result = after(async |worker, open| worker.error(open, "of a later version").await).await;
        assert_eq!(result.0.kind, PluginErrorKind::Handler);
    });
}

#[test]
fn answers_for_others_are_stale_and_change_nothing() {
    run(async {
        let gateway = Gateway::start().await;
        let mut worker = gateway.beating_worker("w1").await;
        let asked = spawn_filter(&gateway, Ask::default());
        let open = worker.open().await;
        let old = Header { generation: open.header.generation.wrapping_sub(1 << 16), ..open.header };
        let unused = Header { generation: open.header.generation + 4_000, ..open.header };
        let other = Header { session: SessionId([7; 16]), ..open.header };
        for header in [old, unused, other] {
            let ops = vec![Operation::SetResponseStatus(666)];
            worker.result_with(&open, header, ops, Action::End, worker.first()).await;
            assert_eq!(worker.aborted().await, AbortReason::Stale);
        }
        // The subject only says which thread: a frame in a batch may come under any slot's.
        let elsewhere = open.reply.rsplit_once('.').unwrap().0.to_owned();
        let open = OpenFrame { reply: format!("{elsewhere}.4000").as_str().into(), ..open };
        worker.next_please(&open).await;
        let outcome = asked.await.unwrap().0.unwrap();
        assert!(outcome.operations.is_empty());
        assert_eq!(gateway.link.stats().stale.get(), 3);
        gateway.assert_clean().await;
    });
}

#[test]
fn a_worker_that_asks_for_a_dead_session_is_told() {
    run(async {
        let gateway = Gateway::start().await;
        let mut worker = gateway.beating_worker("w1").await;
        let asked = spawn_filter(&gateway, Ask::default());
        let open = worker.open().await;
        worker.next_please(&open).await;
        asked.await.unwrap().0.unwrap();
        let probe =
            Frame::Probe(nylon_wire::ProbeFrame { header: Header { seq: 1, ..open.header }, ext: Ext::empty() });
        // Nobody may make the gateway speak elsewhere.
        for elsewhere in ["somebody.else", &open.reply] {
            worker.ask(&open.reply, elsewhere, &probe).await;
        }
        worker.assert_nothing_came().await;
        worker.probe(&open.reply, &probe).await;
        let (Frame::Abort(abort), By::Direct) = worker.next().await else { panic!("expected ABORT") };
        // It has no place in an order that nobody keeps any more (SPEC 6.3).
        assert_eq!((abort.reason, abort.header.seq), (AbortReason::Stale, 0));
        gateway.assert_clean().await;
    });
}

#[test]
fn a_message_of_an_earlier_phase_is_ignored() {
    run(async {
        let gateway = Gateway::start().await;
        let mut worker = gateway.worker("w1").await;
        worker.mask = nylon_wire::PhaseMask(0b11);
        let mut session = gateway.session();
        let serve = tokio::task::spawn_local(async move {
            let open = worker.open().await;
            worker.next_please(&open).await;
            let (Frame::Phase(phase), _) = worker.next().await else { panic!("expected PHASE") };
            let late = Header { seq: 1, ..open.header };
            worker.result_with(&open, late, vec![Operation::SetResponseStatus(666)], Action::Next, None).await;
            let right = Header { seq: 2, ..phase.header };
            worker.result_with(&open, right, vec![Operation::SetResponseStatus(201)], Action::Next, None).await;
        });
        let mut exchange = exchange();
        Ask::default().of(&mut *session, &mut exchange).await.unwrap();
        let outcome = Ask::phase(Phase::ResponseFilter).of(&mut *session, &mut exchange).await.unwrap();
        assert_eq!(outcome.operations, [Operation::SetResponseStatus(201)]);
        serve.await.unwrap();
    });
}

#[test]
fn a_handler_over_its_deadline_is_cancelled() {
    run(async {
        let gateway = Gateway::start().await;
        let mut worker = gateway.worker("w1").await;
        let asked = spawn_filter(&gateway, Ask::within(300));
        let open = worker.open().await;
        worker.accept(&open).await;
        assert_eq!(worker.aborted().await, AbortReason::Timeout);
        let (result, took) = asked.await.unwrap();
        assert_eq!(result.unwrap_err().kind, PluginErrorKind::Timeout);
        assert!(took >= Duration::from_millis(300) && took < Duration::from_millis(450), "{took:?}");
        gateway.assert_clean().await;
    });
}

#[test]
fn a_client_that_leaves_cancels_the_handler() {
    run(async {
        let gateway = Gateway::start().await;
        let mut worker = gateway.worker("w1").await;
        let asked = spawn_filter(&gateway, Ask::default());
        let open = worker.open().await;
        gateway.accepted_by(&mut worker, &open).await;
        asked.abort();
        assert_eq!(worker.aborted().await, AbortReason::ClientGone);
        gateway.assert_clean().await;
    });
}

#[test]
fn a_client_that_leaves_before_the_first_answer_makes_it_stale() {
    run(async {
        let gateway = Gateway::start().await;
        let mut worker = gateway.worker("w1").await;
        let asked = spawn_filter(&gateway, Ask::default());
        let open = worker.open().await;
        asked.abort();
        gateway.assert_clean().await;
        worker.accept(&open).await;
        assert_eq!(worker.aborted().await, AbortReason::Stale);
        assert_eq!(gateway.link.stats().slots_resting.get(), 1);
    });
}

#[test]
fn a_worker_that_is_gone_after_accepting_is_lost_within_200_ms() {
    run(async {
        let gateway = Gateway::start().await;
        let mut worker = gateway.worker("w1").await;
        let asked = spawn_filter(&gateway, Ask::default());
        let open = worker.open().await;
        gateway.accepted_by(&mut worker, &open).await;
        drop(worker);
        let (result, took) = asked.await.unwrap();
        assert_eq!(result.unwrap_err().kind, PluginErrorKind::Lost);
        assert!(took < Duration::from_millis(400), "{took:?}");
        assert!(gateway.link.stats().probes.get() >= 1);
        gateway.assert_clean().await;
    });
}

#[test]
fn a_worker_that_falls_silent_after_accepting_is_lost_within_a_second() {
    run(async {
        let gateway = Gateway::start().await;
        let mut worker = gateway.beating_worker("w1").await;
        let asked = spawn_filter(&gateway, Ask::default());
        let open = worker.open().await;
        worker.accept(&open).await;
        let (result, took) = asked.await.unwrap();
        assert_eq!(result.unwrap_err().kind, PluginErrorKind::Lost);
        assert!(took > Duration::from_millis(600) && took < Duration::from_millis(1_200), "{took:?}");
        gateway.assert_clean().await;
    });
}

#[test]
fn a_worker_that_is_gone_between_phases_is_lost_at_once() {
    run(async {
        let gateway = Gateway::start().await;
        let mut worker = gateway.worker("w1").await;
        worker.mask = nylon_wire::PhaseMask(0b11);
        let mut session = gateway.session();
        let mut exchange = exchange();
        let serve = tokio::task::spawn_local(async move {
            let open = worker.open().await;
            worker.next_please(&open).await;
        });
        Ask::default().of(&mut *session, &mut exchange).await.unwrap();
        serve.await.unwrap();
        // The worker's end of the connection closes with its client; the server has noticed when a probe says so.
        let started = std::time::Instant::now();
        let error = Ask::phase(Phase::ResponseFilter).of(&mut *session, &mut exchange).await.unwrap_err();
        assert_eq!(error.kind, PluginErrorKind::Lost);
        assert!(started.elapsed() < Duration::from_millis(300), "{:?}", started.elapsed());
        drop(session);
        gateway.assert_clean().await;
    });
}

#[test]
fn in_a_batch_each_frame_is_judged_by_itself() {
    run(async {
        let gateway = Gateway::with(|options| options.balance = Balance::LeastLoaded).await;
        let mut worker = gateway.beating_worker("w1").await;
        let asked: Vec<_> = (0..4).map(|_| spawn_filter(&gateway, Ask::default())).collect();
        let mut opens = vec![];
        for _ in &asked {
            opens.push(worker.open().await);
        }
        let result = |header: Header, status: u16| {
            let mut out = BytesMut::new();
            let ops = vec![Operation::SetResponseStatus(status)];
            let (action, first, timing) = (Action::End, worker.first(), None);
            nylon_wire::ResultFrame { header, ops, action, first, timing, ext: Ext::empty() }.encode(&mut out);
            out.freeze()
        };
        let stranger = Header { session: SessionId([7; 16]), ..opens[0].header };
        // A frame that is cut, after its header.
        let damaged = result(opens[1].header, 201).slice(..30);
        let frames = [
            result(opens[3].header, 203),
            damaged,
            result(stranger, 666),
            result(opens[0].header, 200),
            result(opens[2].header, 202),
        ];
        let mut out = BytesMut::new();
        nylon_wire::encode_batch(&mut out, frames.iter().map(|frame| &frame[..]));
        worker.send_raw(&opens[3].reply, out.freeze()).await;
        let mut reasons = vec![worker.aborted().await, worker.aborted().await];
        reasons.sort_by_key(|reason| reason.number());
        assert_eq!(reasons, [AbortReason::Stale, AbortReason::Protocol]);
        for (index, asked) in asked.into_iter().enumerate() {
            let outcome = asked.await.unwrap().0;
            match index {
                1 => assert_eq!(outcome.unwrap_err().kind, PluginErrorKind::Protocol),
                _ => {
                    let status = 200 + u16::try_from(index).unwrap();
                    assert_eq!(outcome.unwrap().operations, [Operation::SetResponseStatus(status)]);
                }
            }
        }
        gateway.assert_clean().await;
    });
}

#[test]
fn nobody_behind_a_worker_fails_or_moves_all_that_was_sent_together() {
    run(async {
        let gateway = Gateway::with(|options| options.balance = Balance::LeastLoaded).await;
        let mut gone = Fake::start(&gateway.server.url(), GROUP, "gone", None).await;
        gone.beat().await;
        gateway.heard("gone").await;
        gone.vanish().await;
        let asked: Vec<_> = (0..6).map(|_| spawn_filter(&gateway, Ask::default())).collect();
        for asked in asked {
            assert_eq!(asked.await.unwrap().0.unwrap_err().kind, PluginErrorKind::Unavailable);
        }
        // One for all on the worker's subject, then one each through the queue group.
        assert_eq!(gateway.link.stats().no_responders.get(), 1 + 6);
        gateway.assert_clean().await;
    });
}

#[test]
fn a_worker_that_sees_the_deadline_first_has_timed_out_and_is_not_lost() {
    run(async {
        for (within, kind) in [(15, PluginErrorKind::Timeout), (3_000, PluginErrorKind::Lost)] {
            let gateway = Gateway::with(|options| options.balance = Balance::LeastLoaded).await;
            let mut worker = gateway.beating_worker("w1").await;
            let asked = spawn_filter(&gateway, Ask { retry: 0, ..Ask::within(within) });
            let open = worker.open().await;
            worker.accept(&open).await;
            // What a worker answers to a probe of a session that it has ended.
            let header = Header { seq: 0, ..open.header };
            let abort = nylon_wire::AbortFrame { header, reason: AbortReason::Stale, text: None, ext: Ext::empty() };
            worker.send(&open.reply, &Frame::Abort(abort)).await;
            let error = asked.await.unwrap().0.unwrap_err();
            assert_eq!(error.kind, kind, "{error}");
            gateway.assert_clean().await;
        }
    });
}
