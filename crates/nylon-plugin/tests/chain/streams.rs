//! Streamed answers and filters that work piece by piece (rules §6).

use nylon_plugin::{BodyMode, OnError, PluginErrorKind};

use crate::support::{
    Logging, OK, RequestFilter, ResponseBodyFilter, ResponseFilter, Script, Step, Upstream, World, body, link,
    link_on_error, served, set, status,
};

/// Streams what it answers.
fn source() -> Script {
    Script::all().on(RequestFilter, Step::Stream(vec![status(203), set("x-a", "1")], "streamed"))
}

/// Filters piece by piece.
fn pieces() -> Script {
    let script = Script::new(&[ResponseBodyFilter, Logging]).on(ResponseBodyFilter, Step::Stream(Vec::new(), ""));
    Script { mode: BodyMode::Streaming, ..script }
}

/// Wants all of it.
fn buffered() -> Script {
    Script::new(&[ResponseFilter, ResponseBodyFilter, Logging])
        .on(ResponseBodyFilter, Step::Next(vec![body("buffered")]))
}

#[test]
fn what_runs_on_a_stream() {
    let world = World::new(vec![("a", source()), ("b", buffered()), ("c", pieces())]);
    let (got, events) = served(world, vec![link(0), link(1), link(2)], None, OK);
    assert_eq!((got.status, got.body.as_str(), &got.headers[..]), (203, "streamedc", &["x-a: 1".to_owned()][..]));
    // Its own filters do not see it; buffered ones do not; logging runs for all.
    // That c has no response filter shows when it is asked.
    let expected = [
        "a request(retry 1)",
        "b response(203)",
        "c response(203)",
        "c body(…)",
        "a logging(203)",
        "b logging(203)",
        "c logging(203)",
    ];
    assert_eq!(events, expected);
}

#[test]
fn a_service_streams() {
    let (got, events) = served(World::new(vec![("b", pieces()), ("a", source())]), vec![link(0)], Some(link(1)), OK);
    assert_eq!((got.status, got.body.as_str()), (203, "streamedb"));
    assert_eq!(events.last().unwrap(), "a logging(203)");
}

#[test]
fn filters_stand_one_behind_the_other() {
    let world = World::new(vec![("a", pieces()), ("b", pieces())]);
    let (got, _) = served(world, vec![link(0), link(1)], None, OK);
    assert_eq!((got.body.as_str(), got.headers.len()), ("helloab", 0), "the etag belongs to another body");
}

#[test]
fn a_body_that_somebody_needs_whole_is_given_to_all_in_their_order() {
    let whole = |order: &[usize]| {
        let world = World::new(vec![("a", pieces()), ("b", buffered())]);
        served(world, order.iter().map(|entry| link(*entry)).collect(), None, OK).0.body
    };
    assert_eq!(whole(&[0, 1]), "buffered");
    assert_eq!(whole(&[1, 0]), "buffereda");
}

#[test]
fn a_body_too_long_for_one_filter_is_streamed_through_the_others() {
    let short = || Script { max_body: 4, ..buffered() };
    let served = |on_error, order: [usize; 2]| {
        let world = World::new(vec![("a", short()), ("b", pieces())]);
        let links = [link_on_error(0, OnError::Continue), link_on_error(1, on_error)];
        served(world, order.map(|place| links[place].clone()).into(), None, OK)
    };
    for on_error in [OnError::Fail, OnError::Continue] {
        for order in [[0, 1], [1, 0]] {
            let (got, events) = served(on_error, order);
            assert_eq!((got.status, got.body.as_str()), (200, "hellob"), "{on_error:?} {order:?}");
            assert!(!events.iter().any(|event| event.starts_with("a body")), "{events:?}");
        }
    }
}

#[test]
fn what_is_filtered_piece_by_piece_has_no_limit() {
    let short = || Script { max_body: 4, ..pieces() };
    for order in [&[1][..], &[0, 1], &[1, 0]] {
        let world = World::new(vec![("a", buffered()), ("b", short())]);
        let (got, _) = served(world, order.iter().map(|entry| link(*entry)).collect(), None, OK);
        assert_eq!(got.status, 200, "{order:?}: {got:?}");
    }
}

#[test]
fn what_it_makes_is_limited_where_another_needs_it_whole() {
    let world = World::new(vec![("a", Script { max_body: 5, ..buffered() }), ("b", pieces())]);
    let (got, _) = served(world, vec![link(1), link(0)], None, OK);
    assert_eq!((got.status, got.body.as_str()), (502, "BODY_TOO_LARGE"));
}

#[test]
fn an_event_stream_is_for_filters_that_stream() {
    let events = || Upstream::Answers(200, &[("content-type", "text/event-stream")], "data");
    let (got, _) = served(World::new(vec![("a", pieces())]), vec![link(0)], None, events());
    assert_eq!((got.status, got.body.as_str()), (200, "dataa"));
    let (got, _) = served(World::new(vec![("a", pieces()), ("b", buffered())]), vec![link(0), link(1)], None, events());
    assert_eq!((got.status, got.body.as_str()), (502, "PLUGIN_ERROR"));
    let links = vec![link(0), link_on_error(1, OnError::Continue)];
    let (got, _) = served(World::new(vec![("a", pieces()), ("b", buffered())]), links, None, events());
    assert_eq!((got.status, got.body.as_str()), (200, "dataa"));
}

#[test]
fn an_encoded_or_partial_body_is_for_nobody() {
    for upstream in
        [|| Upstream::Answers(200, &[("content-encoding", "gzip")], "data"), || Upstream::Answers(206, &[], "data")]
    {
        let (got, _) = served(World::new(vec![("a", pieces())]), vec![link(0)], None, upstream());
        assert_eq!((got.status, got.body.as_str()), (502, "PLUGIN_ERROR"));
        let links = vec![link_on_error(0, OnError::Continue)];
        let (got, _) = served(World::new(vec![("a", pieces())]), links, None, upstream());
        assert_eq!(got.body, "data");
    }
}

#[test]
fn a_filter_that_does_not_open_fails_closed() {
    let broken = || pieces().on(ResponseBodyFilter, Step::Fail(PluginErrorKind::Unavailable));
    let (got, _) = served(World::new(vec![("a", broken())]), vec![link(0)], None, OK);
    assert_eq!((got.status, got.body.as_str()), (502, "PLUGIN_UNAVAILABLE"));
    let (got, _) = served(World::new(vec![("a", broken())]), vec![link_on_error(0, OnError::Continue)], None, OK);
    assert_eq!((got.status, got.body.as_str()), (200, "hello"));
}

#[test]
fn a_response_filter_has_nothing_to_stream() {
    let script = Script::new(&[ResponseFilter]).on(ResponseFilter, Step::Stream(Vec::new(), "x"));
    let (got, _) = served(World::new(vec![("a", script)]), vec![link_on_error(0, OnError::Fail)], None, OK);
    assert_eq!((got.status, got.body.as_str()), (502, "PLUGIN_PROTOCOL"));
}
