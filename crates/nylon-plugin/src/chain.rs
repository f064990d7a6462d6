//! The chain of a path: which entries see a request, in which order, and what happens when one fails.

use std::{borrow::Cow, fmt, rc::Rc, time::Duration};

use bytes::Bytes;

use crate::{Exchange, HeaderFilter, Phase, PhaseMask};

/// What happens when a phase fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnError {
    /// The client gets an error.
    Fail,
    /// It is logged, and the request goes on.
    Continue,
}

/// The policy of every phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Default `Fail`: an auth plugin must not fail open.
    pub request_filter: OnError,
    /// Default `Continue`.
    pub response_filter: OnError,
    /// Default `Fail`: a redaction filter must not fail open.
    pub response_body_filter: OnError,
}

impl Default for Policy {
    fn default() -> Self {
        Self { request_filter: OnError::Fail, response_filter: OnError::Continue, response_body_filter: OnError::Fail }
    }
}

impl Policy {
    /// The policy of a phase. Nobody waits for logging, so it can only go on.
    #[must_use]
    pub const fn of(&self, phase: Phase) -> OnError {
        match phase {
            Phase::RequestFilter => self.request_filter,
            Phase::ResponseFilter => self.response_filter,
            Phase::ResponseBodyFilter => self.response_body_filter,
            Phase::Logging => OnError::Continue,
        }
    }
}

/// What the configuration hands to a handler with every request.
#[derive(Clone)]
pub enum Payload {
    /// Always the same JSON text.
    Constant(Bytes),
    /// JSON text that is made of the exchange, anew for each phase.
    Computed(Rc<dyn Fn(&Exchange) -> Bytes>),
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant(json) => f.debug_tuple("Constant").field(json).finish(),
            Self::Computed(_) => f.write_str("Computed"),
        }
    }
}

impl Payload {
    /// The text for an exchange as it stands.
    #[must_use]
    pub fn of(&self, exchange: &Exchange) -> Cow<'_, Bytes> {
        match self {
            Self::Constant(json) => Cow::Borrowed(json),
            Self::Computed(made) => Cow::Owned(made(exchange)),
        }
    }
}

/// One middleware of a chain, or the entry that is a service.
#[derive(Clone, Debug)]
pub struct Link {
    /// Index into the thread's [`crate::Entries`].
    pub entry: usize,
    /// JSON text for the handler.
    pub payload: Option<Payload>,
    /// How long a phase may take.
    pub timeout: Duration,
    /// What happens when a phase fails.
    pub policy: Policy,
    /// The only phases to run, if configured. Nothing else skips a request filter (rules §5).
    pub phases: Option<PhaseMask>,
    /// Which request headers the worker may see.
    pub headers: HeaderFilter,
    /// How often an open that was not accepted is tried again (rules §3): 0 or 1.
    pub retry: u32,
}

impl Link {
    /// A link with default policy, all phases, all headers, one retry.
    #[must_use]
    pub fn new(entry: usize, timeout: Duration) -> Self {
        Self {
            entry,
            payload: None,
            timeout,
            policy: Policy::default(),
            phases: None,
            headers: HeaderFilter::default(),
            retry: 1,
        }
    }

    /// Whether the configuration lets the phase run.
    pub(crate) fn may_run(&self, phase: Phase) -> bool {
        self.phases.is_none_or(|phases| phases.has(phase))
    }
}

/// A link and the session it uses: links with the same entry share one (sdk-api §1.1).
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) link: Link,
    pub(crate) session: usize,
    /// The phases that the configuration lets a later place of the session run.
    pub(crate) again: PhaseMask,
    /// The phases that the configuration lets some place of the session run.
    pub(crate) session_phases: PhaseMask,
}

/// Everything that a request of one path passes. Immutable.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    pub(crate) links: Box<[Place]>,
    pub(crate) service: Option<Place>,
    pub(crate) sessions: usize,
}

impl Chain {
    /// A chain of middleware in order (route level first) in front of a plugin service, or of none.
    #[must_use]
    pub fn new(links: Vec<Link>, service: Option<Link>) -> Self {
        let has_service = service.is_some();
        let mut entries: Vec<usize> = Vec::new();
        let mut places: Vec<Place> = Vec::new();
        for link in links.into_iter().chain(service) {
            let known = entries.iter().position(|&entry| entry == link.entry);
            let session = known.unwrap_or(entries.len());
            if known.is_none() {
                entries.push(link.entry);
            }
            let session_phases = link.phases.unwrap_or(PhaseMask::ALL);
            let earlier = places.iter_mut().filter(|place| place.session == session);
            earlier.for_each(|place| place.again.0 |= session_phases.0);
            places.push(Place { link, session, again: PhaseMask::default(), session_phases });
        }
        for session in 0..entries.len() {
            let of_session = |place: &&mut Place| place.session == session;
            let all = places.iter_mut().filter(of_session).fold(0, |all, place| all | place.session_phases.0);
            places.iter_mut().filter(of_session).for_each(|place| place.session_phases = PhaseMask(all));
        }
        let service = if has_service { places.pop() } else { None };
        Self { links: places.into(), service, sessions: entries.len() }
    }

    /// All places, the service last.
    pub(crate) fn places(&self) -> impl Iterator<Item = &Place> {
        self.links.iter().chain(&self.service)
    }

    /// Whether there is no middleware and no plugin service: the exchange needs no run at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sessions == 0
    }
}
