//! What goes out and what comes back when everything is well.

use bytes::Bytes;
use http::StatusCode;
use nylon_plugin::{Action, HeaderFilter, Operation, Phase, PhaseMask, Plugin, ResponseBody};
use nylon_wire::{Frame, Header};

use crate::{
    fake::By,
    gateway::{Ask, Gateway, exchange, filter, filter_with, run, spawn_filter, until},
};

#[test]
fn a_request_filter_costs_two_messages() {
    run(async {
        let gateway = Gateway::start().await;
        let mut worker = gateway.worker("w1").await;
        let asked = spawn_filter(&gateway, Ask::default());
        let (open, by) = worker.open_by().await;
        assert_eq!(by, By::Queue);
        let ops = vec![Operation::SetResponseStatus(401)];
        worker.result(&open, ops.clone(), nylon_wire::Action::End).await;
        let outcome = asked.await.unwrap().0.unwrap();
        assert_eq!((outcome.operations, outcome.action), (ops, Action::End));
        assert_eq!(outcome.timing.handler.as_micros(), 20);
        assert!(outcome.timing.total >= outcome.timing.queue + outcome.timing.handler);
        worker.assert_nothing_came().await;
        gateway.assert_clean().await;
        assert_eq!(gateway.link.stats().opens.get(), 1);
        assert_eq!(gateway.messaging.plugins()[0].times[0].handler.counts().iter().sum::<u64>(), 1);
    });
}

#[test]
fn the_open_brings_the_request() {
    run(async {
        let gateway = Gateway::start().await;
        let mut worker = gateway.worker("w1").await;
        let headers = HeaderFilter { allow: None, deny: vec!["authorization".parse().unwrap()] };
        let payload = Some(Bytes::from_static(b"{\"a\":1}"));
        let asked = spawn_filter(&gateway, Ask { headers, payload, ..Ask::default() });
        let open = worker.open().await;
        let snapshot = &open.snapshot;
        assert_eq!((snapshot.method(), snapshot.scheme(), snapshot.host()), ("GET", "http", "a.test"));
        assert_eq!((snapshot.port(), snapshot.path(), snapshot.query()), (Some(8080), "/users/42", "x=1"));
        let headers: Vec<_> = snapshot.headers().map(|(name, value)| (name.to_owned(), value.to_vec())).collect();
        let expected: [(&str, &[u8]); 3] = [("accept", b"a"), ("accept", b"b"), ("x-odd", b"\xff\xfe")];
        assert_eq!(headers, expected.map(|(name, value)| (name.to_owned(), value.to_vec())));
        assert_eq!(snapshot.client_ip(), "127.0.0.1");
        assert_eq!(snapshot.request_id(), "req-1");
        assert_eq!(open.payload.as_deref(), Some(&b"{\"a\":1}"[..]));
        assert_eq!(open.entry.as_str(), "auth");
        assert!((4_900..=5_000).contains(&open.remaining_ms), "{}", open.remaining_ms);
        assert_eq!(open.body.as_deref(), Some(&b""[..]), "an empty body needs no fetch");
        assert!(open.response.is_none());
        worker.next_please(&open).await;
        asked.await.unwrap().0.unwrap();
    });
}

