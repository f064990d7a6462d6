//! A worker that says anything at any time: frames of every type, in and out of order, whole and damaged. Nothing panics,
//! every phase, stream and WebSocket ends, nothing leaks, and the gateway goes on to serve others.

use std::{path::PathBuf, time::Duration};

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use nylon_plugin::{Exchange, Phase, Plugin, Session, SocketEnd, SocketOrder};
use nylon_wire::{
    AcceptFrame, Action, Ext, FetchFrame, FetchKind, First, Frame, FrameType, OpenFrame, ResultFrame, StreamFrame,
    UpgradeFrame,
};

use crate::{
    fake::Fake,
    gateway::{Ask, GROUP, Gateway, exchange, filter, handshake, run, with_body},
};

const SESSIONS: usize = 1_000;
const AT_ONCE: usize = 24;
/// How long a phase may take, in milliseconds: most of what the worker says ends none.
const DEADLINE: u64 = 60;

/// Numbers that look random and are the same in each run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % sides.max(1)
    }
}

/// A frame of the vectors without its session, numbers and phase run: `[array and type]`, `[the rest]`.
struct Template {
    front: Vec<u8>,
    rest: Vec<u8>,
    kind: FrameType,
}

/// Every valid frame of a session.
fn templates() -> Vec<Template> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../protocol/vectors/valid");
    let mut templates = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let page: serde_json::Value = serde_json::from_str(&text).unwrap();
        for case in page["cases"].as_array().unwrap() {
            let hex = case["hex"].as_str().unwrap().as_bytes();
            let byte = |two: &[u8]| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap();
            let bytes: Vec<u8> = hex.chunks(2).map(byte).collect();
            let frame = Frame::decode(&Bytes::copy_from_slice(&bytes)).unwrap();
            if frame.header().is_none() {
                continue;
            }
            let front = if bytes[0] == 0xdc { 4 } else { 2 };
            let mut at = front + 18;
            for _ in 0..3 {
                at += match bytes[at] {
                    0xcc => 2,
                    0xcd => 3,
                    0xce => 5,
                    0xcf => 9,
                    _ => 1,
                };
            }
            let (front, rest) = (bytes[..front].to_vec(), bytes[at..].to_vec());
            templates.push(Template { front, rest, kind: frame.kind() });
        }
    }
    assert!(templates.len() > 50, "only {} frames", templates.len());
    templates
}

fn number(out: &mut Vec<u8>, number: u32) {
    match number {
        0..=0x7f => out.push(number as u8),
        0x80..=0xff => out.extend([0xcc, number as u8]),
        0x100..=0xffff => {
            out.push(0xcd);
            out.extend((number as u16).to_be_bytes());
        }
        _ => {
            out.push(0xce);
            out.extend(number.to_be_bytes());
        }
    }
}

/// A first frame as it should be.
fn good(open: &OpenFrame, first: Option<First>, dice: &mut Dice) -> Bytes {
    let (header, ext) = (open.header, Ext::empty());
    let frame = match dice.roll(5) {
        0 => Frame::Stream(StreamFrame { header, ops: vec![], stream_id: 1, first, ext }),
        1 => Frame::Upgrade(UpgradeFrame { header, ops: vec![], max_message_bytes: 99, subprotocol: None, first, ext }),
        2 => Frame::Accept(AcceptFrame { header, first, ext }),
        3 => {
            let (call_id, what, max_bytes) = (1, FetchKind::RequestStream, 1_000);
            Frame::Fetch(FetchFrame { header, call_id, what, max_bytes, first, ext })
        }
        _ => Frame::Result(ResultFrame { header, ops: vec![], action: Action::Next, first, timing: None, ext }),
    };
    let mut out = BytesMut::new();
    frame.encode(&mut out);
    out.freeze()
}

