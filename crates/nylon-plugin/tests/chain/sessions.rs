//! Sessions: shared by links of the same entry, ended in every case, counted.

use bytes::Bytes;
use futures_util::FutureExt as _;
use nylon_plugin::{Link, Payload, Phase, PluginErrorKind};

use crate::support::*;

fn with_payload(payload: &'static str, link: Link) -> Link {
    Link { payload: Some(Payload::Constant(Bytes::from_static(payload.as_bytes()))), ..link }
}

#[test]
fn an_entry_that_occurs_twice_has_one_session_and_a_run_with_each_payload() {
    let world = World::new(vec![("a", Script::new(&[RequestFilter, ResponseFilter, Logging]))]);
    let links = vec![with_payload("1", link(0)), with_payload("2", link(0))];
    let (run, watch) = world.run(links, None);
    let mut exchange = exchange();
    serve(run, &mut exchange, OK).now_or_never().unwrap().unwrap();
    assert_eq!(
        watch.events(),
        ["a request(retry 1) 1", "a request(retry 1) 2", "a response(200) 1", "a response(200) 2", "a logging(200)"]
    );
    assert!(watch.is_idle());
}

#[test]
fn a_session_stays_open_while_its_entry_occurs_again() {
    let world = World::new(vec![("a", Script::new(&[RequestFilter])), ("b", Script::new(&[RequestFilter]))]);
    let (_, events) = served(world, vec![link(0), link(1), link(0)], None, OK);
    assert_eq!(events, ["a request(retry 1)", "b request(retry 1)", "b close", "a request(retry 1)", "a close"]);
}

#[test]
fn an_entry_in_the_chain_and_as_service_has_one_session() {
    let script = Script::new(&[RequestFilter, Logging]).on(RequestFilter, Step::Next(vec![body("x")]));
    let world = World::new(vec![("a", script)]);
    let (got, events) = served(world, vec![link(0)], Some(link(0)), OK);
    assert_eq!(got.body, "x");
    assert_eq!(events, ["a request(retry 1)", "a request(retry 1)", "a logging(200)"]);
}

#[test]
fn one_failure_fails_every_place_of_the_session() {
    let script = Script::all().on(RequestFilter, Step::Fail(PluginErrorKind::Lost));
    let (got, events) = served(World::new(vec![("a", script)]), vec![link(0), link(0)], None, OK);
    assert_eq!(got.status, 503);
    assert_eq!(events, ["a request(retry 1)", "a logging(503!)"]);
}

#[test]
fn a_run_that_is_dropped_gives_its_places_back() {
    let (mut run, watch) = World::new(vec![("a", Script::all())]).run(vec![link(0)], None);
    run.request_filters(&mut exchange()).now_or_never().unwrap().unwrap();
    assert!(!watch.is_idle());
    drop(run);
    assert!(watch.is_idle());
}

#[test]
fn an_empty_chain_does_nothing() {
    let (got, events) = served(World::new(Vec::new()), Vec::new(), None, OK);
    assert_eq!(got, Got { status: 200, headers: vec!["etag: 1".to_owned()], body: "hello".to_owned() });
    assert!(events.is_empty());
    assert!(nylon_plugin::Chain::default().is_empty());
}

#[test]
fn phases_and_times_are_counted() {
    let (run, watch) = World::new(vec![("a", Script::all())]).run(vec![link(0)], None);
    let mut exchange = exchange();
    serve(run, &mut exchange, OK).now_or_never().unwrap().unwrap();
    let metrics = &watch.entries[0].metrics;
    for phase in Phase::ALL {
        assert_eq!(metrics.phases(phase), 1, "{phase:?}");
    }
    assert_eq!((metrics.queue.sum_us(), metrics.handler.sum_us(), metrics.transport.sum_us()), (600, 900, 1_200));
    assert_eq!(metrics.handler.buckets()[2], 3, "three phases of 300 µs are between 250 and 500");
    assert_eq!(PluginErrorKind::ALL.iter().map(|&kind| metrics.failures(kind)).sum::<u64>(), 0);
}

#[test]
fn every_kind_of_failure_has_its_own_counter() {
    for kind in PluginErrorKind::ALL.into_iter().filter(|kind| *kind != PluginErrorKind::ClientGone) {
        let script = Script::all().on(RequestFilter, Step::Fail(kind));
        let (run, watch) = World::new(vec![("a", script)]).run(vec![link(0)], None);
        let mut exchange = exchange();
        serve(run, &mut exchange, OK).now_or_never().unwrap().unwrap();
        let counted: Vec<_> =
            PluginErrorKind::ALL.into_iter().filter(|&other| watch.entries[0].metrics.failures(other) > 0).collect();
        assert_eq!(counted, [kind]);
    }
}

#[test]
fn ignored_operations_are_counted() {
    let script = Script::all().on(ResponseFilter, Step::Next(vec![set("connection", "close"), set("te", "x")]));
    let (run, watch) = World::new(vec![("a", script)]).run(vec![link(0)], None);
    let mut exchange = exchange();
    let got = serve(run, &mut exchange, OK).now_or_never().unwrap().unwrap();
    assert_eq!(got.status, 200);
    assert_eq!(watch.entries[0].metrics.ignored(), 2);
}
