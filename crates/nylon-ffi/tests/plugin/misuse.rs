//! What breaks the ABI ends the phase, at once, and nothing else.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::HeaderValue;
use nylon_ffi::Executor;
use nylon_plugin::OnError;

use crate::support::{Options, calm, exchange, library, options, run, serve};

const BROKEN: [&str; 22] = [
    "unknown_method",
    "zero_method",
    "event_method",
    "rubbish_header",
    "empty_header",
    "bad_name",
    "bad_value",
    "bad_removal",
    "short_status",
    "low_status",
    "high_status",
    "data_without_head",
    "end_without_head",
    "send_without_socket",
    "join_without_socket",
    "broadcast_without_socket",
    "short_upgrade",
    "close_without_socket",
    "piece_of_no_filter",
    "null_payload",
    "huge_payload",
    "flood",
];

/// A library with threads of its own, and one that does everything within the calls, on either kind of thread.
fn everywhere() -> [Options; 3] {
    let runs = Options { library: library(&["RUNS"]), ..options() };
    [options(), runs.clone(), Options { executor: Executor::Inline, ..runs }]
}

#[tokio::test(flavor = "local")]
async fn in_a_request_filter_nothing_passes() {
    for options in everywhere() {
        for entry in BROKEN {
            let got = serve(run(&[entry], false, &options), &mut exchange(&[], b""), &["passed"]).await;
            assert_eq!((got.status, got.text()), (502, "PLUGIN_PROTOCOL"), "{entry}");
        }
        calm(options.library).await;
    }
}

#[tokio::test(flavor = "local")]
async fn a_handler_that_says_how_it_failed_is_believed() {
    for (entry, status, code) in [
        ("fails", 500, "PLUGIN_ERROR"),
        ("fails_protocol", 502, "PLUGIN_PROTOCOL"),
        ("fails_body", 502, "BODY_TOO_LARGE"),
        ("fails_badly", 502, "PLUGIN_PROTOCOL"),
    ] {
        let got = serve(run(&[entry], false, &options()), &mut exchange(&[], b""), &["passed"]).await;
        assert_eq!((got.status, got.text()), (status, code), "{entry}");
    }
    let lenient = Options { on_error: OnError::Continue, ..options() };
    let got = serve(run(&["fails"], false, &lenient), &mut exchange(&[], b""), &["passed"]).await;
    assert_eq!((got.status, got.text()), (200, "passed"));
    let got = serve(run(&["body:fails"], false, &options()), &mut exchange(&[], b""), &["passed"]).await;
    assert_eq!((got.status, got.text()), (502, "PLUGIN_ERROR"));
    calm(library(&[])).await;
}

#[tokio::test(flavor = "local")]
async fn in_a_body_filter_the_body_does_not_go_out() {
    for entry in BROKEN {
        // Headers and status come too late there, which is no failure.
        if ["low_status", "high_status", "bad_name", "bad_value", "bad_removal"].contains(&entry) {
            continue;
        }
        let name = format!("body:{entry}");
        for options in everywhere() {
            let got = serve(run(&[&name], false, &options), &mut exchange(&[], b""), &["passed"]).await;
            assert_eq!((got.status, got.text()), (502, "PLUGIN_PROTOCOL"), "{name}");
        }
    }
    for options in everywhere() {
        calm(options.library).await;
    }
}

#[tokio::test(flavor = "local")]
async fn in_the_logging_phase_it_ends_the_session() {
    for entry in BROKEN.iter().chain(&["never", "twice", "end", "stream", "upgrade"]) {
        let name = format!("logging:{entry}");
        let quick = Options { timeout: Duration::from_secs(2), ..options() };
        let got = serve(run(&[&name], false, &quick), &mut exchange(&[], b""), &["passed"]).await;
        assert_eq!((got.status, got.text()), (200, "passed"), "{name}");
    }
    calm(library(&[])).await;
}

