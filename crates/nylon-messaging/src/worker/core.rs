//! The state of a worker: messages, events and time go in, frames and jobs come out. Does no I/O itself.

mod beat;
mod bodies;
mod config;
mod ends;
mod finish;
mod flows;
mod frames;
mod opens;
mod pace;
mod sockets;
mod timers;

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use async_nats::{HeaderMap, Message, StatusCode, Subject};
use bytes::{Bytes, BytesMut};
use foldhash::fast::RandomState;
use nylon_wire::{
    AbortFrame, AbortReason, First, Frame, FrameType, Header, Limits, SessionId, Text, peek_refused, session_frames,
    subject,
};

use self::pace::Pace;
use super::{
    FetchError, Lane, WorkerError, WriteError,
    age::Ages,
    init::Init,
    live::{Live, PROBE_AFTER, Then, Wait},
    outbox::Event,
    outgoing::Outgoing,
    run::{Run, Stage},
    shared::Shared,
};
use crate::{ConnectionEvent, PublishError, lock::lock};

/// A handler that has not answered after this is announced by ACCEPT.
const ACCEPT_AFTER: Duration = Duration::from_millis(50);
/// While it goes on hearing nothing, each of its questions comes twice as long after the one before, up to this; in between,
/// those of other sessions of the same gateway thread are its own.
const PROBE_AGAIN: Duration = Duration::from_secs(16);
/// A session between two phases that hears nothing for this long is dropped, although its gateway lives.
const IDLE_LIMIT: Duration = Duration::from_secs(3_600);
/// Idle sessions are held for this many times the limit of active ones.
const IDLE_FACTOR: usize = 16;
/// The server's limit before it has told, in bytes.
const MAX_PAYLOAD: usize = 1 << 20;
/// Frames up to this are copied, in bytes.
const OWNED_LIMIT: usize = 16 << 10;
/// Request bodies of sessions between two phases, all together, in bytes.
const KEPT_LIMIT: usize = 64 << 20;

/// A small frame as memory of its own: a session that lives for long must not keep the connection's whole read buffer.
fn owned(payload: Bytes) -> Bytes {
    if payload.len() <= OWNED_LIMIT { Bytes::copy_from_slice(&payload) } else { payload }
}

/// Where a worker is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// Takes opens.
    Serving,
    /// Says that it drains, but opens that were on their way still count.
    Leaving,
    /// Takes no opens.
    Draining,
}

/// What an entry has done, for STATS.
#[derive(Default)]
pub(super) struct EntryCounts {
    pub requests: u64,
    pub errors: u64,
    pub handling: Duration,
    pub last_error: String,
}

pub(super) struct Core {
    pub shared: Arc<Shared>,
    pub life: Life,
    pub init: Init,
    pub entries: HashMap<String, usize>,
    names: Vec<Arc<str>>,
    pub entry_counts: Vec<EntryCounts>,
    live: HashMap<SessionId, Box<Live>, RandomState>,
    /// Handlers that still run although their session is over.
    abandoned: Vec<Arc<Run>>,
    active: usize,
    taken_back: bool,
    /// Sessions that every tick looks at; those that have become idle leave with the next one.
    hot: Vec<SessionId>,
    /// When all sessions were looked at.
    surveyed: Instant,
    /// From then on a probe that finds nobody proves something.
    settled_at: Instant,
    /// When a gateway's thread was last asked whether it is there, by the subject of its slots.
    asked: HashMap<Box<str>, Instant>,
    fresh: [Vec<Arc<Run>>; 2],
    paces: [Pace; 2],
    out: Outgoing,
    ages: Ages,
    numbers: u64,
    beat_seq: u32,
    worker: Text,
    subject: Subject,
    beat_subject: Subject,
    reply_prefix: String,
    max_payload: usize,
    /// Bytes that gateways may have on their way to us beyond the initial credits.
    granted: u64,
    /// Request bodies of idle sessions.
    kept_bytes: usize,
    shutdown_done: bool,
    /// Since when it drains.
    leaving: Option<Instant>,
}

