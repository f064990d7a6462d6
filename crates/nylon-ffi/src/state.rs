//! What is known of a session, behind its lock.

use std::{collections::VecDeque, sync::Arc, task::Waker, time::Instant};

use bytes::Bytes;
use nylon_plugin::{Action, MessageKind, Operation, Phase, PhaseMask, PluginError};

use crate::{
    inbox::Inbox,
    view::{RequestView, ResponseView},
};

/// What a queued message weighs besides its bytes.
pub(crate) const OVERHEAD: usize = 64;

/// How far a session is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Between two phases.
    #[default]
    Idle,
    /// A phase is going to begin; the library has not been told.
    Due(Phase),
    /// The library has been told, and has not said next or end.
    Running(Phase),
    /// It sends the answer piece by piece.
    Streaming,
    /// It wants a WebSocket; the gateway looks whether it can have one.
    Upgrading,
    /// It has one.
    Socket,
    /// Failed, abandoned or closed: nothing that comes counts any more.
    Dead,
}

/// What the gateway thread hears of a session, in order.
#[derive(Debug)]
pub(crate) enum Event {
    /// The phase is over.
    Done(Action),
    /// The phase has failed; the session is dead.
    Failed(PluginError),
    /// A read waits for the request's body.
    RequestBody,
    /// A read waits for the next piece of it, or of the answer that a filter streams.
    Piece,
    /// A read waits for the body of the answer.
    ResponseBody,
    /// The answer follows piece by piece.
    Stream,
    /// A piece of it.
    Data(Bytes),
    /// It is whole.
    StreamEnd,
    /// The request shall become a WebSocket.
    Upgrade(Wish),
    /// A message for the client.
    Send(MessageKind, Bytes),
    /// The socket shall be closed.
    Close {
        /// RFC 6455, 7.4.
        code: u16,
        reason: Box<str>,
    },
}

/// What waits to be told to the library. One thread at a time does so, in order.
pub(crate) enum Item {
    Register,
    Start { phase: Phase, may_run: bool },
    Socket(u32, Bytes),
    Close,
}

/// What a library wants of a WebSocket.
#[derive(Debug, Default)]
pub(crate) struct Wish {
    /// The longest message, bytes; else what the plugin may have of a body.
    pub(crate) max_message: Option<usize>,
    pub(crate) subprotocol: Option<Box<str>>,
    /// The library takes a refusal, and goes on.
    pub(crate) answered: bool,
}

/// How a phase is begun.
pub(crate) struct How {
    /// For phases that nobody waits for.
    pub(crate) until: Option<Instant>,
    /// The library may run the handler within the call: nothing that the handler may need waits for that call.
    pub(crate) may_run: bool,
    /// Call on this thread, a gateway thread; the phase may last until then.
    pub(crate) inline: Option<Instant>,
    /// The same phase may follow, for a later place of the entry.
    pub(crate) again: bool,
    /// The answer for the body filter, which begins behind this phase if that changes nothing.
    pub(crate) ahead: Option<ResponseView>,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) stage: Stage,
    /// As long as the session lasts. It keeps the memory that the connection has read the head into.
    pub(crate) request: Option<RequestView>,
    pub(crate) payload: Option<Bytes>,
    pub(crate) response: ResponseView,
    pub(crate) ahead: Option<ResponseView>,
    /// The body filter has begun so; the gateway thread does not know yet.
    pub(crate) early: bool,
    pub(crate) request_body: Option<Bytes>,
    /// Of the request's body, for the read that waits for it.
    pub(crate) piece: Option<Bytes>,
    pub(crate) operations: Vec<Operation>,
    /// Bytes in them.
    pub(crate) operations_size: usize,
    /// Reads behind one that waits for a body: they are answered in order.
    pub(crate) held: VecDeque<(u32, Bytes)>,
    pub(crate) events: VecDeque<Event>,
    pub(crate) waker: Option<Waker>,
    /// Of the gateway thread, which is to wake it.
    pub(crate) inbox: Option<Arc<Inbox>>,
    /// Of messages for the client that are not in its socket, bytes; and those of them that were handed to it.
    pub(crate) weight: usize,
    pub(crate) handed: usize,
    /// Threads of the library that wait for that to become less.
    pub(crate) writers: usize,
    pub(crate) outbox: VecDeque<Item>,
    pub(crate) outbox_weight: usize,
    pub(crate) delivering: bool,
    /// The thread that holds this will deliver; nobody else need be called for it.
    pub(crate) here: bool,
    /// Nobody waits for what the library is told.
    pub(crate) later: bool,
    /// Answers to reads that had to wait: what is answered now comes behind them.
    pub(crate) replies: VecDeque<(u32, Bytes)>,
    pub(crate) replying: bool,
    pub(crate) registered: bool,
    pub(crate) mask: Option<PhaseMask>,
    /// Its body filter takes the body piece by piece.
    pub(crate) streams_body: bool,
    /// What it streams is what its body filter makes of the answer.
    pub(crate) filtering: bool,
    /// When the library was told of the phase.
    pub(crate) begun: Option<Instant>,
    /// Nobody waits for the phase; it has to be over by then.
    pub(crate) logging_until: Option<Instant>,
    /// It had a WebSocket.
    pub(crate) had_socket: bool,
    /// It has asked to close that, and says nothing more in it.
    pub(crate) closing: bool,
    /// It has said something in a room, which may be its own.
    pub(crate) spoken: bool,
    pub(crate) rooms: Vec<String>,
    /// More came from rooms than the client takes.
    pub(crate) overflown: bool,
    /// It is over for the gateway.
    pub(crate) closed: bool,
    pub(crate) buried: bool,
    /// Since when the library has not returned from being told to begin.
    pub(crate) calling: Option<Instant>,
    /// The library is in a call that may run the handler to its end, so that what ends the session cannot wait for it.
    pub(crate) starting: bool,
    /// A gateway thread is in the library: since when, and until when the phase may last.
    pub(crate) inline: Option<(Instant, Instant)>,
    /// The phase may follow once more.
    pub(crate) again: bool,
    /// No phase is left, and the library has heard so.
    pub(crate) parted: bool,
    /// It was given up while the library did not return from a call.
    pub(crate) stuck: bool,
}

impl State {
    /// Whether the request's body can be taken piece by piece: by a request filter, or in its stream.
    pub(crate) fn may_take(&self) -> bool {
        matches!(self.stage, Stage::Running(Phase::RequestFilter) | Stage::Streaming) && !self.filtering
    }

    /// Tells the gateway thread.
    pub(crate) fn push(&mut self, event: Event) {
        self.events.push_back(event);
        self.wake();
    }

    /// Everything has been told. Only a WebSocket waits for that; a phase is over when the library says so, mostly later.
    pub(crate) fn told(&mut self) {
        self.delivering = false;
        if self.had_socket {
            self.wake();
        }
    }

    fn wake(&mut self) {
        let Some(waker) = self.waker.take() else { return };
        match &self.inbox {
            Some(inbox) => inbox.wake(waker),
            None => waker.wake(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering::Relaxed},
        task::Wake,
    };

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    #[test]
    fn only_a_websocket_hears_that_everything_has_been_told() {
        for had_socket in [false, true] {
            let woken = Arc::<Woken>::default();
            let waker = Some(Arc::clone(&woken).into());
            let mut state = State { had_socket, delivering: true, waker, ..State::default() };
            state.told();
            assert_eq!(woken.0.load(Relaxed), usize::from(had_socket));
            state.push(Event::Done(Action::Next));
            assert_eq!(woken.0.load(Relaxed), 1);
        }
    }
}
