//! What entries read and answer.

use nylon_ffi::Executor;
use nylon_plugin::Phase;

use crate::support::{Options, calm, exchange, library, options, run, serve};

#[tokio::test(flavor = "local")]
async fn everything_can_be_read() {
    let options = Options { payload: Some(r#"{"k":1}"#), ..options() };
    let mut exchange = exchange(&[("x-test", "value")], b"the body");
    let got = serve(run(&["report"], true, &options), &mut exchange, &[]).await;
    assert_eq!(got.status, 201);
    let lines: Vec<_> = got.text().lines().collect();
    assert_eq!(
        lines,
        [
            "200=the body",
            "201=value",
            "202=1",
            "203=https://a.test:8080/a/b?c=d",
            "204=/a/b",
            "205=c=d",
            r#"206={"name":"b\""}"#,
            "207=a.test",
            "208=127.0.0.1",
            "209=POST",
            "210=8",
            "211=1700000000000",
            r#"payload={"k":1}"#,
            "absent=",
        ]
    );
    assert_eq!(got.header("content-type"), "text/plain");
    assert_eq!(got.header("x-read-back"), "201", "what it has set is what it reads");
}

#[tokio::test(flavor = "local")]
async fn a_filter_lets_pass_or_ends() {
    for entry in ["auth", "inline"] {
        let mut good = exchange(&[("authorization", "Bearer secret")], b"");
        let got = serve(run(&[entry], false, &options()), &mut good, &["hello"]).await;
        assert_eq!((got.status, got.text()), (200, "hello"));
        assert_eq!(good.request.headers["x-auth-user"], "ada");
        let got = serve(run(&[entry], false, &options()), &mut exchange(&[], b""), &["hello"]).await;
        assert_eq!((got.status, got.text()), (401, "who are you?"));
    }
}

#[tokio::test(flavor = "local")]
async fn an_entry_that_occurs_twice_has_one_session() {
    for defines in [&["MASK"][..], &["MASK", "RUNS"]] {
        let library = library(defines);
        for executor in [Executor::Pool, Executor::Inline] {
            let options = Options { library, executor, ..options() };
            // Each has one phase only: behind its first place nothing else is left for the session.
            for (entry, untouched) in [("auth", true), ("response_only", true), ("body_watcher", false)] {
                let mut good = exchange(&[("authorization", "Bearer secret")], b"");
                let got = serve(run(&[entry, entry], false, &options), &mut good, &["hello"]).await;
                let expected = (200, "hello", untouched);
                assert_eq!((got.status, got.text(), got.untouched), expected, "{entry} {defines:?} {executor:?}");
            }
            calm(library).await;
        }
    }
}

#[tokio::test(flavor = "local")]
async fn the_mask_of_a_session_says_which_phases_it_has() {
    let options = Options { library: library(&["MASK"]), ..options() };
    let mut filtered = exchange(&[], b"");
    let got = serve(run(&["filter"], false, &options), &mut filtered, &["he", "llo"]).await;
    assert_eq!(got.text(), "hello+5");
    let run = run(&["response_only"], false, &options);
    let got = serve(run, &mut exchange(&[], b""), &["hello"]).await;
    assert_eq!((got.text(), got.header("etag")), ("hello", "1"));
    assert_eq!(Phase::ALL.len(), 4);
}

#[tokio::test(flavor = "local")]
async fn sessions_are_gone_when_their_logging_is_over() {
    let library = library(&[]);
    for _ in 0..50 {
        serve(run(&["phases", "auth"], false, &options()), &mut exchange(&[], b""), &[]).await;
    }
    calm(library).await;
}

#[tokio::test(flavor = "local")]
async fn several_messages_may_come_in_one_call() {
    let got = serve(run(&["bundle"], true, &options()), &mut exchange(&[], b""), &[]).await;
    assert_eq!((got.status, got.text()), (202, "hello"));
    for broken in ["cut_bundle", "nested_bundle"] {
        let got = serve(run(&[broken], true, &options()), &mut exchange(&[], b""), &[]).await;
        assert_eq!(got.status, 502, "{broken}");
    }
}

#[tokio::test(flavor = "local")]
async fn requests_of_one_thread_go_out_together_and_all_are_answered() {
    let one = async |good: bool| {
        let token = if good { "Bearer secret" } else { "Bearer guess" };
        serve(run(&["auth"], false, &options()), &mut exchange(&[("authorization", token)], b""), &["hello"])
            .await
            .status
    };
    let all = futures_util::future::join_all((0..64).map(|index| one(index % 3 > 0))).await;
    let expected: Vec<_> = (0..64).map(|index| if index % 3 > 0 { 200 } else { 401 }).collect();
    assert_eq!(all, expected);
}