#[test]
fn later_phases_go_to_the_same_worker_and_nowhere_else() {
    run(async {
        let gateway = Gateway::start().await;
        let mut worker = gateway.worker("w1").await;
        worker.mask = PhaseMask::ALL.0.into_mask();
        let mut session = gateway.session();
        let mut exchange = exchange();
        let serve = tokio::task::spawn_local(async move {
            let open = worker.open().await;
            worker.next_please(&open).await;
            let mut seen = Vec::new();
            for number in 1..=3 {
                let (frame, by) = worker.next().await;
                let Frame::Phase(phase) = frame else { panic!("expected PHASE, got {frame:?}") };
                assert_eq!(by, By::Direct);
                assert_eq!(
                    (phase.header.session, phase.header.generation),
                    (open.header.session, open.header.generation)
                );
                assert_eq!((phase.header.seq, phase.header.phase_seq), (number, number));
                if phase.phase != nylon_wire::Phase::Logging {
                    let header = Header { seq: number, ..phase.header };
                    worker.result_with(&open, header, Vec::new(), nylon_wire::Action::Next, None).await;
                }
                seen.push(phase);
            }
            worker.assert_nothing_came().await;
            seen
        });
        Ask::default().of(&mut *session, &mut exchange).await.unwrap();
        assert_eq!(session.phases(), Some(PhaseMask::ALL));
        exchange.response.status = StatusCode::IM_A_TEAPOT;
        exchange.response.headers.insert("x-up", "1".parse().unwrap());
        Ask::phase(Phase::ResponseFilter).of(&mut *session, &mut exchange).await.unwrap();
        exchange.response.body = ResponseBody::Full(Bytes::from_static(b"hello"));
        Ask::phase(Phase::ResponseBodyFilter).of(&mut *session, &mut exchange).await.unwrap();
        exchange.response.bytes_sent = 5;
        exchange.error = Some("late".to_owned());
        session.log(Ask::phase(Phase::Logging).call(&mut exchange));
        drop(session);
        let seen = serve.await.unwrap();
        let response = seen[0].response.as_ref().unwrap();
        assert_eq!((response.status(), response.header("x-up")), (418, Some(&b"1"[..])));
        assert_eq!(seen[1].body.as_deref(), Some(&b"hello"[..]));
        let response = seen[2].response.as_ref().unwrap();
        assert_eq!((response.body_bytes(), response.error()), (5, Some("late")));
        gateway.assert_clean().await;
    });
}

#[test]
fn phases_left_unused_are_closed_and_only_those() {
    run(async {
        let gateway = Gateway::start().await;
        let mut worker = gateway.worker("w1").await;
        worker.mask = 0b0011.into_mask();
        let asked = spawn_filter(&gateway, Ask::default());
        let open = worker.open().await;
        worker.next_please(&open).await;
        asked.await.unwrap().0.unwrap();
        let (frame, _) = worker.next().await;
        let Frame::Close(close) = frame else { panic!("expected CLOSE, got {frame:?}") };
        assert_eq!(close.header.session, open.header.session);
        gateway.assert_clean().await;
    });
}

/// SPEC 9.6.
#[test]
fn a_session_whose_phase_may_follow_again_is_kept_for_it_and_closed_without_it() {
    run(async {
        let gateway = Gateway::start().await;
        for comes in [true, false] {
            let mut worker = gateway.worker("w1").await;
            worker.mask = 0b0001.into_mask();
            let mut exchange = exchange();
            let mut session = gateway.session();
            let serve = tokio::task::spawn_local(async move {
                let open = worker.open().await;
                assert!(open.ext.is_again());
                worker.next_please(&open).await;
                (worker, open)
            });
            Ask { again: true, ..Ask::default() }.of(&mut *session, &mut exchange).await.unwrap();
            let (mut worker, open) = serve.await.unwrap();
            if comes {
                let serve = tokio::task::spawn_local(async move {
                    let (frame, _) = worker.next().await;
                    let Frame::Phase(phase) = frame else { panic!("expected PHASE, got {frame:?}") };
                    assert!(!phase.ext.is_again());
                    assert_eq!((phase.header.session, phase.header.phase_seq), (open.header.session, 1));
                    let header = Header { seq: 1, ..phase.header };
                    worker.result_with(&open, header, Vec::new(), nylon_wire::Action::Next, None).await;
                    worker
                });
                Ask::default().of(&mut *session, &mut exchange).await.unwrap();
                drop(session);
                serve.await.unwrap().assert_nothing_came().await;
            } else {
                drop(session);
                let (frame, _) = worker.next().await;
                let Frame::Close(close) = frame else { panic!("expected CLOSE, got {frame:?}") };
                assert_eq!(close.header.session, open.header.session);
            }
            gateway.assert_clean().await;
        }
    });
}

