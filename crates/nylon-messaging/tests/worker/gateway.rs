//! A gateway thread that speaks raw frames, so that misbehaviour can be tried as well.

use std::{collections::VecDeque, time::Duration};

use async_nats::{Client, Subscriber};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use nylon_messaging::worker::Worker;
use nylon_wire::{
    AbortReason, BeatFrame, CreditFrame, DataFrame, DataKind, First, Frame, Header, OpenFields, Phase, PhaseFields,
    ResponseFields, Revision, SessionId, SnapshotFields, encode_open, encode_phase, session_frames, subject,
};

use crate::{server::NatsServer, wait::PATIENCE};

pub type Pairs<'a> = Vec<(&'a str, &'a [u8])>;

/// What an open says; everything has a default.
pub struct Open<'a> {
    pub entry: &'a str,
    pub phase: Phase,
    pub remaining_ms: u64,
    pub mono_ms: Option<u64>,
    pub headers: Pairs<'a>,
    pub content_length: Option<u64>,
    pub payload: Option<&'a [u8]>,
    pub revision: Option<Revision>,
    pub credit: u32,
    pub more: bool,
    pub body: Option<&'a [u8]>,
    pub response: Option<u16>,
    pub reply: Option<String>,
}

impl Default for Open<'_> {
    fn default() -> Self {
        Self {
            entry: "auth",
            phase: Phase::RequestFilter,
            remaining_ms: 10_000,
            mono_ms: None,
            headers: vec![("accept", b"*/*")],
            content_length: None,
            payload: None,
            revision: None,
            credit: 32 << 10,
            more: false,
            body: None,
            response: None,
            reply: None,
        }
    }
}

pub struct Gateway {
    pub client: Client,
    replies: Option<Subscriber>,
    beats: Subscriber,
    id: String,
    slots: u32,
    early: VecDeque<(SessionId, Frame)>,
    start: std::time::Instant,
}

/// A session as the gateway sees it.
#[derive(Clone)]
pub struct Opened {
    pub id: SessionId,
    pub reply: String,
    pub seq: u32,
    pub phase_seq: u32,
}

impl Opened {
    pub fn header(&mut self) -> Header {
        let header = Header { session: self.id, generation: 7, seq: self.seq, phase_seq: self.phase_seq };
        self.seq += 1;
        header
    }
}

impl Gateway {
    pub async fn connect(server: &NatsServer) -> Self {
        let client = async_nats::connect(server.url()).await.expect("the server is up");
        let id = format!("{:x}", rand());
        let wildcard = subject::reply_wildcard("nylon", &id, 0).unwrap();
        let replies = client.subscribe(wildcard).await.unwrap();
        let beats = client.subscribe(subject::beat_all("nylon").unwrap()).await.unwrap();
        client.flush().await.unwrap();
        // Own clock, far from the worker's.
        let start = std::time::Instant::now();
        Self { client, replies: Some(replies), beats, id, slots: 0, early: VecDeque::new(), start }
    }

    pub fn mono_ms(&self) -> u64 {
        5_000_000 + u64::try_from(self.start.elapsed().as_millis()).unwrap()
    }

    /// The next beat that `wanted` accepts.
    pub async fn beat(&mut self, wanted: impl Fn(&BeatFrame) -> bool) -> BeatFrame {
        let search = async {
            while let Some(message) = self.beats.next().await {
                let Ok(Frame::Beat(beat)) = Frame::decode(&message.payload) else { panic!("no beat: {message:?}") };
                assert_eq!(
                    subject::parse_beat(&message.subject),
                    Some((beat.group.to_string(), beat.worker.to_string()))
                );
                if wanted(&beat) {
                    return beat;
                }
            }
            panic!("the connection ended");
        };
        tokio::time::timeout(PATIENCE, search).await.expect("no such beat comes")
    }

