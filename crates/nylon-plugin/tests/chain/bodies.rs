//! Response bodies under buffered body filters (rules §9).

use futures_util::FutureExt as _;
use http::Method;
use nylon_plugin::{BodyPlan, OnError, PluginErrorKind, ResponseBody};

use crate::support::*;

fn filter() -> Script {
    Script::new(&[ResponseBodyFilter]).on(ResponseBodyFilter, Step::Next(vec![body("filtered")]))
}

/// What the client gets through one filter with this policy.
fn through(script: Script, on_error: OnError, upstream: Upstream) -> Got {
    served(World::new(vec![("a", script)]), vec![link_on_error(0, on_error)], None, upstream).0
}

const DESCRIBED: &[(&str, &str)] = &[
    ("accept-ranges", "bytes"),
    ("content-digest", "sha-256=:x:"),
    ("content-length", "5"),
    ("content-md5", "x"),
    ("content-type", "text/plain"),
    ("digest", "x"),
    ("etag", "1"),
    ("last-modified", "x"),
    ("repr-digest", "x"),
];

#[test]
fn a_filtered_body_replaces_the_upstreams_and_what_described_it_goes() {
    let got = through(filter(), OnError::Fail, Upstream::Answers(200, DESCRIBED, "hello"));
    assert_eq!(got.body, "filtered");
    assert_eq!(got.headers, ["content-type: text/plain", "last-modified: x"]);
}

#[test]
fn without_a_body_filter_nothing_is_touched() {
    let script = Script::new(&[RequestFilter, ResponseFilter, Logging]);
    let got = through(script, OnError::Fail, Upstream::Answers(200, DESCRIBED, "hello"));
    assert_eq!((got.body.as_str(), got.headers.len()), ("hello", DESCRIBED.len()));
}

#[test]
fn filters_see_what_the_ones_before_made() {
    let world = World::new(vec![("a", filter()), ("b", Script::new(&[ResponseBodyFilter]))]);
    let (got, events) = served(world, vec![link(0), link(1)], None, OK);
    assert_eq!(got.body, "filtered");
    assert_eq!(events[2..4], ["a body(hello)", "b body(filtered)"]);
}

#[test]
fn an_empty_body_is_filtered_too() {
    let got = through(filter(), OnError::Fail, Upstream::Answers(200, &[], ""));
    assert_eq!(got.body, "filtered");
}

#[test]
fn head_204_and_304_are_not_filtered_and_lose_what_would_be_wrong() {
    for (method, status) in [(Method::HEAD, 200), (Method::GET, 204), (Method::GET, 304)] {
        let (run, watch) = World::new(vec![("a", filter())]).run(vec![link(0)], None);
        let mut exchange = exchange();
        exchange.request.method = method;
        let got = serve(run, &mut exchange, Upstream::Answers(status, DESCRIBED, "")).now_or_never().unwrap().unwrap();
        assert_eq!(got.headers, ["content-type: text/plain", "last-modified: x"]);
        assert_eq!(watch.events(), ["a request(retry 1)", "a close"]);
    }
}

#[test]
fn the_length_of_a_body_that_a_filter_would_change_is_not_known() {
    let plan = |script, method| {
        let (mut run, _) = World::new(vec![("a", script)]).run(vec![link(0)], None);
        let mut exchange = exchange();
        exchange.request.method = method;
        run.request_filters(&mut exchange).now_or_never().unwrap().unwrap();
        run.plan_body(&mut exchange).unwrap()
    };
    assert_eq!(plan(filter(), Method::HEAD), BodyPlan::Unknown);
    assert_eq!(plan(filter(), Method::GET), BodyPlan::Buffer { limit: 1_000 });
    assert_eq!(plan(Script::new(&[RequestFilter]), Method::HEAD), BodyPlan::Pass);
}

#[test]
fn a_head_answer_is_never_unfilterable() {
    let (run, _) = World::new(vec![("a", filter())]).run(vec![link(0)], None);
    let mut exchange = exchange();
    exchange.request.method = Method::HEAD;
    let upstream = Upstream::Answers(200, &[("content-encoding", "gzip")], "");
    assert_eq!(serve(run, &mut exchange, upstream).now_or_never().unwrap().unwrap().status, 200);
}

/// An answer that no filter can have: 502 under `fail`, untouched under `continue`.
fn unfilterable(status: u16, headers: &'static [(&'static str, &'static str)]) {
    let got = through(filter(), OnError::Fail, Upstream::Answers(status, headers, "hello"));
    assert_eq!((got.status, got.body.as_str()), (502, "PLUGIN_ERROR"), "{headers:?}");
    let got = through(filter(), OnError::Continue, Upstream::Answers(status, headers, "hello"));
    assert_eq!((got.status, got.body.as_str()), (status, "hello"), "{headers:?}");
    assert_eq!(got.headers.len(), headers.len(), "what passes unfiltered keeps its headers");
}

#[test]
fn an_encoded_body_is_a_policy_failure() {
    unfilterable(200, &[("content-encoding", "gzip"), ("etag", "1")]);
    unfilterable(200, &[("content-encoding", "identity"), ("content-encoding", "br")]);
    unfilterable(200, &[("content-encoding", "identity, gzip")]);
}

#[test]
fn a_partial_body_is_a_policy_failure() {
    unfilterable(206, &[("content-range", "bytes 0-4/10")]);
}

#[test]
fn an_event_stream_is_a_policy_failure() {
    unfilterable(200, &[("content-type", "text/event-stream")]);
    unfilterable(200, &[("content-type", "Text/Event-Stream; charset=utf-8")]);
}

