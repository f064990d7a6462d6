//! Which thread a library is called on, and what happens to one that keeps it.

use std::time::{Duration, Instant};

use nylon_ffi::{Executor, Library};

use crate::support::{Options, calm, exchange, library, options, run, serve};

/// Every test has a library of its own: one that has kept a thread is never called there again.
fn inline(define: &'static str) -> Options {
    Options { library: library(&["RUNS", define]), executor: Executor::Inline, ..options() }
}

fn this_thread() -> String {
    // The name is a link to `<process>/task/<thread>`.
    let link = std::fs::read_link("/proc/thread-self").unwrap();
    link.file_name().unwrap().to_str().unwrap().to_owned()
}

/// The thread that the entry ran on, as it says to the upstream.
async fn thread_of(entry: &str, options: &Options, body: &'static [u8]) -> String {
    let mut exchange = exchange(&[], body);
    let got = serve(run(&[entry], false, options), &mut exchange, &["passed"]).await;
    assert_eq!((got.status, got.text()), (200, "passed"));
    exchange.request.headers["x-thread"].to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "local")]
async fn inline_is_the_thread_that_serves() {
    let inline = inline("WHERE");
    assert_eq!(thread_of("thread", &inline, b"").await, this_thread());
    let pool = Options { executor: Executor::Pool, ..inline.clone() };
    assert_ne!(thread_of("thread", &pool, b"").await, this_thread());
    // It might ask for the body, which only this thread can read.
    assert_ne!(thread_of("thread", &inline, b"body").await, this_thread());
    let got = serve(run(&["body_twice"], false, &inline), &mut exchange(&[], b"body"), &["passed"]).await;
    assert_eq!(got.status, 200);
    // Nobody need fetch what is known to be nothing.
    for entry in ["body_twice", "piecewise"] {
        let got = serve(run(&[entry], false, &inline), &mut exchange(&[], b""), &["passed"]).await;
        assert_eq!(got.status, 200, "{entry}");
    }
    assert!(!inline.library.blocks());
    calm(inline.library).await;
}

#[tokio::test(flavor = "local")]
async fn every_phase_works_inline() {
    let inline = inline("PHASES");
    let got = serve(run(&["filter", "auth"], false, &inline), &mut exchange(&[], b""), &["hello"]).await;
    assert_eq!((got.status, got.text()), (401, "who are you?+12"));
    assert_eq!(got.header("x-seen-status"), "401");
    let answered = exchange(&[("authorization", "Bearer secret")], b"");
    let got = serve(run(&["filter", "auth"], false, &inline), &mut { answered }, &["hel", "lo"]).await;
    assert_eq!((got.status, got.text()), (200, "hello+5"));
    assert_eq!(got.header("x-seen-upstream"), "yes");
    calm(inline.library).await;
}

#[tokio::test(flavor = "local")]
async fn a_stream_that_is_too_fast_does_not_wait_for_its_own_thread() {
    let began = Instant::now();
    let inline = inline("STREAMS");
    let got = serve(run(&["fast_stream"], true, &inline), &mut exchange(&[], b""), &[]).await;
    assert!(got.body.is_err(), "what does not fit in memory is cut");
    assert!(began.elapsed() < Duration::from_secs(30), "writes have not waited");
    calm(inline.library).await;
}

async fn moved(library: &Library) {
    let until = Instant::now() + Duration::from_secs(30);
    while !library.blocks() {
        assert!(Instant::now() < until, "it is still called inline");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(flavor = "local")]
async fn a_library_that_keeps_the_thread_is_never_called_there_again() {
    let inline = inline("KEEPS");
    assert_eq!(thread_of("thread_slow", &inline, b"").await, this_thread());
    moved(inline.library).await;
    assert_ne!(thread_of("thread", &inline, b"").await, this_thread());
    calm(inline.library).await;
}

#[tokio::test(flavor = "local")]
async fn a_handler_that_listens_lets_the_thread_go_at_its_deadline() {
    let inline = Options { timeout: Duration::from_millis(300), ..inline("LISTENS") };
    let got = serve(run(&["until_closed"], false, &inline), &mut exchange(&[], b""), &["passed"]).await;
    assert_eq!((got.status, got.text()), (504, "PLUGIN_TIMEOUT"));
    assert!(inline.library.blocks());
    calm(inline.library).await;
}

#[tokio::test(flavor = "local")]
async fn a_phase_that_has_failed_lets_the_thread_go_though_it_reads_on() {
    let began = Instant::now();
    let inline = Options { timeout: Duration::from_secs(60), ..inline("READS") };
    let got = serve(run(&["fails_reads_431"], false, &inline), &mut exchange(&[], b""), &["passed"]).await;
    assert_eq!((got.status, got.text()), (502, "PLUGIN_PROTOCOL"));
    assert!(began.elapsed() < inline.timeout / 2, "it has waited for its deadline");
    calm(inline.library).await;
}

#[tokio::test(flavor = "local")]
async fn a_late_answer_is_no_answer() {
    let inline = Options { timeout: Duration::from_millis(50), ..inline("LATE") };
    let got = serve(run(&["thread_slow"], false, &inline), &mut exchange(&[], b""), &["passed"]).await;
    assert_eq!((got.status, got.text()), (504, "PLUGIN_TIMEOUT"));
    calm(inline.library).await;
}

#[tokio::test(flavor = "local")]
async fn a_handler_within_the_call_hears_that_its_client_has_left() {
    let runs = Options { library: library(&["RUNS", "LEFT"]), ..options() };
    let mut exchange = exchange(&[], b"");
    let mut run = run(&["until_closed"], false, &runs);
    let waiting = run.request_filters(&mut exchange);
    assert!(tokio::time::timeout(Duration::from_millis(50), waiting).await.is_err());
    run.client_gone(&mut exchange, "the client left");
    // Its thread is free for others; without that there would be a new one for each.
    for _ in 0..100 {
        assert_eq!(serve(self::run(&["auth"], false, &runs), &mut self::exchange(&[], b""), &[]).await.status, 401);
    }
    calm(runs.library).await;
    assert!(runs.library.threads() < 10);
}