    /// Waits until the worker serves.
    pub async fn ready(&mut self, worker: &Worker) {
        let id = worker.id().to_owned();
        self.beat(|beat| beat.worker.as_str() == id).await;
    }

    pub fn encode(&mut self, open: &Open<'_>) -> (Opened, Bytes) {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&rand().to_be_bytes());
        id[8..].copy_from_slice(&rand().to_be_bytes());
        self.slots += 1;
        let reply = subject::reply("nylon", &self.id, 0, self.slots).unwrap();
        let mut opened = Opened { id: SessionId(id), reply, seq: 0, phase_seq: 0 };
        let header = opened.header();
        (opened.clone(), self.encode_as(&opened, &header, open))
    }

    pub fn encode_as(&self, opened: &Opened, header: &Header, open: &Open<'_>) -> Bytes {
        let params: Vec<(&str, &str)> = vec![("id", "7")];
        let none: Pairs<'_> = vec![];
        let fields = OpenFields {
            reply: open.reply.as_deref().unwrap_or(&opened.reply),
            entry: open.entry,
            phase: open.phase,
            remaining_ms: open.remaining_ms,
            mono_ms: open.mono_ms.unwrap_or_else(|| self.mono_ms()),
            snapshot: SnapshotFields {
                method: "GET",
                scheme: "http",
                host: "a.test",
                port: 0,
                path: "/x",
                query: "a=1",
                params,
                headers: open.headers.clone(),
                client_ip: "192.0.2.1",
                timestamp_ms: 1,
                content_length: open.content_length,
                tls: false,
                websocket: false,
                request_id: "r1",
            },
            payload: open.payload,
            revision: open.revision.as_ref(),
            credit: open.credit,
            more: open.more,
            body: open.body,
            response: open.response.map(|status| ResponseFields {
                status,
                headers: none.clone(),
                body_bytes: 0,
                duration_ms: 1,
                error: None,
                body_length: None,
            }),
            ext: &nylon_wire::Ext::empty(),
        };
        let mut out = BytesMut::new();
        encode_open(&mut out, header, &fields);
        out.freeze()
    }

    /// Opens through the queue group.
    pub async fn open(&mut self, open: &Open<'_>) -> Opened {
        let (opened, payload) = self.encode(open);
        let subject = subject::open("nylon", "auth workers", open.entry).unwrap();
        self.client.publish_with_reply(subject, opened.reply.clone(), payload).await.unwrap();
        opened
    }

    /// Opens on the worker's direct subject.
    pub async fn open_at(&mut self, worker: &Worker, open: &Open<'_>) -> Opened {
        let (opened, payload) = self.encode(open);
        self.send(worker, &opened, payload).await;
        opened
    }

    /// Sends encoded bytes to the worker's direct subject.
    pub async fn send(&self, worker: &Worker, opened: &Opened, payload: Bytes) {
        let subject = subject::worker("nylon", "auth workers", worker.id()).unwrap();
        self.client.publish_with_reply(subject, opened.reply.clone(), payload).await.unwrap();
    }

    /// Sends a frame to the worker's direct subject.
    pub async fn say(&self, worker: &Worker, opened: &Opened, frame: Frame) {
        let mut out = BytesMut::new();
        frame.encode(&mut out);
        self.send(worker, opened, out.freeze()).await;
    }

    pub async fn phase(&self, worker: &Worker, opened: &mut Opened, phase: Phase, body: Option<&[u8]>) {
        opened.phase_seq += 1;
        let response = ResponseFields {
            status: 200,
            headers: vec![("content-type", &b"text/plain"[..])],
            body_bytes: 3,
            duration_ms: 4,
            error: None,
            body_length: Some(3),
        };
        let fields = PhaseFields {
            phase,
            remaining_ms: 10_000,
            mono_ms: self.mono_ms(),
            payload: None,
            response: Some(response),
            body,
            more: false,
            ext: &nylon_wire::Ext::empty(),
        };
        let mut out = BytesMut::new();
        let header = opened.header();
        encode_phase(&mut out, &header, &fields);
        self.send(worker, opened, out.freeze()).await;
    }

