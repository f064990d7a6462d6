//! One exchange on its way through a chain: the request side. What runs when is rules §6, what a failure means §7.

mod answer;
mod body;
mod finish;
mod slot;

use std::{rc::Rc, sync::Arc};

use http::Method;

use crate::{
    Action, Chain, Entries, Exchange, GatewayError, OnError, Phase, PluginError, PluginErrorKind, chain::Place,
};
pub use body::BodyPlan;
use slot::{Slot, State};

/// The sessions of one exchange, and what has become of them. Ends with [`Run::finish`] or [`Run::client_gone`];
/// dropping it cancels what still runs and logs nothing.
pub struct Run {
    chain: Rc<Chain>,
    entries: Entries,
    slots: Vec<Slot>,
    /// The session whose failure the client is told about: nothing but logging runs on it any more.
    failed: Option<usize>,
    /// The session whose entry streams the answer: its own filters do not see it (rules §6).
    streaming: Option<usize>,
}

/// How the request filters ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// The service is next.
    Continue,
    /// An entry has ended the request; the answer is in `exchange.response`.
    Answered,
}

impl Run {
    /// A run of the chain with the thread's entries. Opens nothing.
    #[must_use]
    pub fn new(chain: Rc<Chain>, entries: Entries) -> Self {
        let slots = (0..chain.sessions).map(|_| Slot::default()).collect();
        Self { chain, entries, slots, failed: None, streaming: None }
    }

    /// Whether the path's service is a plugin: [`Run::service`] is to be asked instead of an upstream.
    #[must_use]
    pub fn has_service(&self) -> bool {
        self.chain.service.is_some()
    }

