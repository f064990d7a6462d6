//! A piece of work for user code.

mod bodies;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use nylon_wire::{AbortReason, Action, BodyMode, Operation, Phase, ResponsePart, Revision, Snapshot, Text, failure};

pub use self::bodies::{Body, FetchError, OnBody};
use super::{
    OnCancel, OnVerdict, Session, Socket, SocketError, StreamWriter, WriteError, lane,
    outbox::{Event, Outcome},
    patience::SLOW,
    run::Run,
    shared::Shared,
};

/// What a job asks of user code.
#[derive(Clone, Debug, PartialEq)]
pub enum JobKind {
    /// Run the phase's handler and [`Job::finish`] with what it asked for.
    Phase(Phase),
    /// Take a configuration: [`Job::finish`] without operations when it is good, [`Job::fail`] when it is not.
    Initialize {
        /// JSON text; empty when the plugin has none.
        config: Bytes,
        /// Which revision it is; none for the worker's own configuration or a plugin without one.
        revision: Option<Revision>,
    },
    /// The last job: no session is left and none will come.
    Shutdown,
}

/// A piece of work. Whoever has it owes an answer: dropping it unfinished answers `handler_error`.
pub struct Job {
    run: Arc<Run>,
    shared: Arc<Shared>,
    answered: bool,
}

impl Job {
    pub(super) fn new(run: Arc<Run>, shared: Arc<Shared>) -> Self {
        Self { run, shared, answered: false }
    }

    /// What is to be done.
    #[must_use]
    pub fn kind(&self) -> &JobKind {
        &self.run.kind
    }

    /// The phase; none for Initialize and Shutdown.
    #[must_use]
    pub fn phase(&self) -> Option<Phase> {
        match self.run.kind {
            JobKind::Phase(phase) => Some(phase),
            _ => None,
        }
    }

    /// The session; none for Initialize and Shutdown.
    #[must_use]
    pub fn session(&self) -> Option<&Arc<Session>> {
        self.run.session.as_ref()
    }

    /// Name of the entry; empty for Initialize and Shutdown.
    #[must_use]
    pub fn entry(&self) -> &str {
        self.session().map_or("", |session| session.entry())
    }

    fn body_mode(&self) -> BodyMode {
        let entry = self.session().and_then(|session| self.shared.options.entries.get(session.entry_index()));
        entry.map_or(BodyMode::Buffered, |entry| entry.body_mode)
    }

    /// [`Session::uid`]; empty for Initialize and Shutdown.
    #[must_use]
    pub fn session_uid(&self) -> String {
        self.session().map_or_else(String::new, |session| session.uid())
    }

    /// [`Session::number`]; 0 for Initialize and Shutdown.
    #[must_use]
    pub fn session_number(&self) -> u64 {
        self.session().map_or(0, |session| session.number())
    }

    /// The request; none for Initialize and Shutdown.
    #[must_use]
    pub fn snapshot(&self) -> Option<&Snapshot> {
        self.session().map(|session| session.snapshot())
    }

    /// Whether a phase of its session comes more than once, for another place in the chain (SPEC 9.6): what the handler
    /// keeps in the session must outlive even its last phase.
    #[must_use]
    pub fn repeats(&self) -> bool {
        self.run.repeats
    }

    /// The middleware's payload for this phase, JSON text.
    #[must_use]
    pub fn payload(&self) -> Option<&Bytes> {
        self.run.payload.as_ref()
    }

    /// The response; none in a request filter.
    #[must_use]
    pub fn response(&self) -> Option<&ResponsePart> {
        self.run.response.as_ref()
    }