impl Core {
    pub fn new(shared: Arc<Shared>) -> Result<Self, WorkerError> {
        let options = &shared.options;
        let name = |what: &str, built: Result<String, subject::SubjectError>| {
            built.map(Subject::from).map_err(|cause| WorkerError::Name { what: what.to_owned(), cause })
        };
        let (prefix, group, id) = (&options.prefix, &options.group, &shared.id);
        let mut core = Self {
            life: Life::Serving,
            init: Init::new(options.initialize, options.config.is_some()),
            entries: options.entries.iter().enumerate().map(|(index, entry)| (entry.name.clone(), index)).collect(),
            names: options.entries.iter().map(|entry| Arc::from(entry.name.as_str())).collect(),
            entry_counts: options.entries.iter().map(|_| EntryCounts::default()).collect(),
            live: HashMap::default(),
            abandoned: Vec::new(),
            active: 0,
            taken_back: false,
            hot: Vec::new(),
            surveyed: Instant::now(),
            settled_at: Instant::now(),
            asked: HashMap::new(),
            fresh: [Vec::new(), Vec::new()],
            paces: Default::default(),
            out: Outgoing::new(MAX_PAYLOAD),
            ages: Ages::default(),
            numbers: 0,
            beat_seq: 0,
            worker: Text::from(id.as_str()),
            subject: name("the worker's subject", subject::worker(prefix, group, id))?,
            beat_subject: name("the beat's subject", subject::beat(prefix, group, id))?,
            reply_prefix: format!("{prefix}.v1.h."),
            max_payload: MAX_PAYLOAD,
            granted: 0,
            kept_bytes: 0,
            shutdown_done: false,
            leaving: None,
            shared: shared.clone(),
        };
        core.start_own_config(Instant::now());
        Ok(core)
    }

    /// The worker's direct subject.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Sessions and abandoned handlers that are left.
    pub fn is_idle(&self) -> bool {
        self.live.is_empty() && self.abandoned.is_empty()
    }

    /// Whether the ticker has work besides beats.
    pub fn needs_ticks(&self) -> bool {
        !self.hot.is_empty() || !self.out.is_empty() || self.taken_back
    }

    pub fn shutdown_done(&self) -> bool {
        self.shutdown_done
    }

    /// An event of another thread or of the connection.
    pub fn on_event(&mut self, event: Event, now: Instant) {
        match event {
            Event::Finished { run, outcome, handler } => self.on_finished(&run, outcome, handler, now),
            Event::Fetch { run, body, max, callback } => self.on_fetch(&run, body, max, callback, now),
            Event::Stream { run, writer, operations } => self.on_stream(&run, writer, operations, now),
            Event::Write(run) => self.on_write(&run, now),
            Event::Read { run, body, reader } => self.on_read(&run, body, reader, now),
            Event::Took { run, reader } => self.on_took(&run, &reader),
            Event::Upgrade { run, socket, operations, subprotocol } => {
                self.on_upgrade(&run, socket, operations, subprotocol);
            }
            Event::Socket(run) => self.on_socket(&run),
            Event::Connection(ConnectionEvent::Connected | ConnectionEvent::Disconnected) => {
                self.ages.disturbed(now);
                // What was on its way may be lost: every session asks for itself.
                self.live.values_mut().for_each(|live| live.patience = PROBE_AFTER);
            }
            Event::Connection(_) | Event::Drain | Event::Stop => {}
        }
    }

    /// The server's limit, read again after each connect.
    pub fn set_max_payload(&mut self, bytes: usize) {
        self.max_payload = bytes;
        self.out.set_max_payload(bytes);
    }

    fn set_busy_of(&mut self, live: &mut Live, busy: bool) {
        if busy && !std::mem::replace(&mut live.hot, true) {
            self.hot.push(live.session.id);
        }
        if live.busy != busy {
            live.busy = busy;
            self.active = if busy { self.active + 1 } else { self.active.saturating_sub(1) };
        }
    }

    /// Active sessions and abandoned handlers: what the limit is about.
    fn load(&self) -> usize {
        self.active + self.abandoned.len()
    }

    fn count(&self, counter: impl Fn(&super::stats::Counters) -> &std::sync::atomic::AtomicU64) {
        counter(&self.shared.counters).fetch_add(1, Relaxed);
    }

    /// Where the next frame of a session goes, its header, and what its first frame has to say besides. None where
    /// nothing may be said.
    fn next_header(&mut self, session: SessionId) -> Option<(Subject, Header, Option<First>)> {
        self.live.get(&session).filter(|live| !live.silent)?;
        self.asking_header(session)
    }

