//! One phase run as Python code sees it: what the gateway sent, what the handler asked for so far.

mod changes;

use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, Weak, atomic::AtomicBool};
use std::time::Instant;

use bytes::Bytes;
use nylon_messaging::worker::OnVerdict;
use nylon_wire::{Action, Operation, Outcome, Phase, ResponseBody, ResponsePart, Snapshot};

use crate::arrival::{Arrival, OnArrival};
use crate::failure::Failure;
use crate::header_list::{HeaderList, is_request_header};
use crate::job::{Origin, Work, Writer};
use crate::lane::{Lane, LaneSlot};
use crate::lock::lock;

/// What lives as long as the session: the request, with what this entry changed about it.
pub(crate) struct Session {
    pub(crate) origin: Origin,
    /// When the session was opened here.
    opened: Instant,
    /// Whether a header was changed: until then nobody needs a list of them, or a lock.
    changed: AtomicBool,
    changes: Mutex<Changes>,
    body: Mutex<Option<Bytes>>,
}

/// The request's headers as this entry has changed them. Most handlers never look at what they have changed, so it is
/// worked out only then.
#[derive(Default)]
struct Changes {
    headers: Option<HeaderList>,
    /// What is not in the list yet.
    pending: Vec<Operation>,
}

impl Session {
    pub(crate) fn new(origin: Origin, opened: Instant) -> Self {
        Self { origin, opened, changed: AtomicBool::new(false), changes: Mutex::default(), body: Mutex::new(None) }
    }

    /// The request as the gateway saw it.
    pub(crate) fn snapshot(&self) -> &Snapshot {
        self.origin.snapshot()
    }

    /// The request body, if a handler has read it before.
    pub(crate) fn body(&self) -> Option<Bytes> {
        lock(&self.body).clone()
    }

    /// Keeps the request body for later phases.
    pub(crate) fn keep_body(&self, body: &Bytes) {
        *lock(&self.body) = Some(body.clone());
    }
}

/// Where a phase finds its session.
pub(crate) enum Seat {
    /// The entry has one phase only: nobody else asks for it.
    Own(Session),
    Shared(Arc<Session>),
}

impl Deref for Seat {
    type Target = Session;

    fn deref(&self) -> &Session {
        match self {
            Self::Own(session) => session,
            Self::Shared(session) => session,
        }
    }
}

/// One phase of one session. Shared by the context and the objects it hands out, so that they stay readable when a
/// handler keeps them after its phase.
pub(crate) struct Call {
    pub(crate) session: Seat,
    pub(crate) phase: Phase,
    /// The middleware's payload, JSON text.
    pub(crate) payload: Option<Bytes>,
    /// The response as the gateway knows it; none in a request filter.
    pub(crate) given: Option<ResponsePart>,
    /// Where `async def` handlers run.
    pub(crate) lane: Arc<LaneSlot>,
    started: Instant,
    state: Mutex<State>,
    /// The response body, once it was read. A lock of its own: it is kept from inside [`Call::with_job`] when the body
    /// is at hand.
    read: Mutex<Option<Bytes>>,
}

#[derive(Default)]
struct State {
    job: Option<Work>,
    operations: Vec<Operation>,
    /// How many of the operations on request headers are in the session's list.
    request_shown: usize,
    action: Option<Action>,
    status: Option<u16>,
    /// The response's headers, worked out when somebody looks.
    headers: Option<HeaderList>,
    /// How many of the operations on response headers are in the list.
    response_shown: usize,
    /// The body that was set, once the phase is over.
    body: Option<Bytes>,
    cancelled: bool,
    /// Where the body goes, once it is streamed.
    writer: Option<Writer>,
    /// Whether the request is a WebSocket.
    upgraded: bool,
    /// The task that runs it, if one does.
    task: Option<(Weak<Lane>, u64)>,
}

/// Why a write has no effect; told to the log, once per entry, phase and reason.
pub(crate) struct Ignored {
    pub(crate) what: &'static str,
    pub(crate) why: &'static str,
}

impl State {
    fn body(&self) -> Option<&Bytes> {
        let set = self.operations.iter().rev().find_map(|operation| match operation {
            Operation::SetResponseBody(ResponseBody::Inline(body)) => Some(body),
            _ => None,
        });
        set.or(self.body.as_ref())
    }
}

impl Call {
    pub(crate) fn new(job: Work, session: Seat, phase: Phase, started: Instant, lane: Arc<LaneSlot>) -> Arc<Self> {
        Arc::new(Self {
            session,
            phase,
            payload: job.payload(),
            given: job.response(),
            lane,
            started,
            state: Mutex::new(State { job: Some(job), ..State::default() }),
            read: Mutex::default(),
        })
    }

    /// Name of the entry.
    pub(crate) fn entry(&self) -> &str {
        self.session.origin.entry()
    }