/// What the worker says to one open: a few frames in their order, or nearly.
fn say(open: &OpenFrame, first: Option<First>, templates: &[Template], dice: &mut Dice) -> Vec<Bytes> {
    let mut frames = Vec::new();
    if dice.roll(4) > 0 {
        frames.push(good(open, first, dice));
    }
    let mut seq = frames.len() as u32;
    for _ in 0..=dice.roll(7) {
        let template = &templates[dice.roll(templates.len())];
        let lie = dice.roll(16);
        let mut out = template.front.clone();
        out.extend([0xc4, 16]);
        out.extend(open.header.session.0);
        number(&mut out, if lie == 0 { dice.roll(1 << 20) as u32 } else { open.header.generation });
        number(&mut out, if lie == 1 { dice.roll(9) as u32 } else { seq });
        number(&mut out, if lie == 2 { dice.roll(3) as u32 } else { open.header.phase_seq });
        out.extend(&template.rest);
        if lie == 3 {
            let at = dice.roll(out.len());
            out[at] = dice.roll(256) as u8;
        }
        if lie == 4 {
            out.truncate(dice.roll(out.len()));
        }
        if !matches!(template.kind, FrameType::Probe | FrameType::Abort | FrameType::Busy) {
            seq += 1;
        }
        frames.push(Bytes::from(out));
    }
    frames
}

/// Answers every open with anything until the handle is dropped.
async fn storm(mut worker: Fake) {
    let (templates, mut dice) = (templates(), Dice(0x5eed_0001));
    loop {
        let (frame, _) = worker.next().await;
        let Frame::Open(open) = frame else { continue };
        for payload in say(&open, worker.first(), &templates, &mut dice) {
            worker.client.publish(open.reply.to_string(), payload).await.unwrap();
        }
    }
}

/// A request with all its phases, as the proxy runs it; how it went.
async fn request(mut session: Box<dyn Session>, mut exchange: Exchange) -> &'static str {
    let outcome = Ask { retry: 0, ..Ask::within(DEADLINE) }.of(&mut *session, &mut exchange).await;
    let patience = Duration::from_millis(4 * DEADLINE);
    let how = match outcome {
        Err(_) => "failed",
        Ok(outcome) if outcome.stream.is_some() => {
            let mut stream = outcome.stream.unwrap();
            let read = async {
                while let Some(Ok(_)) = std::future::poll_fn(|cx| stream.poll_piece(cx)).await {
                    stream.moved_on();
                }
            };
            // a worker that says no more is cut off by whoever reads
            let _ = tokio::time::timeout(patience, read).await;
            "streamed"
        }
        Ok(outcome) if outcome.upgrade.is_some() => {
            let mut socket = outcome.upgrade.unwrap().socket;
            socket.open();
            let orders = async {
                while let SocketOrder::Send { .. } = std::future::poll_fn(|cx| socket.poll_order(cx)).await {
                    socket.moved_on();
                }
            };
            let _ = tokio::time::timeout(patience, orders).await;
            socket.close(SocketEnd { code: 1000, reason: String::new(), error: None });
            // the entry may never be done; then the session is dropped with it
            let _ = tokio::time::timeout(patience, std::future::poll_fn(|cx| socket.poll_done(cx))).await;
            "upgraded"
        }
        Ok(_) => "answered",
    };
    if how == "answered" {
        // whatever comes of it
        let _ = Ask { phase: Phase::ResponseFilter, ..Ask::within(DEADLINE) }.of(&mut *session, &mut exchange).await;
    }
    session.log(Ask::phase(Phase::Logging).call(&mut exchange));
    how
}

#[test]
fn a_worker_that_says_anything_harms_nobody() {
    run(async {
        let gateway = Gateway::start().await;
        let worker = gateway.worker("rogue").await;
        let raging = tokio::task::spawn_local(storm(worker));
        let requests = futures_util::stream::iter(0..SESSIONS).map(|n| {
            let plugin = gateway.plugin.clone();
            async move {
                let exchange = [with_body("a body"), exchange(), handshake()].into_iter().nth(n % 3).unwrap();
                tokio::task::spawn_local(request(plugin.session(), exchange)).await.expect("a request panicked")
            }
        });
        let went: Vec<&str> = requests.buffer_unordered(AT_ONCE).collect().await;
        for how in ["failed", "streamed", "upgraded", "answered"] {
            let count = went.iter().filter(|one| **one == how).count();
            assert!(count > SESSIONS / 100, "{how}: {count} of {SESSIONS}");
        }
        assert!(!raging.is_finished());
        gateway.assert_clean().await;
        raging.abort();
        let _ = raging.await;
        let _good = Fake::start(&gateway.server.url(), GROUP, "good", Some(crate::gateway::ENTRY)).await.serve();
        filter(&gateway).await.unwrap();
        gateway.assert_clean().await;
    });
}
