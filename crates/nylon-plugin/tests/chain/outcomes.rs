//! Every row of rules §6: what runs on which answer.

use futures_util::FutureExt as _;
use nylon_plugin::{OnError, Operation, PluginErrorKind};
use nylon_wire::Text;

use crate::support::*;

/// Three entries with all phases; the middle one is the one that matters.
fn world(middle: Script) -> World {
    World::new(vec![("a", Script::all()), ("b", middle), ("c", Script::all())])
}

fn links() -> Vec<nylon_plugin::Link> {
    vec![link(0), link(1), link(2)]
}

#[test]
fn upstream_answer_any_status_runs_all() {
    for (status, text) in [(200, "200"), (404, "404"), (500, "500")] {
        let (got, events) = served(world(Script::all()), links(), None, Upstream::Answers(status, &[], "hello"));
        assert_eq!((got.status, got.body.as_str()), (status, "hello"));
        let response = |name: &str| format!("{name} response({text})");
        let logging = |name: &str| format!("{name} logging({text})");
        assert_eq!(events[..3], ["a request(retry 1)", "b request(retry 1)", "c request(retry 1)"]);
        assert_eq!(events[3..6], [response("a"), response("b"), response("c")]);
        assert_eq!(events[6..9], ["a body(hello)", "b body(hello)", "c body(hello)"]);
        assert_eq!(events[9..], [logging("a"), logging("b"), logging("c")]);
    }
}

#[test]
fn early_end_by_an_entry_runs_all_that_entry_included() {
    let step = Step::End(vec![status(401), set("x-why", "no"), body("denied")]);
    let (got, events) = served(world(Script::all().on(RequestFilter, step)), links(), None, OK);
    assert_eq!(got, Got { status: 401, headers: vec!["x-why: no".to_owned()], body: "denied".to_owned() });
    assert_eq!(
        events,
        [
            "a request(retry 1)",
            "b request(retry 1)",
            "a response(401)",
            "b response(401)",
            "c response(401)",
            "a body(denied)",
            "b body(denied)",
            "c body(denied)",
            "a logging(401)",
            "b logging(401)",
            "c logging(401)",
        ]
    );
}

#[test]
fn plugin_service_answer_runs_the_chains_filters_not_its_own() {
    let service = Script::all().on(RequestFilter, Step::End(vec![body("made")]));
    let world = World::new(vec![("a", Script::all()), ("s", service)]);
    let (got, events) = served(world, vec![link(0)], Some(link(1)), OK);
    assert_eq!((got.status, got.body.as_str()), (200, "made"));
    assert_eq!(
        events,
        [
            "a request(retry 1)",
            "s request(retry 1)",
            "a response(200)",
            "a body(made)",
            "a logging(200)",
            "s logging(200)",
        ]
    );
}

#[test]
fn gateway_error_of_an_upstream_runs_all_response_filters_and_no_body_filter() {
    let (got, events) = served(world(Script::all()), links(), None, Upstream::Fails);
    assert_eq!((got.status, got.body.as_str()), (502, "UPSTREAM_UNREACHABLE"));
    assert_eq!(events[3..6], ["a response(502!)", "b response(502!)", "c response(502!)"]);
    assert_eq!(events[6..], ["a logging(502!)", "b logging(502!)", "c logging(502!)"]);
}

#[test]
fn gateway_error_of_a_policy_leaves_the_failed_entry_out_but_not_its_logging() {
    let step = Step::Fail(PluginErrorKind::Timeout);
    let (got, events) = served(world(Script::all().on(RequestFilter, step)), links(), None, OK);
    assert_eq!((got.status, got.body.as_str()), (504, "PLUGIN_TIMEOUT"));
    assert_eq!(
        events,
        [
            "a request(retry 1)",
            "b request(retry 1)",
            "a response(504!)",
            "c response(504!)",
            "a logging(504!)",
            "b logging(504!)",
            "c logging(504!)",
        ]
    );
}

