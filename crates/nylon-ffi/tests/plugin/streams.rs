//! Bodies in pieces.

use std::{
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use nylon_plugin::{BodyError, BodyStream, Piece, RequestBody, StreamError};

use crate::support::{Options, calm, exchange, library, options, run, serve};

#[tokio::test(flavor = "local")]
async fn pieces_come_in_order_and_nothing_that_is_too_late() {
    for service in [true, false] {
        let mut asked = exchange(&[], b"");
        asked.request.uri = http::Uri::from_static("/?300");
        let got = serve(run(&["streams"], service, &options()), &mut asked, &["upstream"]).await;
        let expected: String = (0..300).map(|number| format!("piece {number}\n")).collect();
        assert_eq!((got.status, got.text()), (202, &*expected));
        assert_eq!((got.header("x-stream"), got.header("x-too-late")), ("yes", ""));
    }
    calm(library(&[])).await;
}

#[tokio::test(flavor = "local")]
async fn a_stream_may_read_the_request() {
    for body in [&b""[..], b"some body"] {
        let got = serve(run(&["reading_stream"], true, &options()), &mut exchange(&[], body), &[]).await;
        assert_eq!(got.text().as_bytes(), [b"read: ", body].concat());
    }
    let small = Options { max_body: 4, ..options() };
    let got = serve(run(&["reading_stream"], true, &small), &mut exchange(&[], b"some body"), &[]).await;
    assert!(got.body.is_err(), "half a body is none: {:?}", got.body);
    calm(library(&[])).await;
}

#[tokio::test(flavor = "local")]
async fn a_body_of_any_length_is_read_piece_by_piece() {
    let small = Options { max_body: 4, ..options() };
    for body in [&b""[..], b"some body"] {
        let got = serve(run(&["piecewise"], true, &small), &mut exchange(&[], body), &[]).await;
        let length = body.len().to_string();
        assert_eq!((got.status, got.text(), got.header("x-id")), (200, &*length, "r1"));
        let got = serve(run(&["piecewise_stream"], true, &small), &mut exchange(&[], body), &[]).await;
        assert_eq!(got.text().as_bytes(), body);
    }
    calm(library(&[])).await;
}

/// A body of which a piece comes every 200 ms.
struct Slow(u8);

impl RequestBody for Slow {
    fn read_all(&mut self, _limit: usize) -> LocalBoxFuture<'_, Result<Bytes, BodyError>> {
        Box::pin(std::future::pending())
    }

    fn ready(&mut self, _limit: usize) -> Option<Bytes> {
        None
    }

    fn is_empty(&self) -> bool {
        false
    }

    fn stream(&mut self, _keep: usize) -> Result<Box<dyn BodyStream>, BodyError> {
        let mut left = self.0;
        let mut pause = Box::pin(tokio::time::sleep(PAUSE)); // sleep: a slow client
        Ok(Box::new(Coming(Box::new(move |cx| {
            ready!(pause.as_mut().poll(cx));
            pause.as_mut().reset(tokio::time::Instant::now() + PAUSE);
            left = left.saturating_sub(1);
            Poll::Ready((left > 0).then(|| Ok(Piece::Data(Bytes::from_static(b"piece")))))
        }))))
    }

    fn share(&self) -> Box<dyn RequestBody> {
        Box::new(Self(self.0))
    }
}

