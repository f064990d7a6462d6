//! Streams, against a worker that does what the test says.

use std::time::Duration;

use bytes::Bytes;
use nylon_plugin::{
    Action, BodyMode, BodyStream, Exchange, Phase, Piece, PluginError, PluginErrorKind, ResponseBody, Session,
    StreamError, Whole,
};
use nylon_wire::{
    AbortReason, Credit, DataFrame, DataKind, Ext, FetchKind, First, Frame, Header, OpenFrame, Outcome, PhaseMask,
    ProbeFrame, StreamEndFrame, StreamFrame,
};

use crate::{
    fake::{Fake, roundtrip},
    gateway::{Ask, Gateway, exchange, run},
};

const ID: u32 = 5;

/// A stream that has begun, and both of its ends.
struct Begun {
    gateway: Gateway,
    worker: Fake,
    open: OpenFrame,
    session: Box<dyn Session>,
    exchange: Exchange,
    stream: Box<dyn BodyStream>,
    seq: u32,
}

impl Begun {
    async fn start() -> Self {
        Self::on(Gateway::start().await).await
    }

    async fn on(gateway: Gateway) -> Self {
        let mut worker = gateway.worker("w1").await;
        worker.mask = PhaseMask(0b1001);
        let plugin = gateway.plugin.clone();
        let asked = tokio::task::spawn_local(async move {
            let (mut session, mut exchange) = (nylon_plugin::Plugin::session(&plugin), exchange());
            let outcome = Ask::within(300).of(&mut *session, &mut exchange).await;
            (session, exchange, outcome)
        });
        let open = worker.open().await;
        let frame = StreamFrame {
            header: open.header,
            ops: vec![nylon_plugin::Operation::SetResponseStatus(203)],
            stream_id: ID,
            first: worker.first(),
            ext: Ext::empty(),
        };
        worker.send(&open.reply, &Frame::Stream(frame)).await;
        let (session, exchange, outcome) = asked.await.unwrap();
        let outcome = outcome.unwrap();
        assert_eq!((outcome.operations.len(), outcome.action), (1, Action::Next));
        let stream = outcome.stream.expect("a stream");
        Self { gateway, worker, open, session, exchange, stream, seq: 1 }
    }

    fn header(&mut self) -> Header {
        let header = Header { seq: self.seq, ..self.open.header };
        self.seq += 1;
        header
    }

    async fn data(&mut self, bytes: impl Into<Bytes>) {
        let header = self.header();
        let (id, bytes, kind, ext) = (ID, bytes.into(), DataKind::Stream, Ext::empty());
        self.worker.send(&self.open.reply, &Frame::Data(DataFrame { header, id, bytes, more: true, kind, ext })).await;
    }

    async fn end(&mut self, outcome: Outcome) {
        let header = self.header();
        let end = StreamEndFrame { header, outcome, ext: Ext::empty() };
        self.worker.send(&self.open.reply, &Frame::StreamEnd(end)).await;
    }

    async fn next(&mut self) -> Option<Result<Piece, StreamError>> {
        next(&mut *self.stream).await
    }

    async fn bytes(&mut self) -> Bytes {
        match self.next().await {
            Some(Ok(Piece::Data(bytes))) => bytes,
            other => panic!("expected bytes, got {other:?}"),
        }
    }

    async fn failure(&mut self) -> PluginError {
        match self.next().await {
            Some(Err(StreamError::Plugin(error))) => error,
            other => panic!("expected a failure, got {other:?}"),
        }
    }

    /// What logging brings to the worker.
    async fn logs(mut self) -> Frame {
        drop(self.stream);
        self.session.log(Ask::phase(Phase::Logging).call(&mut self.exchange));
        drop(self.session);
        let (frame, _) = self.worker.next().await;
        self.gateway.assert_clean().await;
        frame
    }
}

async fn next(stream: &mut dyn BodyStream) -> Option<Result<Piece, StreamError>> {
    std::future::poll_fn(|cx| stream.poll_piece(cx)).await
}

