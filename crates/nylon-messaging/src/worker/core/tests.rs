//! The core under gateways that say anything at any time: nothing leaks, nothing grows, nothing panics.

use std::{collections::HashSet, sync::Arc};

use async_nats::Message;
use nylon_wire::{
    Action, CloseFrame, CreditFrame, DataFrame, DataKind, ErrorFrame, Ext, OpenFields, Operation, Phase, PhaseFields,
    PhaseMask, ProbeFrame, ResponseBody, ResponseFields, Revision, SnapshotFields, encode_open, encode_phase, failure,
};

use super::*;
use crate::worker::outgoing::UNSENT_LIMIT;
use crate::{
    Clock,
    worker::{Body, EntryOptions, Job, JobKind, WorkerOptions},
};

/// Numbers that look random and are the same in each run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }
}

struct World {
    core: Core,
    dice: Dice,
    now: Instant,
    jobs: Vec<Job>,
    /// What the gateways know of each session: its next number and its phase.
    known: Vec<(SessionId, u32, u32)>,
    fetched: Vec<(SessionId, u32)>,
    sent: u64,
}

const MOST: usize = 8;

impl World {
    fn new(seed: u64, initialize: bool) -> Self {
        let mut entries = vec![EntryOptions::new("one", PhaseMask(1)), EntryOptions::new("all", PhaseMask::ALL)];
        entries[1].loop_phases = PhaseMask(0b0110);
        let mut options = WorkerOptions::new("g", entries);
        (options.max_sessions, options.max_body, options.initialize) = (MOST, 100_000, initialize);
        let core = Core::new(Arc::new(Shared::new(options, "w".into()))).unwrap();
        let (dice, now) = (Dice(seed), Instant::now());
        Self { core, dice, now, jobs: vec![], known: vec![], fetched: vec![], sent: 0 }
    }

    fn deliver(&mut self, payload: Bytes) {
        let (subject, reply) = (self.core.subject.clone(), Some(Subject::from("nylon.v1.h.g.0.1")));
        let length = payload.len();
        let message = Message { subject, reply, payload, headers: None, status: None, description: None, length };
        self.core.on_message(message, self.now);
    }

    fn header(&mut self) -> Header {
        let index = self.dice.roll(self.known.len().max(1) as u64) as usize;
        let lie = self.dice.roll(20) == 0;
        let fresh = SessionId([self.dice.roll(256) as u8; 16]);
        match self.known.get_mut(index) {
            Some((session, seq, phase_seq)) if !lie => {
                *seq += 1;
                Header { session: *session, generation: 1, seq: *seq - 1, phase_seq: *phase_seq }
            }
            _ => Header {
                session: fresh,
                generation: self.dice.roll(2) as u32,
                seq: self.dice.roll(3) as u32,
                phase_seq: 0,
            },
        }
    }