#[test]
fn gateway_error_of_a_service_leaves_the_service_out_but_not_its_logging() {
    let service = Script::all().on(RequestFilter, Step::Fail(PluginErrorKind::Handler));
    let world = World::new(vec![("a", Script::all()), ("s", service)]);
    let (got, events) = served(world, vec![link(0)], Some(link(1)), OK);
    assert_eq!((got.status, got.body.as_str()), (500, "PLUGIN_ERROR"));
    assert_eq!(events[2..], ["a response(500!)", "a logging(500!)", "s logging(500!)"]);
}

#[test]
fn gateway_error_of_a_response_filter_is_seen_by_all_others_also_those_that_saw_the_answer() {
    let middle = Script::all().on(ResponseFilter, Step::Fail(PluginErrorKind::Handler));
    let links = vec![link(0), link_on_error(1, OnError::Fail), link(2)];
    let (got, events) = served(world(middle), links, None, OK);
    assert_eq!((got.status, got.body.as_str()), (500, "PLUGIN_ERROR"));
    assert_eq!(events[3..5], ["a response(200)", "b response(200)"]);
    assert_eq!(events[5..7], ["a response(500!)", "c response(500!)"]);
    assert_eq!(events[7..], ["a logging(500!)", "b logging(500!)", "c logging(500!)"]);
}

#[test]
fn gateway_error_of_a_body_filter_is_seen_by_the_other_response_filters() {
    let middle = Script::all().on(ResponseBodyFilter, Step::Fail(PluginErrorKind::Handler));
    let (got, events) = served(world(middle), links(), None, OK);
    assert_eq!((got.status, got.body.as_str()), (502, "PLUGIN_ERROR"));
    assert_eq!(events[6..8], ["a body(hello)", "b body(hello)"]);
    assert_eq!(events[8..10], ["a response(502!)", "c response(502!)"]);
    assert_eq!(events[10..], ["a logging(502!)", "b logging(502!)", "c logging(502!)"]);
}

#[test]
fn gateway_error_of_a_body_that_cannot_be_filtered_leaves_that_entry_out() {
    let links = vec![link(0), link_on_error(1, OnError::Fail), link_on_error(2, OnError::Continue)];
    let first = Script::new(&[RequestFilter, ResponseFilter]);
    let world = World::new(vec![("a", first), ("b", Script::all()), ("c", Script::all())]);
    let (got, events) = served(world, links, None, Upstream::Answers(200, &[("content-encoding", "br")], "hello"));
    assert_eq!((got.status, got.body.as_str()), (502, "PLUGIN_ERROR"));
    assert_eq!(events[6..8], ["a response(502!)", "c response(502!)"]);
    assert_eq!(events[8..], ["a close", "b logging(502!)", "c logging(502!)"]);
}

#[test]
fn the_failed_entry_is_not_counted_as_failing_again() {
    let world = world(Script::all().on(RequestFilter, Step::Fail(PluginErrorKind::Timeout)));
    let (run, watch) = world.run(vec![link(0), link_on_error(1, OnError::Fail), link(2)], None);
    serve(run, &mut exchange(), OK).now_or_never().unwrap().unwrap();
    let metrics = &watch.entries[1].metrics;
    assert_eq!((metrics.failures(PluginErrorKind::Timeout), metrics.continued()), (1, 0));
}

#[test]
fn failure_while_an_error_answer_is_made_is_logged_and_the_first_error_stands() {
    for on_error in [OnError::Fail, OnError::Continue] {
        let a = Script::all().on(RequestFilter, Step::Fail(PluginErrorKind::Unavailable));
        let b = Script::all().on(ResponseFilter, Step::Fail(PluginErrorKind::Handler));
        let world = World::new(vec![("a", a), ("b", b), ("c", Script::all())]);
        let links = vec![link(0), link_on_error(1, on_error), link(2)];
        let (got, events) = served(world, links, None, OK);
        assert_eq!((got.status, got.body.as_str()), (503, "PLUGIN_UNAVAILABLE"));
        assert_eq!(events[1..3], ["b response(503!)", "c response(503!)"]);
        assert_eq!(events[3..], ["a logging(503!)", "b logging(503!)", "c logging(503!)"]);
    }
}