type Poller = dyn FnMut(&mut Context<'_>) -> Poll<Option<Result<Piece, StreamError>>>;

struct Coming(Box<Poller>);

impl BodyStream for Coming {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, StreamError>>> {
        (self.0)(cx)
    }
}

const PAUSE: Duration = Duration::from_millis(200);

#[tokio::test(flavor = "local")]
async fn an_upload_may_take_longer_than_a_phase_but_no_library_may() {
    let hasty = Options { timeout: PAUSE * 4 / 5, ..options() };
    for (entry, status, text, least) in [
        ("piecewise", 200, "20", PAUSE * 5),
        ("piecewise_once", 504, "PLUGIN_TIMEOUT", PAUSE + hasty.timeout),
        ("piecewise_open", 504, "PLUGIN_TIMEOUT", PAUSE * 5 + hasty.timeout),
    ] {
        let mut asked = exchange(&[], b"");
        asked.request_body = Box::new(Slow(5));
        let began = Instant::now();
        let got = serve(run(&[entry], true, &hasty), &mut asked, &[]).await;
        assert_eq!((got.status, got.text()), (status, text), "{entry}");
        assert!(began.elapsed() >= least, "{entry}: {:?}", began.elapsed());
    }
    calm(library(&[])).await;
}

#[tokio::test(flavor = "local")]
async fn a_read_that_waits_goes_on_when_its_phase_becomes_a_stream() {
    for entry in ["beside_431", "beside_200"] {
        let mut asked = exchange(&[], b"");
        asked.request_body = Box::new(Slow(5));
        let got = serve(run(&[entry], true, &options()), &mut asked, &[]).await;
        assert_eq!(got.text(), "20", "{entry}");
    }
    calm(library(&[])).await;
}

#[tokio::test(flavor = "local")]
async fn a_read_that_waits_goes_on_when_its_phase_does_not_become_a_websocket() {
    let mut asked = exchange(&[], b"");
    asked.request.websocket = true;
    asked.request_body = Box::new(Slow(5));
    let got = serve(run(&["refused_431"], true, &options()), &mut asked, &[]).await;
    assert_eq!(got.text(), "433 431 20");
    calm(library(&[])).await;
}

#[tokio::test(flavor = "local")]
async fn a_filter_takes_the_answer_piece_by_piece_if_it_says_so() {
    let masked = Options { max_body: 4, library: library(&["MASK"]), ..options() };
    let got = serve(run(&["filter_pieces"], false, &masked), &mut exchange(&[], b"request"), &["some ", "body"]).await;
    assert_eq!((got.status, got.text(), got.header("etag")), (200, "<some body>", ""));
    let two = run(&["filter_pieces", "filter_pieces_too"], false, &masked);
    let got = serve(two, &mut exchange(&[], b""), &["some ", "body"]).await;
    assert_eq!(got.text(), "<<some body>>");
    let got = serve(run(&["filter_pieces"], false, &masked), &mut exchange(&[], b""), &["some", "!"]).await;
    assert!(got.body.is_err(), "half an answer is none: {:?}", got.body);
    calm(masked.library).await;
    // Without the bit it is no filter that streams.
    let got = serve(run(&["filter_pieces"], false, &options()), &mut exchange(&[], b""), &["some body"]).await;
    assert_eq!((got.status, got.text()), (502, "PLUGIN_PROTOCOL"));
}

#[tokio::test(flavor = "local")]
async fn a_stream_that_is_not_ended_breaks() {
    for entry in ["half_stream", "broken_stream"] {
        let got = serve(run(&[entry], true, &options()), &mut exchange(&[], b""), &[]).await;
        assert!(got.body.is_err(), "{entry}: {:?}", got.body);
    }
    calm(library(&[])).await;
}

#[tokio::test(flavor = "local")]
async fn a_client_that_leaves_ends_the_stream() {
    let mut exchange = exchange(&[], b"");
    let mut run = run(&["fast_stream"], true, &options());
    run.service(&mut exchange).await.unwrap();
    drop(exchange);
    drop(run);
    calm(library(&[])).await;
}

#[tokio::test(flavor = "local")]
async fn a_stream_is_as_long_as_the_library_likes() {
    let options = Options { max_body: 10, ..options() };
    let mut asked = exchange(&[], b"");
    asked.request.uri = http::Uri::from_static("/?100");
    let got = serve(run(&["streams"], true, &options), &mut asked, &[]).await;
    assert_eq!(got.text().len(), 890);
}