#[test]
fn a_stream_outlives_the_deadline_and_logs_in_its_session() {
    run(async {
        let mut begun = Begun::start().await;
        tokio::time::sleep(Duration::from_millis(400)).await; // sleep: the deadline of the phase has to pass
        begun.data("one").await;
        assert_eq!(begun.bytes().await, "one");
        begun.end(Outcome::Ok).await;
        assert!(begun.next().await.is_none());
        let session = begun.open.header.session;
        let Frame::Phase(phase) = begun.logs().await else { panic!("expected PHASE") };
        assert_eq!((phase.phase, phase.header.session), (nylon_wire::Phase::Logging, session));
    });
}

#[test]
fn credit_comes_back_when_bytes_have_moved_on() {
    run(async {
        let mut begun = Begun::start().await;
        for _ in 0..4 {
            begun.data(vec![b'x'; 8 << 10]).await;
            assert_eq!(begun.bytes().await.len(), 8 << 10);
        }
        begun.worker.assert_nothing_came().await;
        begun.stream.moved_on();
        let (Frame::Credit(credit), _) = begun.worker.next().await else { panic!("expected CREDIT") };
        // As much again, and more because all of it was used.
        assert_eq!((credit.id, credit.bytes), (ID, 64 << 10));
        begun.end(Outcome::Ok).await;
        assert!(begun.next().await.is_none());
        begun.logs().await;
    });
}

#[test]
fn a_worker_beyond_its_credit_is_cut() {
    run(async {
        let mut begun = Begun::start().await;
        for _ in 0..128 {
            begun.data("x").await;
            begun.bytes().await;
        }
        begun.data("x").await;
        assert_eq!(begun.failure().await.kind, PluginErrorKind::Protocol);
        assert_eq!(begun.worker.aborted().await, AbortReason::Protocol);
        assert!(matches!(begun.logs().await, Frame::Open(_)));
    });
}

#[test]
fn a_missing_frame_cuts_it() {
    run(async {
        let mut begun = Begun::start().await;
        begun.seq += 1;
        begun.data("two").await;
        assert_eq!(begun.failure().await.kind, PluginErrorKind::Lost);
        assert_eq!(begun.worker.aborted().await, AbortReason::Gap);
        begun.logs().await;
    });
}

#[test]
fn a_probe_shows_what_is_missing_at_the_end() {
    run(async {
        let mut begun = Begun::start().await;
        begun.data("one").await;
        begun.bytes().await;
        let probe = |seq| Frame::Probe(ProbeFrame { header: Header { seq, ..Header::default() }, ext: Ext::empty() });
        let Frame::Probe(mut right) = probe(begun.seq) else { unreachable!() };
        right.header = Header { seq: begun.seq, ..begun.open.header };
        begun.worker.send(&begun.open.reply, &Frame::Probe(right.clone())).await;
        right.header.seq += 1;
        begun.worker.send(&begun.open.reply, &Frame::Probe(right)).await;
        assert_eq!(begun.failure().await.kind, PluginErrorKind::Lost);
        assert_eq!(begun.worker.aborted().await, AbortReason::Gap);
        begun.logs().await;
    });
}

#[test]
fn a_cut_stream_is_no_whole_one() {
    run(async {
        let mut begun = Begun::start().await;
        begun.data("one").await;
        begun.end(Outcome::Abort).await;
        assert_eq!(begun.bytes().await, "one");
        assert_eq!(begun.failure().await.kind, PluginErrorKind::Handler);
        assert!(matches!(begun.logs().await, Frame::Phase(_)));
    });
}

#[test]
fn a_client_that_leaves_is_told_to_the_worker() {
    run(async {
        let mut begun = Begun::start().await;
        begun.data("one").await;
        begun.bytes().await;
        begun.stream = Box::new(Whole(Bytes::new()));
        assert_eq!(begun.worker.aborted().await, AbortReason::ClientGone);
        begun.logs().await;
    });
}

