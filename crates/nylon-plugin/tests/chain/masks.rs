//! Rules §5: which phases an entry is asked for.

use nylon_plugin::{Link, PluginErrorKind};

use crate::support::*;

fn events(script: Script, link: Link) -> Vec<String> {
    served(World::new(vec![("a", script)]), vec![link], None, OK).1
}

/// The second entry of a chain whose first one ends the request.
fn events_after_early_end(script: Script, second: Link) -> Vec<String> {
    let first = Script::new(&[RequestFilter]).on(RequestFilter, Step::End(vec![status(401)]));
    let (got, events) = served(World::new(vec![("first", first), ("a", script)]), vec![link(0), second], None, OK);
    assert_eq!(got.status, 401);
    events.into_iter().filter(|event| event.starts_with("a ")).collect()
}

#[test]
fn unregistered_phases_cost_nothing() {
    assert_eq!(events(Script::new(&[RequestFilter]), link(0)), ["a request(retry 1)", "a close"]);
    assert_eq!(events(Script::new(&[RequestFilter, Logging]), link(0)), ["a request(retry 1)", "a logging(200)"]);
    assert_eq!(
        events(Script::new(&[ResponseFilter]), link(0)),
        ["a request(retry 1)", "a response(200)", "a close"],
        "only configuration skips a request filter"
    );
}

#[test]
fn a_session_with_nothing_left_gives_its_place_back_before_the_upstream_is_asked() {
    let unregistered = (Script::new(&[RequestFilter]), link(0));
    let unconfigured = (Script::all(), link_phases(0, &[RequestFilter]));
    for (script, link) in [unregistered, unconfigured] {
        let (mut run, watch) = World::new(vec![("a", script)]).run(vec![link], None);
        let mut exchange = exchange();
        futures_util::FutureExt::now_or_never(run.request_filters(&mut exchange)).unwrap().unwrap();
        assert!(watch.is_idle());
        run.finish(&mut exchange);
    }
}

#[test]
fn an_announced_mask_never_skips_a_request_filter() {
    let script = Script::all().announce(&[Logging]);
    assert_eq!(events(script, link(0))[0], "a request(retry 1)");
}

#[test]
fn configured_phases_are_the_only_ones() {
    assert_eq!(events(Script::all(), link_phases(0, &[Logging])), ["a logging(200)"]);
    assert_eq!(
        events(Script::all(), link_phases(0, &[ResponseFilter])),
        ["a response(200)", "a close"],
        "the response filter opens the session"
    );
    assert_eq!(events(Script::all(), link_phases(0, &[RequestFilter])), ["a request(retry 1)", "a close"],);
}

#[test]
fn configured_body_filter_opens_its_session_with_the_body() {
    let (run, watch) = World::new(vec![("a", Script::all())]).run(vec![link_phases(0, &[ResponseBodyFilter])], None);
    assert!(run.wants_body(), "known before the upstream is asked");
    let mut exchange = exchange();
    futures_util::FutureExt::now_or_never(serve(run, &mut exchange, OK)).unwrap().unwrap();
    assert_eq!(watch.events(), ["a body(hello)", "a close"]);
}

#[test]
fn after_an_early_end_an_entry_nobody_knows_is_opened() {
    assert_eq!(events_after_early_end(Script::all(), link(1)), ["a response(401)", "a body()", "a logging(401)"]);
    assert_eq!(
        events_after_early_end(Script::new(&[RequestFilter]), link(1)),
        ["a response(401)", "a close"],
        "its first answer says that nothing else is registered"
    );
}

#[test]
fn after_an_early_end_a_mask_that_all_live_workers_announce_saves_the_open() {
    let announced = |phases: &[nylon_plugin::Phase]| Script::new(phases).announce(phases);
    assert_eq!(events_after_early_end(announced(&[RequestFilter]), link(1)), [""; 0]);
    assert_eq!(events_after_early_end(announced(&[RequestFilter, Logging]), link(1)), ["a logging(401)"]);
    assert_eq!(
        events_after_early_end(announced(&[RequestFilter, ResponseBodyFilter]), link(1)),
        ["a body()", "a close"]
    );
}

#[test]
fn the_sessions_own_mask_wins_over_the_announced_one() {
    let script = Script::all().announce(&[RequestFilter]);
    assert_eq!(events(script, link(0)), ["a request(retry 1)", "a response(200)", "a body(hello)", "a logging(200)"]);
}

#[test]
fn an_entry_that_cannot_say_gets_all_phases() {
    let mut script = Script::all();
    script.mask = None;
    assert_eq!(events(script, link(0)), ["a request(retry 1)", "a response(200)", "a body(hello)", "a logging(200)"]);
}

#[test]
fn logging_of_a_session_that_never_answered_depends_on_what_is_known() {
    let script = |phases: &[nylon_plugin::Phase]| {
        Script::new(phases).on(RequestFilter, Step::Fail(PluginErrorKind::Unavailable))
    };
    let ended = |script| served(World::new(vec![("a", script)]), vec![link(0)], None, OK).1;
    assert_eq!(ended(script(&[RequestFilter]))[1..], ["a logging(503!)"], "unknown: asked");
    assert_eq!(ended(script(&[RequestFilter]).announce(&[RequestFilter]))[1..], ["a close"]);
}