    /// Any open, or that of a session that is served in peace, with its number and its slot.
    fn open(&mut self, plain: Option<(u8, &'static str)>) {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.dice.roll(u64::MAX).to_be_bytes());
        if let Some((number, _)) = plain {
            id = [number; 16];
        }
        let header = Header { session: SessionId(id), generation: 1, seq: 0, phase_seq: 0 };
        let revision = Revision { hash: vec![self.dice.roll(3) as u8].into(), loaded_ms: self.dice.roll(4) };
        let none: Vec<(&str, &[u8])> = vec![];
        let mut open = OpenFields {
            reply: ["nylon.v1.h.g.0.1", "nylon.v1.h.g.1.5", "elsewhere"][self.dice.roll(3) as usize],
            entry: ["one", "all", "all", "none"][self.dice.roll(4) as usize],
            phase: Phase::ALL[self.dice.roll(4) as usize],
            remaining_ms: self.dice.roll(400),
            mono_ms: Clock::ms(self.now) + 77,
            snapshot: SnapshotFields {
                method: "GET",
                scheme: "http",
                host: "a",
                port: 0,
                path: "/",
                query: "",
                params: Vec::<(&str, &str)>::new(),
                headers: none.clone(),
                client_ip: "192.0.2.1",
                timestamp_ms: 0,
                content_length: None,
                tls: false,
                websocket: false,
                request_id: "r",
            },
            payload: None,
            revision: (self.dice.roll(2) == 0).then_some(&revision),
            credit: [0, 300, 1 << 16][self.dice.roll(3) as usize],
            more: self.dice.roll(8) == 0,
            body: (self.dice.roll(2) == 0).then_some(&b"body"[..]),
            response: None::<ResponseFields<'_, Vec<(&str, &[u8])>>>,
            ext: &if id[0].is_multiple_of(4) { Ext::again() } else { Ext::empty() },
        };
        if let Some((_, reply)) = plain {
            (open.reply, open.entry, open.phase, open.remaining_ms) = (reply, "all", Phase::RequestFilter, 100_000);
            (open.revision, open.more) = (None, false);
        }
        let mut out = BytesMut::new();
        encode_open(&mut out, &header, &open);
        self.known.push((header.session, 1, 0));
        if self.known.len() > 40 {
            self.known.remove(0);
        }
        self.deliver(out.freeze());
    }

    fn frame(&mut self) {
        let (header, ext) = (self.header(), Ext::empty());
        let id = match self.fetched.iter().rev().find(|(session, _)| *session == header.session) {
            Some((_, id)) if self.dice.roll(10) > 0 => *id,
            _ => self.dice.roll(4) as u32,
        };
        let frame = match self.dice.roll(8) {
            0 => Frame::Close(CloseFrame { header, ext }),
            1 => Frame::Abort(AbortFrame { header, reason: AbortReason::ClientGone, text: None, ext }),
            2 => Frame::Probe(ProbeFrame { header, ext }),
            3 => Frame::Credit(CreditFrame { header, id, bytes: self.dice.roll(50_000) as u32, ext }),
            4 => {
                let (call_id, code) = ((self.dice.roll(3) > 0).then_some(id), failure::NOT_FOUND.into());
                Frame::Error(ErrorFrame { header, call_id, code, text: "".into(), log_id: None, first: None, ext })
            }
            _ => {
                let bytes = Bytes::from(vec![0x93; self.dice.roll(20_000) as usize]);
                Frame::Data(DataFrame { header, id, bytes, more: self.dice.roll(2) == 0, kind: DataKind::Body, ext })
            }
        };
        let mut out = BytesMut::new();
        frame.encode(&mut out);
        let mut out = out.to_vec();
        if self.dice.roll(30) == 0 {
            let at = self.dice.roll(out.len() as u64) as usize;
            out[at] = self.dice.roll(256) as u8;
        }
        self.deliver(out.into());
    }

    fn phase(&mut self) {
        let index = self.dice.roll(self.known.len().max(1) as u64) as usize;
        let Some((_, _, phase_seq)) = self.known.get_mut(index) else { return };
        *phase_seq += 1;
        let header = self.header();
        let phase = PhaseFields {
            phase: Phase::ALL[self.dice.roll(4) as usize],
            remaining_ms: self.dice.roll(400),
            mono_ms: Clock::ms(self.now) + 77,
            payload: None,
            response: None::<ResponseFields<'_, Vec<(&str, &[u8])>>>,
            body: None,
            more: false,
            ext: &if header.session.0[0].is_multiple_of(4) { Ext::again() } else { Ext::empty() },
        };
        let mut out = BytesMut::new();
        encode_phase(&mut out, &header, &phase);
        self.deliver(out.freeze());
    }

    fn user_code(&mut self) {
        let lane = if self.dice.roll(2) == 0 { Lane::Threads } else { Lane::Loop };
        let shared = self.core.shared.clone();
        if let Some(run) = shared.lane(lane).try_take() {
            self.jobs.push(Job::new(run, shared));
        }
        if self.jobs.is_empty() {
            return;
        }
        let index = self.dice.roll(self.jobs.len() as u64) as usize;
        match self.dice.roll(6) {
            0 => drop(self.jobs.swap_remove(index)),
            1 => self.jobs[index].fetch(Body::Request, 50_000, Box::new(drop)),
            2 => self.jobs[index].on_cancel(Box::new(|_| {})),
            _ => {
                let job = self.jobs.swap_remove(index);
                let init = matches!(job.kind(), JobKind::Initialize { .. });
                if init && self.dice.roll(3) == 0 {
                    return job.fail(failure::HANDLER_ERROR, "no", None);
                }
                let body = Bytes::from(vec![7; self.dice.roll(300_000) as usize]);
                job.finish(vec![Operation::SetResponseBody(ResponseBody::Inline(body))], Action::Next);
            }
        }
    }

    fn settle(&mut self) {
        let mut events = vec![];
        self.core.shared.clone().outbox.take(&mut events);
        for event in events {
            self.core.on_event(event, self.now);
        }
        self.core.hand_over(self.now);
        let (fetched, sent) = (&mut self.fetched, &mut self.sent);
        self.core.send_out(|subject, _, payload| {
            *sent += 1;
            if let (true, Ok(Frame::Fetch(fetch))) = (subject.starts_with("nylon.v1.h."), Frame::decode(payload)) {
                fetched.push((fetch.header.session, fetch.call_id));
            }
            Ok(())
        });
        let excess = fetched.len().saturating_sub(100);
        fetched.drain(..excess);
    }

    fn check(&self) {
        let core = &self.core;
        assert_eq!(core.active, core.live.values().filter(|live| live.busy).count());
        // Opens are refused at the limit; phases of sessions that are open cannot be.
        assert!(core.live.len() + core.abandoned.len() <= MOST * (IDLE_FACTOR + 1));
        let hot: HashSet<_> = core.hot.iter().collect();
        assert_eq!(hot.len(), core.hot.len(), "a session is hot twice");
        assert!(
            core.live.iter().all(|(session, live)| !live.busy || hot.contains(session)),
            "a busy one is not looked at"
        );
        let windows: u64 = core.live.values().map(|live| u64::from(live.window - core.shared.options.credit)).sum();
        assert_eq!(core.granted, windows);
        assert_eq!(core.kept_bytes, core.live.values().map(|live| live.kept).sum::<usize>());
        assert!(core.live.values().all(|live| live.calls.len() < 1_000));
    }
}

fn live_through(seed: u64) {
    let mut world = World::new(seed, true);
    for step in 0..6_000 {
        match world.dice.roll(10) {
            0..3 => world.open(None),
            3 => world.phase(),
            4 | 5 => world.frame(),
            6..9 => world.user_code(),
            _ => {
                world.now += Duration::from_millis(world.dice.roll(60));
                world.core.tick(true, world.now);
                let shared = &world.core.shared;
                let queued = shared.threads.len() + shared.looped.len();
                assert!(queued <= world.core.live.len() + 1, "the queues keep what was taken back");
            }
        }
        world.settle();
        world.check();
        if step % 500 == 0 {
            world.core.beat(world.now);
        }
    }
    world.core.shut_the_door();
    world.core.abort_all();
    world.settle();
    while !world.jobs.is_empty() {
        world.user_code();
        world.settle();
        world.check();
    }
    world.core.tick(true, world.now);
    assert!(world.core.is_idle(), "something is left");
    assert_eq!((world.core.active, world.core.granted, world.core.kept_bytes), (0, 0, 0));
    let counts = world.core.shared.counters.read();
    assert!(world.sent > 0 && counts.opens > 1_000 && counts.results > 50, "{counts:?}");
    assert!(counts.timeouts > 0 && counts.gaps > 0 && counts.protocol > 0 && counts.busy_full > 0, "{counts:?}");
}

#[test]
fn nothing_leaks_whatever_gateways_say() {
    for seed in 1..=8 {
        live_through(0x9E37_79B9_7F4A_7C15 ^ seed << 32);
    }
}

#[test]
fn what_cannot_be_sent_is_kept_within_bounds() {
    let mut world = World::new(5, true);
    let piece = Bytes::from(vec![0; 1 << 20]);
    for _ in 0..40 {
        world.core.answer("nylon.v1.h.g.0.1".into(), &piece);
    }
    world.core.send_out(|_, _, _| Err(PublishError::Disconnected));
    let (bytes, messages) = world.core.out.waiting();
    assert!(bytes <= UNSENT_LIMIT && messages == 32, "{bytes} bytes in {messages} messages");
    assert_eq!(world.core.shared.counters.read().unsent, 8);
    world.core.send_out(|_, _, _| Ok(()));
    assert_eq!(world.core.out.waiting(), (0, 0));
}

/// PROBEs of so many milliseconds: when, to whom, and of which session.
fn probes(world: &mut World, ms: u64) -> Vec<(u64, String, SessionId)> {
    let mut seen = vec![];
    for at in (0..ms).step_by(10) {
        world.now += Duration::from_millis(10);
        world.core.tick(true, world.now);
        world.core.send_out(|subject, _, payload| {
            if let Ok(Frame::Probe(probe)) = Frame::decode(payload) {
                seen.push((at, subject.to_string(), probe.header.session));
            }
            Ok(())
        });
    }
    seen
}

#[test]
fn silence_asks_each_gateway_thread_every_second_and_each_session_ever_less_often() {
    let threads = ["nylon.v1.h.g.0.1", "nylon.v1.h.g.1.5"];
    let mut world = World::new(7, false);
    for number in 0..100 {
        world.open(Some((number, threads[usize::from(number % 2)])));
        world.settle();
        let shared = world.core.shared.clone();
        let run = shared.lane(Lane::Threads).try_take().expect("a job");
        Job::new(run, shared).finish(vec![], Action::Next);
        world.settle();
    }
    let seen = probes(&mut world, 60_000);
    for thread in threads {
        let mut last = 0;
        for (at, ..) in seen.iter().filter(|(_, subject, _)| subject == thread) {
            assert!(at - last <= 1_500, "{thread} is not asked from {last} to {at}");
            last = *at;
        }
        assert!(last >= 58_500);
    }
    for number in 0..100 {
        let own = seen.iter().filter(|(.., session)| session.0 == [number; 16]).count();
        assert!(own >= 5, "{number} asks {own} times");
    }
    assert!(seen.len() <= 100 * 6 + 2 * 60, "{}", seen.len());
    assert!(probes(&mut world, 2_000).len() < 100);
    world.core.on_event(Event::Connection(ConnectionEvent::Connected), world.now);
    let sessions: HashSet<_> = probes(&mut world, 1_500).into_iter().map(|(.., session)| session).collect();
    assert_eq!(sessions.len(), 100, "what was on its way may be lost");
}
