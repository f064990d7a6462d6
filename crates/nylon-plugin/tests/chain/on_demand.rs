//! Entries that cannot say which phases they have: the answer's body is theirs if they touch it (rules §5).

use http::HeaderMap;
use nylon_plugin::{BodyMode, OnError, PhaseMask, PluginErrorKind, Run};

use crate::support::{
    OK, ResponseBodyFilter, ResponseFilter, Script, Step, Upstream, World, body, exchange, link, link_on_error, served,
};

fn silent() -> Script {
    Script { mask: None, mode: BodyMode::OnDemand, ..Script::all() }
}

fn sets_body() -> Script {
    silent().on(ResponseBodyFilter, Step::Next(vec![body("other")]))
}

/// A run of one link whose request filter has run.
fn begun(script: Script) -> Run {
    let (mut run, _) = World::new(vec![("a", script)]).run(vec![link(0)], None);
    futures_util::FutureExt::now_or_never(run.request_filters(&mut exchange())).unwrap().unwrap();
    run
}

#[test]
fn a_body_that_is_not_touched_keeps_what_describes_it() {
    let (got, events) = served(World::new(vec![("a", silent())]), vec![link(0)], None, OK);
    assert_eq!((got.body.as_str(), &got.headers[..]), ("hello", &["etag: 1".to_owned()][..]));
    assert_eq!(events, ["a request(retry 1)", "a response(200)", "a body(…)", "a logging(200)"]);
}

#[test]
fn a_body_that_is_set_loses_it() {
    let (got, _) = served(World::new(vec![("a", silent()), ("b", sets_body())]), vec![link(0), link(1)], None, OK);
    assert_eq!((got.body.as_str(), got.headers.len()), ("other", 0));
}

#[test]
fn nothing_is_asked_of_the_upstream_for_it() {
    let prepared = |script| {
        let mut headers = HeaderMap::new();
        headers.insert("range", "bytes=0-1".parse().unwrap());
        begun(script).prepare_upstream_request(&mut headers);
        headers.contains_key("range")
    };
    assert!(prepared(silent()));
    assert!(!prepared(Script { mode: BodyMode::Buffered, mask: Some(PhaseMask::ALL), ..silent() }));
}

#[test]
fn what_no_filter_could_have_passes() {
    for headers in [&[("content-encoding", "gzip")][..], &[("content-type", "text/event-stream")]] {
        let upstream = Upstream::Answers(200, headers, "hello");
        let (got, _) = served(World::new(vec![("a", silent())]), vec![link(0)], None, upstream);
        assert_eq!((got.status, got.body.as_str(), got.headers.len()), (200, "hello", 1));
    }
}

#[test]
fn behind_one_that_wants_all_of_it_the_body_is_whole() {
    let buffered = Script::new(&[ResponseBodyFilter]).on(ResponseBodyFilter, Step::Next(vec![body("more")]));
    let (got, events) = served(World::new(vec![("a", buffered), ("b", silent())]), vec![link(0), link(1)], None, OK);
    assert_eq!(got.body, "more");
    assert!(events.contains(&"b body(more)".to_owned()), "{events:?}");
}

#[test]
fn a_long_body_is_no_obstacle_that_is_not_read() {
    let short = Script { max_body: 2, ..silent() };
    let (got, _) = served(World::new(vec![("a", short)]), vec![link(0)], None, OK);
    assert_eq!((got.status, got.body.as_str()), (200, "hello"));
}

#[test]
fn a_body_too_long_for_another_is_still_offered() {
    let short = Script { max_body: 4, ..Script::new(&[ResponseBodyFilter]) };
    let links = vec![link_on_error(0, OnError::Continue), link(1)];
    let (got, _) = served(World::new(vec![("a", short), ("b", sets_body())]), links, None, OK);
    assert_eq!((got.status, got.body.as_str()), (200, "other"));
}

#[test]
fn a_session_that_has_failed_keeps_its_body_back() {
    let fails = || silent().on(ResponseFilter, Step::Fail(PluginErrorKind::Handler));
    let (got, _) = served(World::new(vec![("a", fails())]), vec![link(0)], None, OK);
    assert_eq!(got.status, 502, "it may have a body filter that fails closed");
    let lenient = vec![link_on_error(0, OnError::Continue)];
    let (got, _) = served(World::new(vec![("a", fails())]), lenient, None, OK);
    assert_eq!((got.status, got.body.as_str()), (200, "hello"));
}