#[test]
fn an_entry_without_a_session_is_opened_at_its_phase() {
    run(async {
        let gateway = Gateway::start().await;
        let mut worker = gateway.worker("w1").await;
        let mut exchange = exchange();
        exchange.response.status = StatusCode::NOT_FOUND;
        let mut session = gateway.session();
        let serve = tokio::task::spawn_local(async move {
            let open = worker.open().await;
            worker.next_please(&open).await;
            open
        });
        Ask::phase(Phase::ResponseFilter).of(&mut *session, &mut exchange).await.unwrap();
        let open = serve.await.unwrap();
        assert_eq!(open.phase, nylon_wire::Phase::ResponseFilter);
        assert_eq!(open.response.unwrap().status(), 404);
    });
}

#[test]
fn logging_alone_is_neither_answered_nor_kept() {
    run(async {
        let gateway = Gateway::start().await;
        let mut worker = gateway.worker("w1").await;
        let mut session = gateway.session();
        session.log(Ask::phase(Phase::Logging).call(&mut exchange()));
        drop(session);
        gateway.assert_clean().await;
        let open = worker.open().await;
        assert_eq!(open.phase, nylon_wire::Phase::Logging);
        // Whoever answers all the same is told that nobody listens.
        worker.next_please(&open).await;
        assert_eq!(worker.aborted().await, nylon_wire::AbortReason::Stale);
    });
}

#[test]
fn logging_may_fetch_the_configuration_although_nobody_waits() {
    run(async {
        let gateway = Gateway::with(|options| {
            options.config = Some(Bytes::from_static(b"{}"));
            options.revision = Some(nylon_wire::Revision { hash: Bytes::from_static(b"12345678"), loaded_ms: 7 });
        })
        .await;
        let mut worker = gateway.worker("w1").await;
        let mut session = gateway.session();
        session.log(Ask::phase(Phase::Logging).call(&mut exchange()));
        drop(session);
        let open = worker.open().await;
        assert_eq!(open.revision.as_ref().unwrap().loaded_ms, 7);
        assert!(open.credit > 0);
        // One at a time is attended.
        gateway.session().log(Ask::phase(Phase::Logging).call(&mut exchange()));
        assert_eq!(worker.open().await.credit, 0);
        worker.fetch(&open, 0, 3, nylon_wire::FetchKind::Config, 1_000).await;
        let (frame, _) = worker.next().await;
        let Frame::Data(data) = frame else { panic!("expected DATA, got {frame:?}") };
        assert_eq!((data.id, &data.bytes[..], data.more), (3, &b"{}"[..], false));
    });
}

#[test]
fn a_session_opens_directly_when_a_beat_was_heard() {
    run(async {
        let gateway = Gateway::start().await;
        let mut worker = gateway.beating_worker("w1").await;
        let asked = spawn_filter(&gateway, Ask::default());
        let (open, by) = worker.open_by().await;
        assert_eq!(by, By::Direct);
        worker.next_please(&open).await;
        asked.await.unwrap().0.unwrap();
        gateway.assert_clean().await;
    });
}

#[test]
fn announced_phases_need_every_live_worker_to_agree() {
    run(async {
        let gateway = Gateway::start().await;
        assert_eq!(gateway.plugin.announced_phases(), None);
        let mut one = gateway.beating_worker("w1").await;
        assert_eq!(gateway.plugin.announced_phases(), Some(PhaseMask(1)));
        let mut two = gateway.worker("w2").await;
        two.beat.entries[0].mask = 0b1001.into_mask();
        two.beat().await;
        gateway.heard("w2").await;
        until("disagreement", || gateway.plugin.announced_phases().is_none()).await;
        one.beat.entries[0].mask = 0b1001.into_mask();
        one.beat().await;
        until("agreement", || gateway.plugin.announced_phases() == Some(PhaseMask(0b1001))).await;
    });
}

