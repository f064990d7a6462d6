//! Bodies, of requests and of answers.

use std::{
    rc::Rc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use http::HeaderValue;
use nylon_ffi::Library;
use nylon_plugin::{
    BodyError, BodyPlan, BodyStream, Exchange, Flow, OnError, Piece, RequestBody, ResponseBody, Run, StreamError,
};

use crate::support::{Options, calm, exchange, library, options, parts, run, serve};

#[tokio::test(flavor = "local")]
async fn a_body_in_pieces_is_filtered_as_one() {
    let got = serve(run(&["filter"], false, &options()), &mut exchange(&[], b""), &["he", "l", "lo"]).await;
    assert_eq!(got.text(), "hello+5");
    assert_eq!(got.header("etag"), "", "it belongs to another body");
    let got = serve(run(&["filter", "phases"], false, &options()), &mut exchange(&[], b""), &[]).await;
    assert_eq!(got.text(), "+0");
}

#[tokio::test(flavor = "local")]
async fn a_body_that_nobody_reads_stays_where_it_is() {
    let got = serve(run(&["phases", "auth"], false, &options()), &mut exchange(&[], b""), &["hello"]).await;
    assert_eq!((got.status, got.untouched), (401, true));
    let mut good = exchange(&[("authorization", "Bearer secret")], b"");
    let got = serve(run(&["phases", "auth"], false, &options()), &mut good, &["hello"]).await;
    assert_eq!((got.text(), got.header("etag"), got.untouched), ("hello", "1", true));
}

#[tokio::test(flavor = "local")]
async fn a_body_beyond_the_limit_goes_by_the_policy() {
    let small = Options { max_body: 4, ..options() };
    let got = serve(run(&["filter"], false, &small), &mut exchange(&[], b""), &["he", "llo"]).await;
    assert_eq!((got.status, got.text()), (502, "BODY_TOO_LARGE"));
    let lenient = Options { on_error: OnError::Continue, ..small.clone() };
    let got = serve(run(&["filter"], false, &lenient), &mut exchange(&[], b""), &["he", "llo"]).await;
    assert_eq!((got.status, got.text()), (200, "hello"), "nothing of it is lost");
    let got = serve(run(&["body_twice"], false, &small), &mut exchange(&[], b"12345"), &[]).await;
    assert_eq!((got.status, got.text()), (413, "BODY_TOO_LARGE"));
}

#[tokio::test(flavor = "local")]
async fn a_request_body_is_read_once_and_answered_twice() {
    // Also by one that reads on the thread that tells it to begin.
    for entry in ["body_twice", "inline_body"] {
        let mut read = exchange(&[], b"some body");
        serve(run(&[entry], false, &options()), &mut read, &[]).await;
        assert_eq!(read.request.headers["x-body"], "same", "{entry}");
    }
}

#[tokio::test(flavor = "local")]
async fn reads_behind_one_that_waits_for_the_body_are_answered_in_order() {
    for body in [&b""[..], b"some body"] {
        let mut read = exchange(&[], body);
        serve(run(&["ordered"], false, &options()), &mut read, &[]).await;
        assert_eq!(read.request.headers["x-order"], "200 204 200 209 ");
    }
}

#[tokio::test(flavor = "local")]
async fn a_body_that_is_read_and_left_stays_as_it_is() {
    let got = serve(run(&["body_watcher"], false, &options()), &mut exchange(&[], b""), &["he", "llo"]).await;
    assert_eq!((got.status, got.text()), (200, "hello"));
}

#[tokio::test(flavor = "local")]
async fn an_encoded_body_is_a_failure_for_those_only_that_read_it() {
    for (entry, status) in [("phases", 200), ("body_reader", 200), ("body_watcher", 502), ("filter", 502)] {
        let mut encoded = exchange(&[], b"");
        encoded
            .early
            .headers
            .push(nylon_plugin::HeaderChange::Set(http::header::CONTENT_ENCODING, HeaderValue::from_static("gzip")));
        let got = serve(run(&[entry], false, &options()), &mut encoded, &["hello"]).await;
        assert_eq!(got.status, status, "{entry}");
    }
}

/// Takes an exchange through everything before the body filters, and waits until the library has done something wrong.
async fn until_it_misbehaves(run: &mut Run, exchange: &mut Exchange, library: &Library) {
    let before = library.complaints();
    assert_eq!(run.request_filters(exchange).await.unwrap(), Flow::Continue);
    exchange.response.body = ResponseBody::Service;
    run.response_filters(exchange).await.unwrap();
    let until = Instant::now() + Duration::from_secs(60);
    while library.complaints() == before {
        assert!(Instant::now() < until, "it has done nothing wrong");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(run.plan_body(exchange).unwrap(), BodyPlan::Offer);
}

#[tokio::test(flavor = "local")]
async fn the_body_filter_begins_behind_a_response_filter_that_changes_nothing() {
    for defines in [&["AHEAD"][..], &["AHEAD", "GO"]] {
        let options = Options { library: library(defines), ..options() };
        let (chain, entries) = parts(&["body:unknown_method"], false, &options);
        // The first shows that it says `next` once.
        let got = serve(Run::new(Rc::clone(&chain), Rc::clone(&entries)), &mut exchange(&[], b""), &["passed"]).await;
        assert_eq!(got.status, 502);
        calm(options.library).await;
        let mut run = Run::new(chain, entries);
        let mut exchange = exchange(&[], b"");
        // Nobody has asked for the body filter; what it does wrong is seen.
        until_it_misbehaves(&mut run, &mut exchange, options.library).await;
        assert!(run.stream_filters(&mut exchange).await.is_err());
        run.finish(&mut exchange);
        calm(options.library).await;
    }
}

#[tokio::test(flavor = "local")]
async fn a_second_next_of_a_response_filter_leaves_the_body_filter_alone() {
    let options = Options { library: library(&["HASTY", "GO"]), ..options() };
    let (chain, entries) = parts(&["hasty"], false, &options);
    // Nothing is known of the entry at first; then what it does is.
    for session in 1..=3 {
        let mut run = Run::new(Rc::clone(&chain), Rc::clone(&entries));
        let mut exchange = exchange(&[], b"hello");
        until_it_misbehaves(&mut run, &mut exchange, options.library).await;
        exchange.response.body = ResponseBody::Full(Bytes::from_static(b"passed"));
        run.stream_filters(&mut exchange).await.unwrap();
        assert_eq!(exchange.response.body.full().unwrap(), "filtered", "session {session}");
        run.finish(&mut exchange);
        calm(options.library).await;
    }
}

/// A body that is taken: by an upstream, or by who reads it in pieces.
struct Gone {
    in_pieces: bool,
}

struct Pieces(std::array::IntoIter<Result<Piece, StreamError>, 3>);

impl BodyStream for Pieces {
    fn poll_piece(&mut self, _cx: &mut Context<'_>) -> Poll<Option<Result<Piece, StreamError>>> {
        Poll::Ready(self.0.next())
    }
}

impl RequestBody for Gone {
    fn read_all(&mut self, _limit: usize) -> LocalBoxFuture<'_, Result<Bytes, BodyError>> {
        Box::pin(std::future::ready(Err(BodyError::Taken)))
    }

    fn ready(&mut self, _limit: usize) -> Option<Bytes> {
        None
    }

    fn is_empty(&self) -> bool {
        false
    }

    fn stream(&mut self, _keep: usize) -> Result<Box<dyn BodyStream>, BodyError> {
        if !self.in_pieces {
            return Err(BodyError::Taken);
        }
        let pieces = ["some ", "more ", "pieces"].map(|piece| Ok(Piece::Data(Bytes::from_static(piece.as_bytes()))));
        Ok(Box::new(Pieces(pieces.into_iter())))
    }

    fn share(&self) -> Box<dyn RequestBody> {
        Box::new(Self { ..*self })
    }
}

#[tokio::test(flavor = "local")]
async fn a_body_that_has_gone_upstream_is_no_empty_one() {
    for entry in ["reads_200", "reads_431"] {
        let mut read = exchange(&[], b"");
        read.request_body = Box::new(Gone { in_pieces: false });
        let got = serve(run(&[entry], false, &options()), &mut read, &["passed"]).await;
        assert_eq!((got.status, got.text()), (500, "PLUGIN_ERROR"), "{entry}");
    }
    // Who takes it itself knows, and reads on.
    for entry in ["piece_then_whole", "piece_then_stream"] {
        let mut read = exchange(&[], b"");
        read.request_body = Box::new(Gone { in_pieces: true });
        let got = serve(run(&[entry], true, &options()), &mut read, &[]).await;
        assert_eq!((got.status, got.text()), (200, "0 11"), "{entry}");
    }
    calm(library(&[])).await;
}
