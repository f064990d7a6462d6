//! Every row of rules §7 that a plugin can cause × phase × policy.

use nylon_plugin::{OnError, Phase, PluginErrorKind};

use crate::support::*;

/// What a client gets and what the policy `continue` gives instead.
struct Row {
    kind: PluginErrorKind,
    status: u16,
    code: &'static str,
    retry_after: bool,
}

const fn row(kind: PluginErrorKind, status: u16, code: &'static str, retry_after: bool) -> Row {
    Row { kind, status, code, retry_after }
}

/// Fails in each phase under each policy.
fn check(row: &Row) {
    for phase in [RequestFilter, ResponseFilter, ResponseBodyFilter] {
        fails(row, phase);
        goes_on(row, phase);
    }
    logging_never_matters(row);
}

fn world(row: &Row, phase: Phase) -> World {
    let script = Script::all().on(phase, Step::Fail(row.kind));
    World::new(vec![("a", script), ("b", Script::all())])
}

fn fails(row: &Row, phase: Phase) {
    let (got, events) = served(world(row, phase), vec![link_on_error(0, OnError::Fail), link(1)], None, OK);
    let body_filter = phase == ResponseBodyFilter;
    assert_eq!(got.status, if body_filter { 502 } else { row.status }, "{phase:?}");
    assert_eq!(got.body, row.code);
    let retry_after = row.retry_after && !body_filter;
    assert_eq!(got.headers, if retry_after { vec!["retry-after: 1".to_owned()] } else { Vec::new() });
    assert!(events.contains(&format!("a logging({}!)", got.status)), "the failed entry logs");
}

fn goes_on(row: &Row, phase: Phase) {
    let links = vec![link_on_error(0, OnError::Continue), link(1)];
    let (run, watch) = world(row, phase).run(links, None);
    let mut exchange = exchange();
    let got = futures_util::FutureExt::now_or_never(serve(run, &mut exchange, OK)).unwrap().unwrap();
    assert_eq!((got.status, got.body.as_str()), (200, "hello"), "{phase:?}");
    let events = watch.events();
    assert!(events.contains(&"b request(retry 1)".to_owned()) && events.contains(&"b body(hello)".to_owned()));
    assert!(events.contains(&"a logging(200)".to_owned()), "the failed entry logs");
    let metrics = &watch.entries[0].metrics;
    assert_eq!((metrics.failures(row.kind), metrics.continued()), (1, 1));
}

fn logging_never_matters(row: &Row) {
    for on_error in [OnError::Fail, OnError::Continue] {
        let (got, _) = served(world(row, Logging), vec![link_on_error(0, on_error), link(1)], None, OK);
        assert_eq!((got.status, got.body.as_str()), (200, "hello"));
    }
}

#[test]
fn no_worker_or_nats_down_is_503_plugin_unavailable() {
    check(&row(PluginErrorKind::Unavailable, 503, "PLUGIN_UNAVAILABLE", true));
}

#[test]
fn not_accepted_or_handler_over_its_deadline_is_504_plugin_timeout() {
    check(&row(PluginErrorKind::Timeout, 504, "PLUGIN_TIMEOUT", false));
}

#[test]
fn worker_lost_after_accepting_is_503_plugin_lost() {
    check(&row(PluginErrorKind::Lost, 503, "PLUGIN_LOST", true));
}

#[test]
fn handler_raised_is_500_plugin_error() {
    check(&row(PluginErrorKind::Handler, 500, "PLUGIN_ERROR", false));
}

#[test]
fn frame_not_understood_is_502_plugin_protocol() {
    check(&row(PluginErrorKind::Protocol, 502, "PLUGIN_PROTOCOL", false));
}

#[test]
fn every_worker_full_is_503_plugin_busy() {
    check(&row(PluginErrorKind::Busy, 503, "PLUGIN_BUSY", true));
}

#[test]
fn request_body_beyond_the_limit_is_413_body_too_large() {
    check(&row(PluginErrorKind::RequestBodyTooLarge, 413, "BODY_TOO_LARGE", false));
}

#[test]
fn upstream_broken_under_a_filter_is_502_upstream_error_whatever_the_policy() {
    let row = row(PluginErrorKind::UpstreamBroken, 502, "UPSTREAM_ERROR", false);
    fails(&row, ResponseBodyFilter);
    let links = vec![link_on_error(0, OnError::Continue), link(1)];
    let (got, _) = served(world(&row, ResponseBodyFilter), links, None, OK);
    assert_eq!((got.status, got.body.as_str()), (502, "UPSTREAM_ERROR"));
}