#[test]
fn sessions_run_beside_each_other_and_slots_are_reused() {
    run(async {
        let gateway = Gateway::start().await;
        let _serving = gateway.worker("w1").await.serve();
        for _ in 0..5 {
            let asked: Vec<_> = (0..40).map(|_| spawn_filter(&gateway, Ask::default())).collect();
            for asked in asked {
                asked.await.unwrap().0.unwrap();
            }
        }
        gateway.assert_clean().await;
        assert_eq!(gateway.link.stats().opens.get(), 200);
        assert_eq!(gateway.link.stats().stale.get(), 0);
    });
}

#[test]
fn the_in_flight_limit_refuses_at_once() {
    run(async {
        let gateway = Gateway::with(|options| options.max_in_flight = 1).await;
        let mut worker = gateway.worker("w1").await;
        let first = spawn_filter(&gateway, Ask::default());
        let open = worker.open().await;
        let error = filter(&gateway).await.unwrap_err();
        assert_eq!(error.kind, nylon_plugin::PluginErrorKind::Busy);
        worker.next_please(&open).await;
        first.await.unwrap().0.unwrap();
        let third = spawn_filter(&gateway, Ask::default());
        let open = worker.open().await;
        worker.next_please(&open).await;
        third.await.unwrap().0.unwrap();
    });
}

#[test]
fn phases_without_a_limit_are_counted_too() {
    run(async {
        let gateway = Gateway::with(|options| options.max_in_flight = usize::MAX).await;
        let mut worker = gateway.worker("w1").await;
        let asked = spawn_filter(&gateway, Ask::default());
        let open = worker.open().await;
        assert_eq!(gateway.messaging.plugins()[0].in_flight, 1);
        worker.next_please(&open).await;
        asked.await.unwrap().0.unwrap();
        gateway.assert_clean().await;
    });
}

#[test]
fn an_open_that_does_not_fit_is_fetched() {
    run(async {
        let server = crate::server::NatsServer::configured("max_payload: 8192\n");
        let gateway = Gateway::on(server, |_| {}).await;
        let mut worker = gateway.worker("w1").await;
        let serve = tokio::task::spawn_local(async move {
            let open = worker.open().await;
            assert!(open.more);
            worker.fetch(&open, 0, 9, nylon_wire::FetchKind::OpenRest, 1 << 20).await;
            let mut whole = Vec::new();
            let mut more = true;
            while more {
                let (frame, _) = worker.next().await;
                let Frame::Data(data) = frame else { panic!("expected DATA, got {frame:?}") };
                whole.extend_from_slice(&data.bytes);
                more = data.more;
            }
            let Frame::Open(whole) = Frame::decode(&Bytes::from(whole)).unwrap() else { panic!("no OPEN") };
            assert_eq!(whole.header.session, open.header.session);
            worker
                .result_with(&open, Header { seq: 1, ..open.header }, Vec::new(), nylon_wire::Action::Next, None)
                .await;
            whole
        });
        let mut exchange = exchange();
        for n in 0..20 {
            exchange.request.headers.append("x-long", format!("{n}{}", "a".repeat(500)).parse().unwrap());
        }
        filter_with(&gateway, &Ask::default(), exchange).await.unwrap();
        let whole = serve.await.unwrap();
        assert!(!whole.more);
        assert_eq!(whole.snapshot.headers().filter(|(name, _)| *name == "x-long").count(), 20);
        gateway.assert_clean().await;
    });
}

trait IntoMask {
    fn into_mask(self) -> nylon_wire::PhaseMask;
}

impl IntoMask for u8 {
    fn into_mask(self) -> nylon_wire::PhaseMask {
        nylon_wire::PhaseMask(u32::from(self))
    }
}