#[test]
fn a_stream_that_stands_still_is_cut() {
    run(async {
        let gateway = Gateway::with(|options| options.stream_idle = Duration::from_millis(300)).await;
        let mut begun = Begun::on(gateway).await;
        assert_eq!(begun.failure().await.kind, PluginErrorKind::Timeout);
        assert_eq!(begun.worker.aborted().await, AbortReason::Timeout);
        begun.logs().await;
    });
}

#[test]
fn a_worker_that_vanishes_ends_its_stream() {
    run(async {
        let gateway = Gateway::start().await;
        let mut begun = Begun::on(gateway).await;
        begun.worker.beat().await;
        begun.gateway.heard("w1").await;
        // It beats no more.
        assert_eq!(begun.failure().await.kind, PluginErrorKind::Lost);
        begun.logs().await;
    });
}

#[test]
fn a_filter_gets_the_body_within_its_credit() {
    run(async {
        let gateway = Gateway::start().await;
        let mut worker = gateway.worker("w1").await;
        let plugin = gateway.plugin.clone();
        let asked = tokio::task::spawn_local(async move {
            let (mut session, mut exchange) = (nylon_plugin::Plugin::session(&plugin), exchange());
            exchange.response.body = ResponseBody::Stream(Box::new(Whole(vec![b'a'; 50_000].into())));
            let outcome = Ask::phase(Phase::ResponseBodyFilter).of(&mut *session, &mut exchange).await.unwrap();
            assert!(matches!(exchange.response.body, ResponseBody::Service));
            assert_eq!(session.body_mode(), BodyMode::Streaming);
            let mut stream = outcome.stream.expect("a stream");
            let mut got = Vec::new();
            while let Some(piece) = next(&mut *stream).await {
                match piece.unwrap() {
                    Piece::Data(bytes) => got.extend_from_slice(&bytes),
                    Piece::Trailers(_) => panic!("there are none"),
                }
                stream.moved_on();
            }
            got
        });
        let open = worker.open().await;
        assert_eq!(open.phase, nylon_wire::Phase::ResponseBodyFilter);
        let first = First {
            worker: "w1".into(),
            mask: PhaseMask(0b100),
            body_mode: nylon_wire::BodyMode::Streaming,
            credit: 32_768,
        };
        let (ops, stream_id, ext) = (Vec::new(), ID, Ext::empty());
        let frame = StreamFrame { header: open.header, ops, stream_id, first: Some(first), ext };
        worker.send(&open.reply, &Frame::Stream(frame)).await;
        worker.fetch(&open, 1, 1, FetchKind::ResponseStream, 1 << 50).await;
        let (Frame::Data(data), _) = worker.next().await else { panic!("expected DATA") };
        assert_eq!((data.id, data.bytes.len(), data.more), (1, 32_768, true));
        roundtrip(&worker.client).await;
        worker.assert_nothing_came().await;
        worker.credit(&open, 2, 1, 32_768).await;
        let (Frame::Data(data), _) = worker.next().await else { panic!("expected DATA") };
        assert_eq!((data.bytes.len(), data.more), (50_000 - 32_768, true));
        let (Frame::Data(data), _) = worker.next().await else { panic!("expected DATA") };
        assert_eq!((data.bytes.len(), data.more), (0, false));
        let header = |seq| Header { seq, ..open.header };
        let (id, kind) = (ID, DataKind::Stream);
        let bytes = Bytes::from_static(b"short");
        assert_eq!(Credit::cost(bytes.len()), 256);
        let frame = DataFrame { header: header(3), id, bytes, more: true, kind, ext: Ext::empty() };
        worker.send(&open.reply, &Frame::Data(frame)).await;
        let frame = StreamEndFrame { header: header(4), outcome: Outcome::Ok, ext: Ext::empty() };
        worker.send(&open.reply, &Frame::StreamEnd(frame)).await;
        assert_eq!(asked.await.unwrap(), b"short");
        gateway.assert_clean().await;
    });
}
