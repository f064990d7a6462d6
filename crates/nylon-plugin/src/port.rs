//! The session port: what every transport (NATS, FFI, in-process Python) implements.
//!
//! A gateway thread owns its plugins and sessions; nothing here is `Send`.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use nylon_wire::Operation;

use crate::{BodyMode, BodyStream, Exchange, Phase, PhaseMask, PluginError, Upgrade};

/// A configured entry of a plugin, as one gateway thread sees it.
pub trait Plugin {
    /// A session for one request. Does no I/O: the session opens at its first phase.
    fn session(&self) -> Box<dyn Session>;

    /// Whether a new session may be asked for its later phases at all although an earlier entry already
    /// ended the request: the phases that every live worker of the group announces, if they agree
    /// (rules §5). `None` when that is not known. Never used to skip a request filter.
    fn announced_phases(&self) -> Option<PhaseMask> {
        None
    }

    /// How the body filter of a new session is going to want the body, as far as its workers say.
    fn announced_body_mode(&self) -> BodyMode {
        BodyMode::Buffered
    }
}

/// One request as one entry sees it. Dropping an unfinished session cancels it at the worker.
pub trait Session {
    /// The phases that the entry registered for this session; `None` before the first answer.
    fn phases(&self) -> Option<PhaseMask>;

    /// How the body filter wants the body; meaningful once [`Session::phases`] is known.
    fn body_mode(&self) -> BodyMode;

    /// Runs a phase and waits for its result, no longer than the call's deadline.
    ///
    /// # Errors
    /// Any failure of rules §7. After an error the session is over: its later phases fail, except logging,
    /// which opens anew if it must.
    fn run<'a>(&'a mut self, call: Call<'a>) -> LocalBoxFuture<'a, Result<Outcome, PluginError>>;

    /// Hands the logging phase over and forgets the session. Never waits (architecture.md, "Logging"). Called at
    /// most once, as the last call, also on a session that was never opened, has failed, or whose running phase was
    /// dropped because the client left; `exchange.error` says so, and the session cancels that phase first.
    fn log(&mut self, call: Call<'_>);

    /// Ends the session without a logging phase: nothing follows. `client_gone` says why when a phase is still
    /// running. Costs nothing where the worker knows already that no registered phase is left.
    fn close(&mut self, client_gone: bool);
}

/// One phase to be run.
pub struct Call<'a> {
    /// Which phase.
    pub phase: Phase,
    /// The request and response as they stand now. The session reads from it; only the chain writes.
    pub exchange: &'a mut Exchange,
    /// The middleware's payload, JSON text.
    pub payload: Option<&'a Bytes>,
    /// When the phase began.
    pub started: Instant,
    /// When the phase has failed with a timeout.
    pub deadline: Instant,
    /// Which request headers the worker may see.
    pub headers: &'a HeaderFilter,
    /// Whether the same phase may follow in this session, for a later place in the chain.
    pub again: bool,
    /// Whether the session's body filter is what runs next, on the answer as it is now, if the phase changes nothing of it. It
    /// may begin before it is asked for.
    pub body_next: bool,
    /// How often an open that was not accepted may be tried again (rules §3): 0 or 1.
    pub retry: u32,
}

/// What a phase asked for.
#[derive(Debug)]
pub struct Outcome {
    /// Changes, in the order in which the plugin made them.
    pub operations: Vec<Operation>,
    /// How the phase ended.
    pub action: Action,
    /// Where the time went.
    pub timing: Timing,
    /// The body that the entry is going to send: instead of an action in a request filter, in place of the body in
    /// `exchange.response` in a body filter. The session goes on until its end.
    pub stream: Option<Box<dyn BodyStream>>,
    /// The entry makes the request a WebSocket: instead of an action in a request filter. The session goes on when it is
    /// closed.
    pub upgrade: Option<Box<Upgrade>>,
}

/// How a phase ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Go on with the next link.
    Next,
    /// Answer now with what plugins have set (request filter only).
    End,
}

/// Latency of a phase as the gateway saw it, split for the metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// From handing the phase to the transport until its result was here.
    pub total: Duration,
    /// Waiting at the worker before user code ran.
    pub queue: Duration,
    /// User code.
    pub handler: Duration,
}

/// Which request headers go to the worker of a middleware (rules §10). Names are lower case.
#[derive(Clone, Debug, Default)]
pub struct HeaderFilter {
    /// Only these, if given.
    pub allow: Option<Vec<http::HeaderName>>,
    /// Never these.
    pub deny: Vec<http::HeaderName>,
}

impl HeaderFilter {
    /// Whether the worker may see the header.
    #[must_use]
    pub fn passes(&self, name: &http::HeaderName) -> bool {
        self.allow.as_ref().is_none_or(|names| names.contains(name)) && !self.deny.contains(name)
    }

    /// Whether every header passes, so that nothing needs to be looked up.
    #[must_use]
    pub fn passes_all(&self) -> bool {
        self.allow.is_none() && self.deny.is_empty()
    }
}
