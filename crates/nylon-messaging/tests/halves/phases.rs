//! Phases, bodies and configurations as user code sees them.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::StatusCode;
use nylon_messaging::worker::{FetchError, Job, JobKind};
use nylon_plugin::{Action, Operation, Phase, PluginErrorKind, ResponseBody};
use nylon_wire::{PhaseMask, Revision, failure};

use crate::{
    gateway::{Ask, Gateway, exchange, filter, filter_with, run, until, with_body},
    pass, serve, worker,
};

const REQUEST: PhaseMask = PhaseMask(1);

fn body(bytes: impl Into<Bytes>) -> Operation {
    Operation::SetResponseBody(nylon_wire::ResponseBody::Inline(bytes.into()))
}

fn end(job: Job, operations: Vec<Operation>) {
    job.finish(operations, nylon_wire::Action::End);
}

#[test]
fn a_handler_decides_about_a_request() {
    run(async {
        let gateway = Gateway::start().await;
        let worker = worker(&gateway, REQUEST, |_| {}).await;
        serve(&worker, 1, |job| {
            let snapshot = job.snapshot().unwrap();
            if snapshot.header("authorization") == Some(b"Bearer t") {
                let (name, value) = ("X-User".into(), Bytes::copy_from_slice(snapshot.path().as_bytes()));
                return job.finish(vec![Operation::SetRequestHeader { name, value }], nylon_wire::Action::Next);
            }
            end(job, vec![Operation::SetResponseStatus(401), body("no")]);
        });
        let passed = filter(&gateway).await.unwrap();
        assert_eq!((passed.action, passed.operations.len()), (Action::Next, 1));
        let mut anonymous = exchange();
        anonymous.request.headers.remove("authorization");
        let refused = filter_with(&gateway, &Ask::default(), anonymous).await.unwrap();
        assert_eq!(
            (refused.action, refused.operations),
            (Action::End, vec![Operation::SetResponseStatus(401), body("no")])
        );
        gateway.assert_clean().await;
        assert_eq!(worker.stats().sessions, 0);
        assert_eq!(gateway.link.stats().opens.get(), 2);
    });
}

#[test]
fn a_thousand_sessions_keep_their_state_on_three_workers() {
    run(async {
        let gateway = Gateway::start().await;
        let mut workers = vec![];
        for _ in 0..3 {
            let worker = worker(&gateway, PhaseMask::ALL, |_| {}).await;
            serve(&worker, 2, |job| {
                let mut slot = job.session().unwrap().user().lock().unwrap();
                let mut seen = slot.take().map_or(0_u64, |seen| *seen.downcast::<u64>().unwrap());
                if job.phase() == Some(Phase::RequestFilter.into_wire()) {
                    seen = job.payload().map(|payload| std::str::from_utf8(payload).unwrap().parse().unwrap()).unwrap();
                }
                *slot = Some(Box::new(seen));
                drop(slot);
                let value = Bytes::from(seen.to_string());
                job.finish(vec![Operation::SetResponseHeader { name: "n".into(), value }], nylon_wire::Action::Next);
            });
            workers.push(worker);
        }
        let sessions = (0..1_000_u64).map(|number| {
            let plugin = gateway.plugin.clone();
            tokio::task::spawn_local(async move {
                let (mut session, mut exchange) = (nylon_plugin::Plugin::session(&plugin), exchange());
                exchange.response.body = ResponseBody::Full("x".into());
                for phase in [Phase::RequestFilter, Phase::ResponseFilter, Phase::ResponseBodyFilter] {
                    let ask = Ask { payload: Some(number.to_string().into()), ..Ask::phase(phase) };
                    let outcome = ask.of(&mut *session, &mut exchange).await.unwrap();
                    let value = Bytes::from(number.to_string());
                    assert_eq!(outcome.operations, [Operation::SetResponseHeader { name: "n".into(), value }]);
                }
                session.log(Ask::phase(Phase::Logging).call(&mut exchange));
            })
        });
        for session in sessions.collect::<Vec<_>>() {
            session.await.unwrap();
        }
        gateway.assert_clean().await;
        for worker in &workers {
            until("the worker's sessions to end", || worker.stats().sessions == 0).await;
        }
        assert_eq!(workers.iter().map(|worker| worker.stats().counts.results).sum::<u64>(), 4_000);
    });
}

