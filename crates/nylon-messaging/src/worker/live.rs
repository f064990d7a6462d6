//! A session as the I/O thread sees it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_nats::Subject;
use bytes::{Bytes, BytesMut};
use nylon_wire::{Action, Credit, FetchKind, OpenFrame, Operation, PhaseFrame, Revision, Timing};

use super::{BodyReader, OnBody, Session, Socket, StreamWriter, run::Run};

/// A session that hears nothing asks whether its gateway is there.
pub(super) const PROBE_AFTER: Duration = Duration::from_secs(1);

/// A FETCH that is not answered yet.
pub(super) struct Call {
    pub id: u32,
    pub what: FetchKind,
    pub max: usize,
    pub got: BytesMut,
    pub then: Then,
}

/// What the answer is for.
pub(super) enum Then {
    /// A body for user code.
    Body(OnBody),
    /// A configuration text.
    Config(Option<Revision>),
    /// The open that did not fit.
    Open,
    /// A body that user code reads as it comes.
    Pieces(Arc<BodyReader>),
}

/// A body on its way out, with the result that follows it.
pub(super) struct Sending {
    pub id: u32,
    pub body: Bytes,
    pub sent: usize,
    pub operations: Vec<Operation>,
    pub action: Action,
    pub timing: Timing,
    /// Whether it waits for credit now.
    pub stalled: bool,
}

/// What a session waits for before its handler may run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// Nothing.
    No,
    /// The rest of the open.
    Rest,
    /// An Initialize.
    Init,
}

/// One open session.
pub(super) struct Live {
    pub session: Arc<Session>,
    pub generation: u32,
    pub reply: Subject,
    /// Length of the part of `reply` that names the gateway's thread.
    pub gateway: usize,
    pub next_in: u32,
    pub next_out: u32,
    pub phase_seq: u32,
    pub first_sent: bool,
    /// Nothing is answered: logging runs.
    pub silent: bool,
    /// Although it is silent, what it needs to start may be asked for.
    pub attended: bool,
    /// Counted as active.
    pub busy: bool,
    /// Looked at by every tick.
    pub hot: bool,
    pub wait: Wait,
    /// The open, until its handler is queued.
    pub open: Option<Box<OpenFrame>>,
    pub run: Option<Arc<Run>>,
    /// What we may send.
    pub credit: Credit,
    /// What the gateway may send: left of what it was granted.
    pub granted: Credit,
    /// What the gateway may have on its way to us at most, bytes.
    pub window: u32,
    /// Taken and not granted back yet, bytes.
    pub owed: u32,
    /// Bytes of its request body that are kept between phases.
    pub kept: usize,
    /// When the running phase came.
    pub received: Instant,
    pub deadline: Instant,
    pub heard: Instant,
    /// When it was heard or last asked for itself, or another session of its gateway's thread was.
    pub probed: Instant,
    /// When it was heard or last asked for itself, and how long that lasts for.
    pub asked: Instant,
    pub patience: Duration,
    pub calls: Vec<Call>,
    /// The first of them by which the running phase reads the request as it comes: while it is open the phase has no deadline
    /// (SPEC 14.13).
    pub upload: Option<u32>,
    pub next_id: u32,
    pub sending: Option<Box<Sending>>,
    /// While the handler streams.
    pub writer: Option<Arc<StreamWriter>>,
    /// Since the handler has asked for a WebSocket, until its phase is over or it is refused.
    pub socket: Option<Arc<Socket>>,
    /// The id of its messages.
    pub connection: u32,
    /// The stream has ended, its handler has not returned.
    pub tail: bool,
    /// The handler has returned, its stream or WebSocket has not ended.
    pub returned: bool,
    /// The phase that waits for the handler of an ended stream.
    pub held: Option<Box<PhaseFrame>>,
    /// The running phase may come once more (SPEC 9.6).
    pub again: bool,
    /// Some phase of it was announced to come once more.
    pub repeats: bool,
    /// No further phase comes.
    pub closed: bool,
    /// How long the running phase may take.
    pub span: Duration,
}

impl Live {
    /// The subject of the gateway's thread, without the slot.
    pub fn gateway(&self) -> &str {
        self.reply.as_str().get(..self.gateway).unwrap_or_default()
    }

    /// From now on its silence counts: something of the gateway's came, or it has its answer.
    pub fn hear(&mut self, now: Instant) {
        (self.heard, self.probed, self.asked, self.patience) = (now, now, now, PROBE_AFTER);
    }

    /// Whether the running phase may last: it streams, has a WebSocket, or reads an upload.
    pub fn lasts(&self) -> bool {
        let uploads = self.upload.is_some_and(|id| self.calls.iter().any(|call| call.id == id));
        self.writer.is_some() || self.socket.is_some() || uploads && !self.tail
    }

    /// An id that no call and no body of this session has had.
    pub fn new_id(&mut self) -> u32 {
        self.next_id = self.next_id.wrapping_add(1);
        self.next_id
    }
}