    /// Whether nothing follows for any entry, not even logging: the answer need not be kept for later phases.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.slots.iter().all(|slot| matches!(slot.state, State::Done))
    }

    /// Runs the request filters in order.
    ///
    /// # Errors
    /// The first failure whose policy is `fail`. The caller makes the error answer, sets `exchange.error` and goes on
    /// with [`Run::response_filters`]. When the client has gone ([`GatewayError::is_client_gone`]), the policy does not
    /// matter and [`Run::client_gone`] is next.
    pub async fn request_filters(&mut self, exchange: &mut Exchange) -> Result<Flow, GatewayError> {
        let chain = Rc::clone(&self.chain);
        for place in &chain.links {
            let slot = &self.slots[place.session];
            if !place.link.may_run(Phase::RequestFilter) || slot.left_out(&place.link, Phase::RequestFilter) {
                continue;
            }
            let before = exchange.early.headers.len();
            match self.phase(place, Phase::RequestFilter, place.link.retry, exchange).await {
                Ok(slot::Done { stream: Some(stream), .. }) => {
                    self.streaming = Some(place.session);
                    exchange.answer_streamed(stream, self.to_keep(before));
                    return Ok(Flow::Answered);
                }
                Ok(slot::Done { upgrade: Some(upgrade), .. }) => {
                    exchange.answer_upgraded(upgrade);
                    return Ok(Flow::Answered);
                }
                Ok(done) if done.action == Action::End => {
                    exchange.answer_early(self.to_keep(before));
                    return Ok(Flow::Answered);
                }
                Ok(_) => {}
                Err(error) => self.failure(place, Phase::RequestFilter, error, exchange)?,
            }
        }
        Ok(Flow::Continue)
    }

    /// Asks the plugin service; the answer is then in `exchange.response`. It gets the request filter phase only. An
    /// open that was not accepted is tried again for idempotent methods only (rules §3).
    ///
    /// # Errors
    /// Any failure, whatever the policy: without the service there is no answer. Also `PLUGIN_PROTOCOL` when the
    /// entry says `next` and has set neither status nor body, and when the chain has no plugin service.
    pub async fn service(&mut self, exchange: &mut Exchange) -> Result<(), GatewayError> {
        let chain = Rc::clone(&self.chain);
        let Some(place) = &chain.service else {
            let cause = PluginError::new(PluginErrorKind::Protocol, "the path has no plugin service");
            return Err(GatewayError { entry: "none".into(), phase: Phase::RequestFilter, cause });
        };
        let retry = if is_idempotent(&exchange.request.method) { place.link.retry } else { 0 };
        let before = exchange.early.headers.len();
        let result = match self.phase(place, Phase::RequestFilter, retry, exchange).await {
            Ok(slot::Done { stream: Some(stream), .. }) => {
                self.streaming = Some(place.session);
                exchange.answer_streamed(stream, self.to_keep(before));
                return Ok(());
            }
            Ok(slot::Done { upgrade: Some(upgrade), .. }) => {
                exchange.answer_upgraded(upgrade);
                return Ok(());
            }
            Ok(done) if done.action == Action::End || done.answers => Ok(()),
            Ok(_) => Err(PluginError::new(
                PluginErrorKind::Protocol,
                "the entry is a service and said next without an answer: there is nothing after it",
            )),
            Err(error) => Err(error),
        };
        match result {
            Ok(()) => {
                exchange.answer_early(self.to_keep(before));
                Ok(())
            }
            Err(error) => Err(self.give_up(place, Phase::RequestFilter, error)),
        }
    }

    /// How many of the header changes that request filters have collected, or collected before the entry that answers,
    /// are kept for an error answer: none where no filter is left that could cause one.
    fn to_keep(&self, changes: usize) -> usize {
        let may_fail = |place: &Place| {
            let entry = &self.entries[place.link.entry];
            let wants = |phase| self.slots[place.session].wants(entry, &place.link, phase);
            wants(Phase::ResponseBodyFilter)
                || (place.link.policy.response_filter == OnError::Fail && wants(Phase::ResponseFilter))
        };
        if changes > 0 && self.chain.links.iter().any(may_fail) { changes } else { 0 }
    }

    /// Runs one phase of a place's session and applies what it asks for.
    async fn phase(
        &mut self,
        place: &Place,
        phase: Phase,
        retry: u32,
        exchange: &mut Exchange,
    ) -> Result<slot::Done, PluginError> {
        let entry = &self.entries[place.link.entry];
        let body_next = phase == Phase::ResponseFilter && self.body_is_next(place, exchange);
        self.slots[place.session].run(entry, place, phase, retry, body_next, exchange).await
    }

    /// What a failed phase means: the end under `fail`, a log line under `continue` or once an error answer is being
    /// made (the first error stands, rules §6).
    fn failure(
        &mut self,
        place: &Place,
        phase: Phase,
        error: PluginError,
        exchange: &Exchange,
    ) -> Result<(), GatewayError> {
        let first = exchange.error.is_none();
        let fatal = place.link.policy.of(phase) == OnError::Fail && first;
        // No policy is about peers that have left: there is nobody to answer, or no answer to go on with.
        let peer = matches!(error.kind, PluginErrorKind::ClientGone | PluginErrorKind::UpstreamBroken);
        if fatal || peer {
            return Err(self.give_up(place, phase, error));
        }
        let entry = &self.entries[place.link.entry];
        entry.metrics.go_on();
        tracing::warn!(
            id = &*exchange.request.id,
            entry = &*entry.label,
            phase = phase.name(),
            code = error.code().code(),
            answering_error = !first,
            "running the {} of {}: {error}; going on without it",
            phase.name(),
            entry.label,
        );
        Ok(())
    }

    fn give_up(&mut self, place: &Place, phase: Phase, cause: PluginError) -> GatewayError {
        self.failed = Some(place.session);
        GatewayError { entry: Arc::clone(&self.entries[place.link.entry].label), phase, cause }
    }
}

fn is_idempotent(method: &Method) -> bool {
    // RFC 9110, 9.2.2.
    [Method::GET, Method::HEAD, Method::PUT, Method::DELETE, Method::OPTIONS, Method::TRACE].contains(method)
}