    /// The gateway's id of the request.
    pub(crate) fn request_id(&self) -> &str {
        self.session.snapshot().request_id()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Uses the job, unless the phase is over.
    pub(crate) fn with_job<T>(&self, use_it: impl FnOnce(&Work) -> T) -> Option<T> {
        self.state().job.as_ref().map(use_it)
    }

    /// Takes the job to end the phase; nothing when it has ended before. `ours` references to this call go away with
    /// the phase; if there are more, somebody may still read what was asked for.
    pub(crate) fn take(self: &Arc<Self>, ours: usize) -> Option<(Work, Vec<Operation>, Action)> {
        let (taken, task) = {
            let mut state = self.state();
            let job = state.job.take()?;
            state.cancelled = job.cancelled();
            self.keep(&mut state, Arc::strong_count(self) > ours);
            let operations = std::mem::take(&mut state.operations);
            ((job, operations, state.action.unwrap_or(Action::Next)), state.task.take())
        };
        // Without the lock: letting go of a task may run Python code.
        if let Some((lane, id)) = task
            && let Some(lane) = lane.upgrade()
        {
            lane.forget(id);
        }
        Some(taken)
    }

    /// From now on a task of the lane runs it, which is told when the phase is cancelled; false if the phase is over.
    pub(crate) fn runs_in(&self, lane: &Arc<Lane>, id: u64) -> bool {
        let mut state = self.state();
        let Some(job) = &state.job else { return false };
        let to_cancel = Arc::downgrade(lane);
        job.on_cancel(move || {
            if let Some(lane) = to_cancel.upgrade() {
                lane.cancel(id);
            }
        });
        state.task = Some((Arc::downgrade(lane), id));
        true
    }

    /// Keeps what was asked for, before it is given away: for the session's later phases, and for who still reads.
    fn keep(&self, state: &mut State, read: bool) {
        if read {
            self.response_list(state);
            state.body = state.body().cloned();
        }
        if read || matches!(self.session, Seat::Shared(_)) {
            let mut changes =
                state.operations.iter().filter(|o| is_request_header(o)).skip(state.request_shown).peekable();
            if changes.peek().is_some() {
                lock(&self.session.changes).pending.extend(changes.cloned());
            }
        }
    }

    /// Whether client, deadline or gateway have ended the phase before the handler did.
    pub(crate) fn cancelled(&self) -> bool {
        let state = self.state();
        state.job.as_ref().map_or(state.cancelled, Work::cancelled)
    }

    /// Whether the answer has begun, so that it can be no other one any more.
    pub(crate) fn has_begun(&self) -> bool {
        let state = self.state();
        state.upgraded || state.writer.is_some()
    }

    /// A terminal call: the first one of a phase wins.
    pub(crate) fn terminate(&self, action: Action) -> Result<(), Ignored> {
        let mut state = self.state();
        let what = if action == Action::End { "end()" } else { "next()" };
        if state.job.is_none() {
            return Err(Ignored { what, why: "the phase is over" });
        }
        if state.action.is_some() {
            return Err(Ignored { what, why: "the phase has ended with an earlier next() or end()" });
        }
        state.action = Some(action);
        Ok(())
    }

    /// Begins to stream the body, with the head as it is now: what is set later comes too late.
    pub(crate) fn start_stream(&self) -> Result<Writer, Failure> {
        if self.phase != Phase::RequestFilter {
            return Err(Failure::Other("only a request filter can stream its answer".to_owned()));
        }
        self.start_body()
    }

    /// The same for what comes out of a body filter that takes the body piece by piece.
    pub(crate) fn start_body(&self) -> Result<Writer, Failure> {
        let mut state = self.state();
        let state = &mut *state;
        let unavailable = |why: &str| Err(Failure::Other(why.to_owned()));
        if state.writer.is_some() {
            return unavailable("the body is streamed already");
        }
        if state.action.is_some() {
            return unavailable("it came after next() or end()");
        }
        if state.job.is_none() {
            return Err(Failure::Closed);
        }
        self.keep(state, true);
        let mut operations = std::mem::take(&mut state.operations);
        (state.request_shown, state.response_shown) = (0, 0);
        operations.retain(|operation| !matches!(operation, Operation::SetResponseBody(_)));
        let Some(job) = &state.job else { return Err(Failure::Closed) };
        let writer = job.stream(operations)?;
        state.action = Some(if self.phase == Phase::RequestFilter { Action::End } else { Action::Next });
        state.writer = Some(writer.clone());
        Ok(writer)
    }

    /// Asks for a WebSocket with the headers as they are now. If the gateway does not agree, nothing has changed.
    pub(crate) fn start_upgrade(self: &Arc<Self>, max_message: usize, subprotocol: Option<String>, done: OnArrival) {
        let state = self.state();
        let unavailable = |why: &str| Failure::Other(why.to_owned());
        let job = match &state.job {
            _ if self.phase != Phase::RequestFilter => Err(unavailable("only a request filter can do it")),
            _ if state.action.is_some() => Err(unavailable("the response has been given or begun")),
            None => Err(Failure::Closed),
            Some(job) => Ok(job),
        };
        let job = match job {
            Ok(job) => job,
            Err(failure) => {
                drop(state);
                return done(Err(failure));
            }
        };
        let of_the_head =
            |o: &&Operation| !matches!(o, Operation::SetResponseBody(_) | Operation::SetResponseStatus(_));
        let operations: Vec<_> = state.operations.iter().filter(of_the_head).cloned().collect();
        let (call, chosen) = (Arc::clone(self), subprotocol.clone());
        let verdict: OnVerdict = Box::new(move |verdict| {
            done(match verdict {
                Ok(socket) => {
                    let mut state = call.state();
                    (state.action, state.upgraded) = (Some(Action::End), true);
                    drop(state);
                    Ok(Arrival::Socket(socket, chosen))
                }
                Err(error) => Err(error.into()),
            });
        });
        job.upgrade(operations, max_message, subprotocol.as_deref(), verdict);
    }

    /// The handler has returned: a body filter's output ends with it.
    pub(crate) fn end_filter(&self) {
        let writer = self.state().writer.clone();
        if let Some(writer) = writer.filter(|_| self.phase == Phase::ResponseBodyFilter) {
            // A session that is over has told the handler.
            let _ = writer.end(Outcome::Ok);
        }
    }
}