    pub async fn abort(&self, worker: &Worker, opened: &mut Opened, reason: AbortReason) {
        let header = opened.header();
        let frame = nylon_wire::AbortFrame { header, reason, text: None, ext: Default::default() };
        self.say(worker, opened, Frame::Abort(frame)).await;
    }

    pub async fn data(&self, worker: &Worker, opened: &mut Opened, id: u32, bytes: Bytes, more: bool) {
        let header = opened.header();
        let frame = DataFrame { header, id, bytes, more, kind: DataKind::Body, ext: Default::default() };
        self.say(worker, opened, Frame::Data(frame)).await;
    }

    pub async fn credit(&self, worker: &Worker, opened: &mut Opened, id: u32, bytes: u32) {
        let header = opened.header();
        self.say(worker, opened, Frame::Credit(CreditFrame { header, id, bytes, ext: Default::default() })).await;
    }

    /// The next frame for this session; others are kept for whoever asks for them. An ACCEPT, which only a slow machine
    /// brings, is taken out: what it says goes to the frame behind it.
    pub async fn frame(&mut self, opened: &Opened) -> Frame {
        let mut frame = self.raw_frame(opened).await;
        let Frame::Accept(accept) = frame else { return frame };
        frame = self.raw_frame(opened).await;
        let place = match &mut frame {
            Frame::Result(frame) => Some((&mut frame.header, &mut frame.first)),
            Frame::Fetch(frame) => Some((&mut frame.header, &mut frame.first)),
            Frame::Error(frame) => Some((&mut frame.header, &mut frame.first)),
            Frame::Stream(frame) => Some((&mut frame.header, &mut frame.first)),
            _ => None,
        };
        if let Some((header, first)) = place {
            header.seq -= 1;
            *first = accept.first;
        }
        frame
    }

    /// The next frame for this session, whatever it is.
    pub async fn raw_frame(&mut self, opened: &Opened) -> Frame {
        self.frame_within(opened, PATIENCE).await.expect("no frame comes")
    }

    pub async fn frame_within(&mut self, opened: &Opened, limit: Duration) -> Option<Frame> {
        if let Some(index) = self.early.iter().position(|(id, _)| *id == opened.id) {
            return self.early.remove(index).map(|(_, frame)| frame);
        }
        let replies = self.replies.as_mut().expect("it still listens");
        let early = &mut self.early;
        let search = async {
            while let Some(message) = replies.next().await {
                assert_eq!(message.status, None, "{message:?}");
                let mut found = None;
                for (place, frame) in session_frames(message.payload).enumerate() {
                    let frame =
                        Frame::decode(&frame.expect("a whole batch")).expect("the worker's frames are understood");
                    let header = *frame.header().expect("a session frame");
                    if matches!(frame, Frame::Probe(_)) {
                        continue;
                    }
                    assert_eq!(header.generation, 7);
                    if header.session == opened.id && found.is_none() {
                        assert!(place > 0 || message.subject.as_str() == opened.reply);
                        found = Some(frame);
                    } else {
                        early.push_back((header.session, frame));
                    }
                }
                if let Some(frame) = found {
                    return frame;
                }
            }
            panic!("the connection ended");
        };
        tokio::time::timeout(limit, search).await.ok()
    }

    /// The gateway goes: nobody listens for replies any more.
    pub async fn vanish(&mut self) {
        let mut replies = self.replies.take().expect("it still listens");
        replies.unsubscribe().await.unwrap();
        self.client.flush().await.unwrap();
    }
}

pub fn first(worker: &Worker, mask: u32) -> Option<First> {
    Some(First {
        worker: worker.id().into(),
        mask: nylon_wire::PhaseMask(mask),
        body_mode: nylon_wire::BodyMode::Buffered,
        credit: 32 << 10,
    })
}

pub fn rand() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}