#[test]
fn illegal_operation_is_502_plugin_protocol_in_every_phase() {
    for phase in [RequestFilter, ResponseFilter, ResponseBodyFilter] {
        for operation in [set("a b", "1"), set("x-a", "1\r\nx-b: 2"), status(99)] {
            let script = || Script::all().on(phase, Step::Next(vec![set("x-before", "1"), operation.clone()]));
            let (got, _) = served(World::new(vec![("a", script())]), vec![link_on_error(0, OnError::Fail)], None, OK);
            assert_eq!((got.status, got.body.as_str()), (502, "PLUGIN_PROTOCOL"), "{phase:?}");
            let links = vec![link_on_error(0, OnError::Continue)];
            let (got, _) = served(World::new(vec![("a", script())]), links, None, OK);
            assert_eq!((got.status, got.body.as_str()), (200, "hello"));
            assert!(!got.headers.contains(&"x-before: 1".to_owned()), "half of a phase was applied");
        }
    }
}

#[test]
fn end_outside_the_request_filter_is_502_plugin_protocol() {
    for phase in [ResponseFilter, ResponseBodyFilter] {
        let world = World::new(vec![("a", Script::all().on(phase, Step::End(Vec::new())))]);
        let (got, _) = served(world, vec![link_on_error(0, OnError::Fail)], None, OK);
        assert_eq!((got.status, got.body.as_str()), (502, "PLUGIN_PROTOCOL"), "{phase:?}");
    }
}

#[test]
fn in_flight_limit_is_503_plugin_busy_and_nothing_is_opened() {
    let mut script = Script::all();
    script.in_flight = nylon_plugin::InFlight::new(1);
    let taken = script.in_flight.enter().unwrap();
    let world = World::new(vec![("a", script.clone())]);
    let (run, watch) = world.run(vec![link(0)], None);
    let mut exchange = exchange();
    let got = futures_util::FutureExt::now_or_never(serve(run, &mut exchange, OK)).unwrap().unwrap();
    assert_eq!((got.status, got.body.as_str()), (503, "PLUGIN_BUSY"));
    assert_eq!(got.headers, ["retry-after: 1"]);
    assert_eq!(watch.events(), ["a logging(503!)"], "only logging, which nobody waits for");
    assert_eq!(watch.entries[0].metrics.failures(PluginErrorKind::Busy), 1);
    drop(taken);
    let (got, _) = served(World::new(vec![("a", script)]), vec![link(0)], None, OK);
    assert_eq!(got.status, 200);
}

#[test]
fn a_plugin_service_that_fails_has_no_continue() {
    for on_error in [OnError::Fail, OnError::Continue] {
        let service = Script::all().on(RequestFilter, Step::Fail(PluginErrorKind::Timeout));
        let world = World::new(vec![("s", service)]);
        let (got, _) = served(world, Vec::new(), Some(link_on_error(0, on_error)), OK);
        assert_eq!((got.status, got.body.as_str()), (504, "PLUGIN_TIMEOUT"));
    }
}

#[test]
fn a_failed_session_is_not_asked_again_and_its_fail_policy_still_holds() {
    // The request filter may be missed, the redaction filter may not: nothing turns `fail` into a pass.
    let policy = nylon_plugin::Policy { request_filter: OnError::Continue, ..nylon_plugin::Policy::default() };
    let script = Script::all().on(RequestFilter, Step::Fail(PluginErrorKind::Lost));
    let world = World::new(vec![("a", script)]);
    let (got, events) = served(world, vec![nylon_plugin::Link { policy, ..link(0) }], None, OK);
    assert_eq!((got.status, got.body.as_str()), (502, "PLUGIN_LOST"));
    assert_eq!(events, ["a request(retry 1)", "a logging(502!)"]);
}

#[test]
fn a_failed_session_of_an_entry_known_to_have_no_body_filter_passes() {
    let policy = nylon_plugin::Policy { request_filter: OnError::Continue, ..nylon_plugin::Policy::default() };
    let fails = || Script::new(&[RequestFilter]).on(RequestFilter, Step::Fail(PluginErrorKind::Lost));
    let announced = World::new(vec![("a", fails().announce(&[RequestFilter]))]);
    let (got, _) = served(announced, vec![nylon_plugin::Link { policy, ..link(0) }], None, OK);
    assert_eq!(got.status, 200);
    let configured = World::new(vec![("a", fails())]);
    let link = nylon_plugin::Link { policy, ..link_phases(0, &[RequestFilter]) };
    let (got, _) = served(configured, vec![link], None, OK);
    assert_eq!(got.status, 200);
}