#[test]
fn identity_is_no_encoding() {
    let got = through(filter(), OnError::Fail, Upstream::Answers(200, &[("content-encoding", "Identity")], "hello"));
    assert_eq!(got.body, "filtered");
}

#[test]
fn a_body_made_by_a_plugin_is_whole_whatever_its_type() {
    let stream = vec![body("data: 1\n\n"), set("content-type", "text/event-stream"), status(206)];
    let world = World::new(vec![
        ("a", filter().on(ResponseFilter, Step::Next(Vec::new()))),
        ("s", { Script::new(&[RequestFilter]).on(RequestFilter, Step::End(stream)) }),
    ]);
    let (got, _) = served(world, vec![link(0)], Some(link(1)), OK);
    assert_eq!((got.status, got.body.as_str()), (206, "filtered"));
}

#[test]
fn response_body_beyond_the_limit_is_502_body_too_large_or_passes() {
    let mut script = filter();
    script.max_body = 4;
    let got = through(script.clone(), OnError::Fail, OK);
    assert_eq!((got.status, got.body.as_str()), (502, "BODY_TOO_LARGE"));
    let got = through(script.clone(), OnError::Continue, OK);
    assert_eq!((got.status, got.body.as_str()), (200, "hello"));
    script.max_body = 5;
    assert_eq!(through(script, OnError::Fail, OK).body, "filtered");
}

#[test]
fn a_body_made_by_a_plugin_beyond_the_limit_is_refused_too() {
    let make = || Script::new(&[RequestFilter]).on(RequestFilter, Step::End(vec![body("made by a plugin")]));
    let mut small = filter();
    small.max_body = 4;
    for (on_error, expected) in
        [(OnError::Fail, (502, "BODY_TOO_LARGE")), (OnError::Continue, (200, "made by a plugin"))]
    {
        let world = World::new(vec![("a", small.clone()), ("s", make())]);
        let (got, _) = served(world, vec![link_on_error(0, on_error)], Some(link(1)), OK);
        assert_eq!((got.status, got.body.as_str()), expected);
    }
}

#[test]
fn limits_of_several_filters_apply_one_by_one() {
    let limited = |max_body| {
        let mut script = Script::new(&[ResponseBodyFilter]);
        script.max_body = max_body;
        script
    };
    let plan = |links| {
        let world = World::new(vec![("a", limited(4)), ("b", limited(10)), ("c", limited(20))]);
        let (mut run, _) = world.run(links, None);
        let mut exchange = exchange();
        run.request_filters(&mut exchange).now_or_never().unwrap().unwrap();
        run.plan_body(&mut exchange).unwrap()
    };
    let (fail, go_on) = (OnError::Fail, OnError::Continue);
    let links = |a, b, c| vec![link_on_error(0, a), link_on_error(1, b), link_on_error(2, c)];
    assert_eq!(plan(links(fail, fail, fail)), BodyPlan::Buffer { limit: 4 });
    assert_eq!(plan(links(go_on, fail, fail)), BodyPlan::Buffer { limit: 10 });
    assert_eq!(plan(links(go_on, go_on, go_on)), BodyPlan::Buffer { limit: 20 });

    let world = World::new(vec![("a", limited(4)), ("b", limited(10))]);
    let (got, events) = served(world, vec![link_on_error(0, go_on), link_on_error(1, fail)], None, OK);
    assert_eq!(got.body, "hello");
    assert_eq!(events[2..3], ["b body(hello)"], "the first one is left out, the second one is not");
}

#[test]
fn the_filter_whose_limit_the_body_exceeds_is_the_one_that_has_failed() {
    let limited = |max_body| Script { max_body, ..Script::new(&[ResponseFilter, ResponseBodyFilter]) };
    let links = || [link(0), link(1), link_on_error(2, OnError::Continue)];
    for order in [[0, 1, 2], [2, 1, 0]] {
        let world = World::new(vec![("a", limited(10)), ("b", limited(4)), ("c", limited(2))]);
        let links = order.map(|place| links()[place].clone()).into();
        let (got, events) = served(world, links, None, OK);
        assert_eq!((got.status, got.body.as_str()), (502, "BODY_TOO_LARGE"));
        let seen_error = |entry: &str| events.contains(&format!("{entry} response(502!)"));
        assert_eq!(["a", "b", "c"].map(seen_error), [true, false, true], "{events:?}");
    }
}

#[test]
fn an_error_answer_is_not_filtered() {
    let (run, watch) = World::new(vec![("a", filter())]).run(vec![link(0)], None);
    let mut run = run;
    let mut exchange = exchange();
    run.request_filters(&mut exchange).now_or_never().unwrap().unwrap();
    exchange.error = Some("UPSTREAM_TIMEOUT".to_owned());
    exchange.response.body = ResponseBody::Full("error".into());
    assert_eq!(run.plan_body(&mut exchange).unwrap(), BodyPlan::Pass);
    run.body_filters(&mut exchange).now_or_never().unwrap().unwrap();
    run.finish(&mut exchange);
    assert_eq!(watch.events(), ["a request(retry 1)", "a close"]);
}

#[test]
fn a_filter_that_fails_after_another_has_changed_the_body_gives_the_changed_one_under_continue() {
    let b = Script::new(&[ResponseBodyFilter]).on(ResponseBodyFilter, Step::Fail(PluginErrorKind::Handler));
    let world = World::new(vec![("a", filter()), ("b", b)]);
    let (got, _) = served(world, vec![link(0), link_on_error(1, OnError::Continue)], None, OK);
    assert_eq!((got.status, got.body.as_str()), (200, "filtered"));
}