    /// When the gateway gives up.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.run.deadline
    }

    /// How long it waited for user code.
    #[must_use]
    pub fn waited(&self) -> Duration {
        self.run.wait()
    }

    /// User code begins only now: a task of an event loop has waited for its turn since it was taken, which is no time of
    /// its handler.
    pub fn begins(&self) {
        self.run.taken_again(Instant::now());
    }

    /// Whether nobody waits for the answer any more: the deadline has passed, the client, the gateway or the worker ends.
    #[must_use]
    pub fn cancelled(&self) -> bool {
        self.run.cancel_reason().is_some()
    }

    /// Why it was cancelled.
    #[must_use]
    pub fn cancel_reason(&self) -> Option<AbortReason> {
        self.run.cancel_reason()
    }

    /// Registers what cancelling calls, replacing an earlier one; at once if it has happened. Runs on the I/O thread:
    /// it must not block, so it must not wait for an interpreter's lock. Not called any more after the answer.
    pub fn on_cancel(&self, callback: OnCancel) {
        self.run.on_cancel(callback);
    }

    /// Begins to stream the body of the answer, with the status and headers that the operations set: in a request filter
    /// instead of an answer, in a response body filter in place of the body. [`Job::finish`] comes behind its end; what
    /// it says does not matter any more, and a stream that has not ended by then is cut short.
    ///
    /// # Errors
    /// [`WriteError::NotAvailable`] in the other phases, and in a body filter of mode buffered (SPEC 14.1).
    pub fn stream(&self, operations: Vec<Operation>) -> Result<Arc<StreamWriter>, WriteError> {
        let may = match self.phase() {
            Some(Phase::RequestFilter) => true,
            Some(Phase::ResponseBodyFilter) => self.body_mode() == BodyMode::Streaming,
            _ => false,
        };
        if !may {
            return Err(WriteError::NotAvailable("this phase has no body to stream"));
        }
        if let Some(reason) = self.run.cancel_reason() {
            return Err(WriteError::Cancelled(reason));
        }
        let writer = StreamWriter::new(self.shared.clone(), self.run.clone());
        let (run, to_open) = (self.run.clone(), writer.clone());
        self.shared.outbox.push(Event::Stream { run, writer: to_open, operations });
        Ok(writer)
    }

    /// Asks for a WebSocket in place of an answer, whose 101 has the headers that the operations set; in a request filter.
    /// Calls back with the gateway's verdict from the I/O thread, where it must not block. After
    /// [`SocketError::NotWebSocket`] the response is still to be given; else [`Job::finish`] closes the socket with 1000
    /// and [`Job::fail`] with 1011, if it is open then.
    pub fn upgrade(
        &self,
        operations: Vec<Operation>,
        max_message: usize,
        subprotocol: Option<&str>,
        verdict: OnVerdict,
    ) {
        if self.phase() != Some(Phase::RequestFilter) {
            return verdict(Err(SocketError::NotAvailable("only a request filter can upgrade a request".to_owned())));
        }
        if let Some(reason) = self.run.cancel_reason() {
            return verdict(Err(SocketError::Cancelled(reason)));
        }
        let socket = Socket::new(self.shared.clone(), self.run.clone(), max_message, verdict);
        let (run, subprotocol) = (self.run.clone(), subprotocol.map(Text::from));
        self.shared.outbox.push(Event::Upgrade { run, socket, operations, subprotocol });
    }

    /// Answers: the operations in the order in which the handler asked for them, and how the phase ends. For Initialize
    /// and Shutdown both mean nothing but success.
    pub fn finish(mut self, operations: Vec<Operation>, action: Action) {
        self.answer(Outcome::Result { operations, action });
    }

    /// Answers that the handler failed. `code` is one of [`failure`]; `text` is for the gateway's log; `log_id` finds
    /// the story in the worker's.
    pub fn fail(mut self, code: &str, text: impl Into<String>, log_id: Option<String>) {
        self.answer(Outcome::Failed { code: code.to_owned(), text: text.into(), log_id });
    }

    fn answer(&mut self, outcome: Outcome) {
        self.answered = true;
        self.run.done();
        let handler = self.run.queued.elapsed().saturating_sub(self.run.wait());
        let finished = Event::Finished { run: self.run.clone(), outcome, handler };
        // Only a quick handler's result may wait for those of its batch, and only where the thread comes back for more.
        if handler < SLOW && lane::comes_back() {
            self.shared.outbox.push_in_batch(finished);
        } else {
            self.shared.outbox.push(finished);
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if !self.answered {
            let text = "the handler ended without an answer".to_owned();
            self.answer(Outcome::Failed { code: failure::HANDLER_ERROR.to_owned(), text, log_id: None });
        }
    }
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job")
            .field("kind", &self.run.kind)
            .field("session", &self.session_uid())
            .finish_non_exhaustive()
    }
}