    /// The same for asking for bytes, which even a logging session may do if its gateway attends to it (SPEC 9.5).
    fn asking_header(&mut self, session: SessionId) -> Option<(Subject, Header, Option<First>)> {
        let live = self.live.get_mut(&session).filter(|live| !live.silent || live.attended)?;
        let header = Header { session, generation: live.generation, seq: live.next_out, phase_seq: live.phase_seq };
        live.next_out = live.next_out.wrapping_add(1);
        let options = &self.shared.options;
        let first =
            (!std::mem::replace(&mut live.first_sent, true)).then(|| options.entries.get(live.session.entry)).flatten();
        let first = first.map(|entry| First {
            worker: self.worker.clone(),
            mask: entry.phases,
            body_mode: entry.body_mode,
            credit: options.credit,
        });
        Some((live.reply.clone(), header, first))
    }

    /// Queues a frame of a session for its gateway.
    fn emit(&mut self, subject: Subject, encode: impl FnOnce(&mut BytesMut)) {
        self.out.frame(subject, encode);
    }

    /// Queues an answer that is no frame.
    pub fn answer(&mut self, subject: Subject, payload: &[u8]) {
        self.out.alone(subject, None, |out| out.extend_from_slice(payload));
    }

    /// Hands what is ready to the lanes; returns when the watchdog of [`Lane::Threads`] wants to look.
    pub fn hand_over(&mut self, now: Instant) -> Option<Instant> {
        let [threads, looped] = &mut self.fresh;
        self.shared.looped.push(looped, now);
        let watch = self.shared.threads.push(threads, now);
        let gauges = &self.shared.gauges;
        gauges.sessions.store(self.live.len(), Relaxed);
        gauges.active.store(self.load(), Relaxed);
        gauges.config.store(self.init.state().number(), Relaxed);
        watch
    }

    /// Publishes what it can; what it cannot stays for later, within limits.
    pub fn send_out(&mut self, publish: impl FnMut(&Subject, Option<&Subject>, &Bytes) -> Result<(), PublishError>) {
        let counters = &self.shared.counters;
        self.out.send(publish, |error, bytes| {
            tracing::error!(%error, bytes, "sending a message");
            counters.unsent.fetch_add(1, Relaxed);
        });
    }

    /// Whether an open that joins the lane now would wait for user code for most of the time that it may (rules §2).
    fn is_behind(&mut self, lane: Lane) -> bool {
        // Almost never, and then nobody needs to count.
        if !self.pace(lane).is_behind() {
            return false;
        }
        let (waiting, limit) = (self.waiting(lane), self.shared.options.wait_limit.mul_f32(0.8));
        self.pace(lane).too_many(waiting, limit)
    }

    /// Jobs that wait for user code.
    fn waiting(&self, lane: Lane) -> usize {
        let [threads, looped] = &self.fresh;
        let fresh = match lane {
            Lane::Threads => threads,
            Lane::Loop => looped,
        };
        self.shared.lane(lane).len() + fresh.len()
    }

    fn pace(&mut self, lane: Lane) -> &mut Pace {
        let [threads, looped] = &mut self.paces;
        match lane {
            Lane::Threads => threads,
            Lane::Loop => looped,
        }
    }

    fn lane_of(&mut self, lane: Lane) -> &mut Vec<Arc<Run>> {
        let [threads, looped] = &mut self.fresh;
        match lane {
            Lane::Threads => threads,
            Lane::Loop => looped,
        }
    }

    /// Keeps a session's request body for its later phases, as long as all of them together stay small: what is not kept
    /// can be asked for again.
    fn keep_body(&mut self, live: &mut Live) {
        let mut body = lock(&live.session.request_body);
        let length = body.as_ref().map_or(0, Bytes::len);
        if length == live.kept {
            return;
        }
        if self.kept_bytes + length > KEPT_LIMIT {
            *body = None;
        } else {
            live.kept = length;
            self.kept_bytes += length;
        }
    }

    /// Largest piece of a body in one frame.
    fn chunk(&self) -> usize {
        Limits::chunk(self.max_payload)
    }
}

#[cfg(test)]
mod tests;