#[test]
fn client_gone_while_a_plugin_reads_its_body_runs_logging_only_whatever_the_policy() {
    for on_error in [OnError::Fail, OnError::Continue] {
        let middle = Script::all().on(RequestFilter, Step::Fail(PluginErrorKind::ClientGone));
        let (run, watch) = world(middle).run(vec![link(0), link_on_error(1, on_error), link(2)], None);
        let mut exchange = exchange();
        let got = serve(run, &mut exchange, OK).now_or_never().unwrap();
        assert_eq!(got.unwrap_err(), "running the request_filter of b: client_gone: scripted");
        assert_eq!(exchange.error.as_deref(), Some("the client left"));
        assert_eq!(watch.events()[2..], ["a logging(200!)", "b logging(200!)", "c logging(200!)"]);
        assert_eq!(watch.entries[1].metrics.continued(), 0);
    }
}

#[test]
fn client_gone_while_a_phase_runs_cancels_it_and_runs_logging() {
    let middle = Script::all().on(RequestFilter, Step::Hang);
    let (mut run, watch) = world(middle).run(links(), None);
    let mut exchange = exchange();
    assert!(run.request_filters(&mut exchange).now_or_never().is_none());
    run.client_gone(&mut exchange, "the client left");
    assert_eq!(watch.events()[2..], ["a logging(200!)", "b logging(200!)", "c logging(200!)"]);
    assert!(watch.is_idle());
}

#[test]
fn client_gone_closes_sessions_that_do_not_log() {
    let middle = Script::new(&[RequestFilter, ResponseFilter]).announce(&[RequestFilter, ResponseFilter]);
    let hanging = middle.clone().on(RequestFilter, Step::Hang);
    for (script, expected) in [(middle, "b close(client gone)"), (hanging, "b close(client gone)")] {
        let (mut run, watch) = World::new(vec![("b", script)]).run(vec![link(0)], None);
        let mut exchange = exchange();
        let _ = run.request_filters(&mut exchange).now_or_never();
        run.client_gone(&mut exchange, "the client left");
        assert_eq!(watch.events()[1..], [expected]);
        assert!(watch.is_idle());
    }
}

#[test]
fn headers_of_request_filters_are_on_an_error_answer_that_takes_the_place_of_another() {
    let cors = || {
        let add = Operation::AddResponseHeader { name: Text::from_static("x-cors"), value: "1".into() };
        Script::new(&[RequestFilter]).on(RequestFilter, Step::Next(vec![add]))
    };
    let fails = |phase| Script::new(&[phase]).on(phase, Step::Fail(PluginErrorKind::Handler));
    let ends = || Script::new(&[RequestFilter]).on(RequestFilter, Step::End(vec![set("x-made", "1")]));
    let streams =
        || Script::new(&[RequestFilter]).on(RequestFilter, Step::Stream(vec![set("x-made", "1")], "streamed"));
    let passes = || Script::new(&[ResponseFilter, ResponseBodyFilter]);
    let served = |filter, last, service: bool| {
        let world = World::new(vec![("a", cors()), ("b", filter), ("c", last)]);
        let mut links = vec![link(0), link_on_error(1, OnError::Fail), link(2)];
        let service = service.then(|| links.pop()).flatten();
        served(world, links, service, OK).0
    };
    for (phase, status) in [(ResponseFilter, 500), (ResponseBodyFilter, 502)] {
        let got = served(fails(phase), cors(), false);
        assert_eq!(
            (got.status, &got.headers[..]),
            (status, &["x-cors: 1", "x-cors: 1"].map(str::to_owned)[..]),
            "{phase:?}"
        );
    }
    for (last, service) in [(ends(), false), (streams(), false), (ends(), true), (streams(), true)] {
        let got = served(fails(ResponseFilter), last.clone(), service);
        let alone = &["x-cors: 1".to_owned()][..];
        assert_eq!((got.status, &got.headers[..]), (500, alone), "what described the other answer is not");
        let got = served(passes(), last, service);
        assert_eq!((got.status, &got.headers[..]), (200, &["x-cors: 1", "x-made: 1"].map(str::to_owned)[..]));
    }
}
