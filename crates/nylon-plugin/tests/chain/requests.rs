//! The request side: order, what a filter changes, early answers, services.

use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderValue, Method};
use nylon_plugin::{Flow, Link};

use crate::support::*;

#[test]
fn a_request_filter_changes_what_the_upstream_and_later_entries_see() {
    let script = Script::all().on(RequestFilter, Step::Next(vec![set_request("x-auth-user", "ann")]));
    let (mut run, _) = World::new(vec![("a", script)]).run(vec![link(0)], None);
    let mut exchange = exchange();
    exchange.request.headers.insert("x-auth-user", HeaderValue::from_static("root"));
    assert_eq!(run.request_filters(&mut exchange).now_or_never().unwrap().unwrap(), Flow::Continue);
    assert_eq!(exchange.request.headers.get_all("x-auth-user").iter().collect::<Vec<_>>(), ["ann"]);
}

#[test]
fn status_and_body_of_an_entry_that_says_next_count_when_a_later_one_ends() {
    let a =
        Script::new(&[RequestFilter]).on(RequestFilter, Step::Next(vec![status(418), body("tea"), set("x-a", "1")]));
    let b = Script::new(&[RequestFilter]).on(RequestFilter, Step::End(vec![set("x-b", "2")]));
    let (got, _) = served(World::new(vec![("a", a), ("b", b)]), vec![link(0), link(1)], None, OK);
    assert_eq!(got.status, 418);
    assert_eq!(got.headers, ["x-a: 1", "x-b: 2"]);
    assert_eq!(got.body, "tea");
}

#[test]
fn status_and_body_of_entries_that_say_next_do_not_touch_the_upstreams_answer() {
    let script =
        Script::new(&[RequestFilter]).on(RequestFilter, Step::Next(vec![status(418), body("tea"), set("x-a", "1")]));
    let (got, _) = served(World::new(vec![("a", script)]), vec![link(0)], None, Upstream::Answers(404, &[], "gone"));
    assert_eq!(got, Got { status: 404, headers: vec!["x-a: 1".to_owned()], body: "gone".to_owned() });
}

#[test]
fn response_filters_see_and_change_the_answer_in_order() {
    let a = Script::all().on(ResponseFilter, Step::Next(vec![status(201), set("etag", "2")]));
    let b = Script::all().on(ResponseFilter, Step::Next(vec![set("x-b", "1"), body("new")]));
    let (got, events) = served(World::new(vec![("a", a), ("b", b)]), vec![link(0), link(1)], None, OK);
    assert_eq!((got.status, got.body.as_str()), (201, "new"));
    assert_eq!(got.headers, ["x-b: 1"], "the etag is that of another body");
    assert_eq!(events[2..4], ["a response(200)", "b response(201)"]);
    assert_eq!(events[4..6], ["a body(new)", "b body(new)"]);
}

#[test]
fn headers_of_request_filters_come_before_response_filters() {
    let script = Script::new(&[RequestFilter, ResponseFilter])
        .on(RequestFilter, Step::Next(vec![set("x-a", "early")]))
        .on(ResponseFilter, Step::Next(vec![set("x-a", "late")]));
    let (got, _) = served(World::new(vec![("a", script)]), vec![link(0)], None, OK);
    assert_eq!(got.headers, ["etag: 1", "x-a: late"]);
}

#[test]
fn a_service_that_says_next_without_an_answer_is_502() {
    let script = Script::all().on(RequestFilter, Step::Next(vec![set("x-a", "1")]));
    let (run, watch) = World::new(vec![("s", script)]).run(Vec::new(), Some(link(0)));
    let mut run = run;
    let error = run.service(&mut exchange()).now_or_never().unwrap().unwrap_err();
    assert_eq!((error.status(), error.code().code()), (502, "PLUGIN_PROTOCOL"));
    assert!(error.to_string().contains("said next without an answer"), "{error}");
    run.finish(&mut exchange());
    assert_eq!(watch.events(), ["s request(retry 1)", "s logging(200)"]);
}

#[test]
fn a_service_that_sets_an_answer_need_not_say_end() {
    for operation in [status(204), body("made")] {
        let script = Script::all().on(RequestFilter, Step::Next(vec![operation]));
        let (got, _) = served(World::new(vec![("s", script)]), Vec::new(), Some(link(0)), OK);
        assert!(got.status == 204 || got.body == "made", "{got:?}");
    }
}

#[test]
fn a_status_set_in_the_chain_is_no_answer_of_the_service() {
    let a = Script::new(&[RequestFilter]).on(RequestFilter, Step::Next(vec![status(418)]));
    let world = World::new(vec![("a", a), ("s", Script::new(&[RequestFilter]))]);
    let (got, _) = served(world, vec![link(0)], Some(link(1)), OK);
    assert_eq!((got.status, got.body.as_str()), (502, "PLUGIN_PROTOCOL"));
}

#[test]
fn a_service_is_opened_twice_for_idempotent_methods_only() {
    let idempotent = ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"];
    for method in idempotent.into_iter().chain(["POST", "PATCH", "CONNECT", "PROPFIND"]) {
        let script = Script::new(&[RequestFilter]).on(RequestFilter, Step::End(Vec::new()));
        let world = World::new(vec![("a", Script::new(&[RequestFilter])), ("s", script)]);
        let (run, watch) = world.run(vec![link(0)], Some(link(1)));
        let mut exchange = exchange();
        exchange.request.method = Method::from_bytes(method.as_bytes()).unwrap();
        serve(run, &mut exchange, OK).now_or_never().unwrap().unwrap();
        let events = watch.events();
        assert_eq!(events[0], "a request(retry 1)", "middleware keeps its retry: {method}");
        let expected = if idempotent.contains(&method) { "s request(retry 1)" } else { "s request(retry 0)" };
        assert_eq!(events[2], expected, "{method}");
    }
}

#[test]
fn a_link_can_refuse_the_retry() {
    let link = Link { retry: 0, ..link(0) };
    let (_, events) = served(World::new(vec![("a", Script::new(&[RequestFilter]))]), vec![link], None, OK);
    assert_eq!(events[0], "a request(retry 0)");
}

#[test]
fn the_upstream_request_changes_only_for_a_body_filter() {
    let prepared = |script: Script| {
        let (mut run, _) = World::new(vec![("a", script)]).run(vec![link(0)], None);
        run.request_filters(&mut exchange()).now_or_never().unwrap().unwrap();
        let mut headers = HeaderMap::new();
        headers.append("accept-encoding", HeaderValue::from_static("gzip"));
        headers.append("accept-encoding", HeaderValue::from_static("br"));
        headers.append("range", HeaderValue::from_static("bytes=0-1"));
        headers.append("if-range", HeaderValue::from_static("1"));
        headers.append("if-none-match", HeaderValue::from_static("1"));
        run.prepare_upstream_request(&mut headers);
        headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect::<Vec<_>>()
    };
    assert_eq!(prepared(Script::all()), ["accept-encoding: identity", "if-none-match: 1"]);
    assert_eq!(prepared(Script::new(&[RequestFilter, ResponseFilter, Logging])).len(), 5);
}