#[test]
fn bodies_of_megabytes_go_both_ways() {
    run(async {
        let gateway = Gateway::start().await;
        let worker = worker(&gateway, PhaseMask(0b0101), |_| {}).await;
        serve(&worker, 1, |job| match job.phase().unwrap() {
            nylon_wire::Phase::RequestFilter => {
                let got = job.request_body(10 << 20).unwrap();
                end(job, vec![Operation::SetResponseStatus(200), body(got)]);
            }
            _ => {
                let got = job.response_body(10 << 20).unwrap();
                let upper: Vec<u8> = got.to_ascii_uppercase();
                job.finish(vec![body(upper)], nylon_wire::Action::Next);
            }
        });
        let sent: Bytes = (0..5_u32 << 20).map(|index| b'a' + (index % 23) as u8).collect();
        let mut session = gateway.session();
        let mut exchange = with_body(sent.clone());
        let answered = Ask::default().of(&mut *session, &mut exchange).await.unwrap();
        assert!(answered.operations[1] == body(sent.clone()));
        exchange.response.status = StatusCode::OK;
        exchange.response.body = ResponseBody::Full(sent.clone());
        let filtered = Ask::phase(Phase::ResponseBodyFilter).of(&mut *session, &mut exchange).await.unwrap();
        assert!(filtered.operations == [body(sent.to_ascii_uppercase())]);
        drop(session);
        gateway.assert_clean().await;
        assert_eq!(worker.stats().connects, 1);
        until("the worker's sessions to end", || worker.stats().sessions == 0).await;
    });
}

#[test]
fn a_body_beyond_the_limit_is_no_cut_body() {
    run(async {
        let gateway = Gateway::start().await;
        let worker = worker(&gateway, REQUEST, |_| {}).await;
        serve(&worker, 1, |job| {
            let error = job.request_body(1_000).unwrap_err();
            assert_eq!(error, FetchError::TooLarge(1_000));
            job.fail(failure::BODY_TOO_LARGE, error.to_string(), None);
        });
        let refused = filter_with(&gateway, &Ask::default(), with_body(vec![0; 200_000])).await.unwrap_err();
        assert_eq!(refused.kind, PluginErrorKind::RequestBodyTooLarge);
        gateway.assert_clean().await;
    });
}

#[test]
fn headers_and_payloads_of_any_size_arrive() {
    run(async {
        let gateway = Gateway::start().await;
        let worker = worker(&gateway, REQUEST, |_| {}).await;
        serve(&worker, 1, |job| {
            let length =
                job.snapshot().unwrap().header("x-large").map_or(0, <[u8]>::len) + job.payload().unwrap().len();
            let length = Bytes::from(length.to_string());
            job.finish(
                vec![Operation::SetResponseHeader { name: "n".into(), value: length }],
                nylon_wire::Action::Next,
            );
        });
        let mut exchange = exchange();
        exchange.request.headers.insert("x-large", "a".repeat(700_000).parse().unwrap());
        let ask = Ask { payload: Some(Bytes::from(vec![b' '; 800_000])), ..Ask::default() };
        let outcome = filter_with(&gateway, &ask, exchange).await.unwrap();
        assert_eq!(outcome.operations, [Operation::SetResponseHeader { name: "n".into(), value: "1500000".into() }]);
        gateway.assert_clean().await;
    });
}

#[test]
fn the_configuration_comes_with_the_first_request() {
    run(async {
        let gateway = Gateway::with(|options| {
            options.config = Some(Bytes::from_static(b"{\"key\":1}"));
            options.revision = Some(Revision { hash: Bytes::from_static(b"h1"), loaded_ms: 7 });
        })
        .await;
        let worker = worker(&gateway, REQUEST, |options| options.initialize = true).await;
        let configs = Arc::new(Mutex::new(vec![]));
        let seen = configs.clone();
        serve(&worker, 2, move |job| {
            if let JobKind::Initialize { config, revision } = job.kind() {
                seen.lock().unwrap().push((config.clone(), revision.clone().unwrap().loaded_ms));
            }
            pass(job);
        });
        let asked: Vec<_> = (0..20).map(|_| crate::gateway::spawn_filter(&gateway, Ask::default())).collect();
        for asked in asked {
            asked.await.unwrap().0.unwrap();
        }
        assert_eq!(*configs.lock().unwrap(), [(Bytes::from_static(b"{\"key\":1}"), 7)]);
        gateway.assert_clean().await;
    });
}

#[test]
fn a_plugin_that_only_logs_is_configured_as_well() {
    run(async {
        let gateway = Gateway::with(|options| {
            options.config = Some(Bytes::from_static(b"{}"));
            options.revision = Some(Revision { hash: Bytes::from_static(b"h1"), loaded_ms: 7 });
        })
        .await;
        let worker = worker(&gateway, PhaseMask(0b1000), |options| options.initialize = true).await;
        serve(&worker, 1, pass);
        for _ in 0..10 {
            gateway.session().log(Ask::phase(Phase::Logging).call(&mut exchange()));
        }
        until("all of them to be logged", || worker.stats().counts.results == 10).await;
        assert_eq!(worker.stats().counts.initialized, 1);
        gateway.assert_clean().await;
    });
}

/// The two crates have a type of their own for a phase.
trait IntoWire {
    fn into_wire(self) -> nylon_wire::Phase;
}

impl IntoWire for Phase {
    fn into_wire(self) -> nylon_wire::Phase {
        nylon_wire::Phase::from_number(self as u64).unwrap()
    }
}