#[tokio::test(flavor = "local")]
async fn who_does_not_answer_is_late_and_stays_so() {
    let quick = Options { timeout: Duration::from_millis(150), ..options() };
    for entry in ["never", "wrong_sid", "back_late", "hang_event", "hang_register"] {
        let began = Instant::now();
        let got = serve(run(&[entry], false, &quick), &mut exchange(&[], b""), &["passed"]).await;
        assert_eq!((got.status, got.text()), (504, "PLUGIN_TIMEOUT"), "{entry}");
        assert!(began.elapsed() < Duration::from_secs(5));
    }
    let got = serve(run(&["auth"], false, &options()), &mut exchange(&[], b""), &["passed"]).await;
    assert_eq!(got.status, 401, "threads that hang are replaced");
}

#[tokio::test(flavor = "local")]
async fn a_library_of_which_nothing_returns_is_not_asked_any_more() {
    let library = library(&["HANGS"]);
    let quick = Options { timeout: Duration::from_millis(50), library, ..options() };
    for count in 0.. {
        let got = serve(run(&["hang_event"], false, &quick), &mut exchange(&[], b""), &["passed"]).await;
        match (got.status, got.text()) {
            (504, "PLUGIN_TIMEOUT") => assert!(count < 200, "it is still asked"),
            last => {
                assert_eq!(last, (503, "PLUGIN_BUSY"));
                assert!(count > 30, "it was given up too soon");
                break;
            }
        }
    }
    assert_eq!(library.threads(), 64);
    let got = serve(run(&["auth"], false, &options()), &mut exchange(&[], b""), &["passed"]).await;
    assert_eq!(got.status, 401, "another library is not touched by that");
}

#[tokio::test(flavor = "local")]
async fn a_second_answer_counts_nothing() {
    for options in everywhere() {
        for entry in ["twice", "stray", "early", "null_buffer", "response:twice", "body:twice"] {
            let got = serve(run(&[entry], false, &options), &mut exchange(&[], b""), &["passed"]).await;
            assert_eq!((got.status, got.text()), (200, "passed"), "{entry}");
        }
        calm(options.library).await;
    }
}

#[tokio::test(flavor = "local")]
async fn an_entry_that_is_refused_is_an_error() {
    let got = serve(run(&["refused"], false, &options()), &mut exchange(&[], b""), &["passed"]).await;
    assert_eq!((got.status, got.text()), (500, "PLUGIN_ERROR"));
}

/// What a header's value lies in.
struct Memory {
    _held: Arc<()>,
}

impl AsRef<[u8]> for Memory {
    fn as_ref(&self) -> &[u8] {
        b"value"
    }
}

#[tokio::test(flavor = "local")]
async fn nothing_of_a_request_is_kept_for_a_handler_that_does_not_return() {
    for defines in [&[][..], &["ORIGINAL"]] {
        let options = Options { library: library(defines), ..options() };
        let memory = Arc::new(());
        let mut exchange = exchange(&[], b"");
        let value = HeaderValue::from_maybe_shared(Bytes::from_owner(Memory { _held: Arc::clone(&memory) })).unwrap();
        exchange.request.headers.insert("x-memory", value);
        let mut run = run(&["never"], false, &options);
        let waiting = run.request_filters(&mut exchange);
        assert!(tokio::time::timeout(Duration::from_millis(50), waiting).await.is_err());
        run.client_gone(&mut exchange, "the client left");
        drop(exchange);
        let until = Instant::now() + Duration::from_secs(60);
        while Arc::strong_count(&memory) > 1 {
            assert!(Instant::now() < until, "its head is kept");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        calm(options.library).await;
    }
}

#[tokio::test(flavor = "local")]
async fn a_client_that_leaves_ends_the_phase() {
    let mut exchange = exchange(&[], b"");
    let mut run = run(&["never"], false, &options());
    let waiting = run.request_filters(&mut exchange);
    assert!(tokio::time::timeout(Duration::from_millis(50), waiting).await.is_err());
    run.client_gone(&mut exchange, "the client left");
    calm(library(&[])).await;
}
