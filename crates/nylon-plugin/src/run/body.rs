//! The answer's body under body filters: in memory (rules §9), or piece by piece.

use std::rc::Rc;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::{Run, slot::State};
use crate::{
    BodyMode, Exchange, GatewayError, OnError, Payload, Phase, PluginError, PluginErrorKind, ResponseBody, StreamError,
    Whole,
    chain::Place,
    operations::forget_validators,
    stream::{Collected, collect},
};

/// What is to be done with the body of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyPlan {
    /// No body filter sees it: it may be streamed.
    Pass,
    /// There is none (HEAD, 204, 304), but a body filter would have changed the one that belongs to it: how long that is
    /// nobody knows, so no `Content-Length` goes out.
    Unknown,
    /// Hold the head back, put the complete body (empty ones too) into `exchange.response.body` unless a plugin has
    /// done so, then call [`Run::body_filters`]. Beyond `limit` bytes stop and ask [`Run::body_overflow`] for another
    /// plan.
    Buffer {
        /// Most bytes to collect.
        limit: usize,
    },
    /// Put the body as it comes into `exchange.response.body` unless a plugin has put one there, then call
    /// [`Run::stream_filters`].
    Stream,
    /// As [`BodyPlan::Stream`], but the answer may well stay as it is: asked for the body is only who wants it. If
    /// [`Run::stream_filters`] says so, head and length are still those of the service.
    Offer,
}

impl Run {
    /// Whether a body filter is going to want the answer's body, as far as is known before the upstream is asked.
    #[must_use]
    pub fn wants_body(&self) -> bool {
        self.filtering().any(|place| self.mode(place) != BodyMode::OnDemand)
    }

    /// Prepares the request for the upstream: where a body filter waits, the body has to come plain and whole.
    /// `headers` are those that go to the upstream.
    pub fn prepare_upstream_request(&self, headers: &mut HeaderMap) {
        if self.wants_body() {
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
            headers.remove(header::RANGE);
            headers.remove(header::IF_RANGE);
        }
    }

    /// What is to be done with the body, asked once the response filters have run. Where a body filter waits, takes
    /// headers away that belong to the unfiltered body, also for HEAD, 204 and 304, which have none.
    ///
    /// # Errors
    /// A body that no filter can have (encoded, partial, an event stream) under an entry whose policy is `fail`, or
    /// an entry that has failed before. The caller makes the error answer (502) as for [`Run::response_filters`].
    pub fn plan_body(&mut self, exchange: &mut Exchange) -> Result<BodyPlan, GatewayError> {
        if exchange.error.is_some() || self.filtering().next().is_none() {
            return Ok(BodyPlan::Pass);
        }
        if has_no_body(exchange) {
            if !self.wants_body() {
                return Ok(BodyPlan::Pass);
            }
            forget_validators(&mut exchange.response.headers);
            return Ok(BodyPlan::Unknown);
        }
        let chain = Rc::clone(&self.chain);
        let unfilterable = unfilterable(exchange);
        let streamed = matches!(exchange.response.body, ResponseBody::Stream(_));
        let (mut fail_limit, mut continue_limit) = (None::<usize>, None::<usize>);
        let (mut streams, mut offers) = (false, false);
        for place in &chain.links {
            if !self.filters(place) {
                continue;
            }
            let mode = self.mode(place);
            // A stream has no end to wait for: buffered filters do not see it (rules §6).
            if streamed && mode != BodyMode::Streaming {
                continue;
            }
            if let Some(problem) = self.obstacle(place, unfilterable) {
                self.failure(place, Phase::ResponseBodyFilter, problem, exchange)?;
                continue;
            }
            if mode != BodyMode::Buffered {
                streams |= mode == BodyMode::Streaming;
                offers |= mode == BodyMode::OnDemand;
                continue;
            }
            let limit = self.max_body(place);
            match place.link.policy.response_body_filter {
                OnError::Fail => fail_limit = Some(fail_limit.map_or(limit, |other| other.min(limit))),
                OnError::Continue => continue_limit = Some(continue_limit.map_or(limit, |other| other.max(limit))),
            }
        }
        let plan = match fail_limit.or(continue_limit) {
            Some(limit) => BodyPlan::Buffer { limit },
            None if streams => BodyPlan::Stream,
            None if offers => return Ok(BodyPlan::Offer),
            None => return Ok(BodyPlan::Pass),
        };
        forget_validators(&mut exchange.response.headers);
        Ok(plan)
    }

    /// Runs the body filters in order on the body in `exchange.response.body`.
    ///
    /// # Errors
    /// The first failure whose policy is `fail`; the head is still held back, so the caller makes the error answer (502)
    /// as for [`Run::response_filters`].
    pub async fn body_filters(&mut self, exchange: &mut Exchange) -> Result<(), GatewayError> {
        if exchange.error.is_some() {
            return Ok(());
        }
        if matches!(exchange.response.body, ResponseBody::Service) {
            exchange.response.body = ResponseBody::Full(bytes::Bytes::new());
        }
        let chain = Rc::clone(&self.chain);
        let unfilterable = unfilterable(exchange);
        let buffered = chain.links.iter().filter(|place| self.buffers(place));
        let longest = buffered.map(|place| self.max_body(place)).max().unwrap_or_default();
        for place in &chain.links {
            if !self.filters(place) {
                continue;
            }
            let length = exchange.response.body.full().map_or(0, bytes::Bytes::len);
            let limit = self.max_body(place);
            let result = match self.obstacle(place, unfilterable) {
                // The plan has logged it.
                Some(_) if place.link.policy.response_body_filter == OnError::Continue => continue,
                Some(problem) => Err(problem),
                None if self.mode(place) == BodyMode::OnDemand => self.offer(place, exchange).await.map(drop),
                // It has no limit of its own, but what it makes is in memory.
                None if self.mode(place) == BodyMode::Streaming => {
                    self.stream_whole(place, longest.max(length), exchange).await
                }
                None if length > limit => Err(too_large(limit)),
                None => self.phase(place, Phase::ResponseBodyFilter, place.link.retry, exchange).await.map(drop),
            };
            if let Err(error) = result {
                self.failure(place, Phase::ResponseBodyFilter, error, exchange)?;
            }
        }
        Ok(())
    }

    /// Opens the filters that take the body piece by piece, and offers it to those that may want it: when this returns,
    /// `exchange.response.body` is what comes out of the last one. Says whether that is still what it was.
    ///
    /// # Errors
    /// The first that does not open and whose policy is `fail`; the head is still held back, so the caller makes the
    /// error answer as for [`Run::response_filters`].
    pub async fn stream_filters(&mut self, exchange: &mut Exchange) -> Result<bool, GatewayError> {
        let chain = Rc::clone(&self.chain);
        let unfilterable = unfilterable(exchange);
        let streamed_by_plugin = self.streaming.is_some();
        let mut same = true;
        for place in &chain.links {
            let mode = self.mode(place);
            // The plan has logged the obstacles of those that go on.
            if !self.filters(place) || mode == BodyMode::Buffered || self.obstacle(place, unfilterable).is_some() {
                continue;
            }
            if mode == BodyMode::OnDemand {
                if streamed_by_plugin {
                    continue;
                }
                match self.offer(place, exchange).await {
                    Ok(untouched) => same &= untouched,
                    Err(error) => self.failure(place, Phase::ResponseBodyFilter, error, exchange)?,
                }
                continue;
            }
            same = false;
            if let ResponseBody::Full(bytes) = &exchange.response.body {
                exchange.response.body = ResponseBody::Stream(Box::new(Whole(bytes.clone())));
            }
            if let Err(error) = self.phase(place, Phase::ResponseBodyFilter, place.link.retry, exchange).await {
                self.failure(place, Phase::ResponseBodyFilter, error, exchange)?;
            }
        }
        Ok(same)
    }

    /// Lets a filter look that takes the body if it wants it. Whether it has left it as it was.
    async fn offer(&mut self, place: &Place, exchange: &mut Exchange) -> Result<bool, PluginError> {
        let before = exchange.response.body.full().cloned();
        self.phase(place, Phase::ResponseBodyFilter, place.link.retry, exchange).await?;
        let same = match (&before, &exchange.response.body) {
            // One that has been read is in memory now, and is sent from there.
            (Some(before), ResponseBody::Full(after)) => before == after,
            (None, ResponseBody::Full(_)) => false,
            _ => true,
        };
        if !same {
            forget_validators(&mut exchange.response.headers);
        }
        Ok(same)
    }

    /// Lets a filter that streams have a body that is in memory because another one needs it whole.
    async fn stream_whole(&mut self, place: &Place, limit: usize, exchange: &mut Exchange) -> Result<(), PluginError> {
        let body = exchange.response.body.full().cloned().unwrap_or_default();
        exchange.response.body = ResponseBody::Stream(Box::new(Whole(body.clone())));
        let result = self.phase(place, Phase::ResponseBodyFilter, place.link.retry, exchange).await;
        let result = match (result, std::mem::replace(&mut exchange.response.body, ResponseBody::Full(body))) {
            (Err(error), _) => Err(error),
            (Ok(_), ResponseBody::Stream(stream)) => match collect(stream, limit).await {
                Ok(Collected::Whole(bytes)) => Ok(ResponseBody::Full(bytes)),
                Ok(Collected::TooLong) => Err(too_large(limit)),
                Err(StreamError::Plugin(error)) => Err(error),
                Err(error) => Err(PluginError::new(PluginErrorKind::Lost, error.to_string())),
            },
            (Ok(_), other) => Ok(other),
        };
        exchange.response.body = result?;
        Ok(())
    }

    /// What is to be done with a body that is longer than the plan's limit, and of which some has been read. Where all
    /// policies say `continue`, the filters that would have had it whole are left out: it passes, or is streamed through
    /// the others.
    ///
    /// # Errors
    /// 502 `BODY_TOO_LARGE` where the policy of one that needs it whole is `fail`.
    pub fn body_overflow(&mut self, exchange: &Exchange) -> Result<BodyPlan, GatewayError> {
        let chain = Rc::clone(&self.chain);
        // The plan's limit is the smallest of those whose policy is `fail`: the body may fit the others.
        let strict = |place: &&Place| self.buffers(place) && place.link.policy.response_body_filter == OnError::Fail;
        let blamed = chain.links.iter().filter(strict).min_by_key(|place| self.max_body(place));
        for place in &chain.links {
            if self.buffers(place) && blamed.is_none_or(|blamed| std::ptr::eq(blamed, place)) {
                self.failure(place, Phase::ResponseBodyFilter, too_large(self.max_body(place)), exchange)?;
            }
        }
        let others = self.filtering().any(|place| self.mode(place) != BodyMode::Buffered);
        Ok(if others { BodyPlan::Stream } else { BodyPlan::Pass })
    }

    /// Whether a place's body filter is what follows its response filter, on the same answer, if that changes nothing.
    pub(super) fn body_is_next(&self, place: &Place, exchange: &Exchange) -> bool {
        let is_other = |other: &&Place| !std::ptr::eq(*other, place);
        let mut later = self.chain.links.iter().rev().take_while(is_other);
        self.mode(place) == BodyMode::OnDemand
            && exchange.error.is_none()
            && matches!(exchange.response.body, ResponseBody::Service)
            && !has_no_body(exchange)
            && !matches!(place.link.payload, Some(Payload::Computed(_)))
            && !later.any(|other| {
                self.slots[other.session].wants(&self.entries[other.link.entry], &other.link, Phase::ResponseFilter)
            })
            && self.filters(place)
            && !self.filtering().any(|other| is_other(&other))
    }

    /// Places whose body filter is going to run.
    fn filtering(&self) -> impl Iterator<Item = &Place> {
        self.chain.links.iter().filter(|place| self.filters(place))
    }

    /// Whether the place's body filter is going to run, or to fail.
    fn filters(&self, place: &Place) -> bool {
        let slot = &self.slots[place.session];
        let out =
            matches!(slot.state, State::Failed(..)) && place.link.policy.response_body_filter == OnError::Continue;
        !out && self.streaming != Some(place.session)
            && slot.wants(&self.entries[place.link.entry], &place.link, Phase::ResponseBodyFilter)
    }

    /// Whether the place's body filter is going to need the body in memory.
    fn buffers(&self, place: &Place) -> bool {
        self.filters(place) && self.mode(place) == BodyMode::Buffered
    }

    /// The longest body that the place's filter gets in memory, bytes.
    fn max_body(&self, place: &Place) -> usize {
        self.entries[place.link.entry].max_body
    }

    /// How the place's body filter takes the body: the session's own answer says so, before it the workers'
    /// announcements.
    fn mode(&self, place: &Place) -> BodyMode {
        match &self.slots[place.session].state {
            State::Open(session) if session.phases().is_some() => session.body_mode(),
            State::Failed(_, Some(session)) if session.phases().is_some() => session.body_mode(),
            _ => self.entries[place.link.entry].plugin.announced_body_mode(),
        }
    }

    /// What keeps the place's body filter from running, known before the body is.
    fn obstacle(&self, place: &Place, unfilterable: Option<Unfilterable>) -> Option<PluginError> {
        if let State::Failed(error, _) = &self.slots[place.session].state {
            return Some(error.clone());
        }
        let mode = self.mode(place);
        unfilterable
            .filter(|why| match mode {
                BodyMode::Buffered => true,
                BodyMode::Streaming => !matches!(why, Unfilterable::Endless),
                // In the way only if it wants the body.
                BodyMode::OnDemand => false,
            })
            .map(Unfilterable::error)
    }
}

impl Exchange {
    /// Why a body filter cannot have the body of the answer in memory, if so: it is encoded, partial or without end.
    #[must_use]
    pub fn unfilterable(&self) -> Option<PluginError> {
        unfilterable(self).map(Unfilterable::error)
    }
}

fn too_large(limit: usize) -> PluginError {
    let message = format!("the response body is longer than {limit} bytes");
    PluginError::new(PluginErrorKind::ResponseBodyTooLarge, message)
}

/// Answers that never have a body, whatever their headers say.
fn has_no_body(exchange: &Exchange) -> bool {
    let status = exchange.response.status;
    exchange.request.method == Method::HEAD
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED
        || status.is_informational()
}

/// Why a filter cannot have a body.
#[derive(Clone, Copy)]
enum Unfilterable {
    Encoded,
    Partial,
    /// Only those are in the way of it that want it whole.
    Endless,
}

impl Unfilterable {
    fn error(self) -> PluginError {
        PluginError::new(PluginErrorKind::Unfilterable, format!("the response body {}", self.text()))
    }

    fn text(self) -> &'static str {
        match self {
            Self::Encoded => "is encoded although identity was asked for",
            Self::Partial => "is partial",
            Self::Endless => "is an event stream, which has no end",
        }
    }
}

/// Why not every filter can have the body, if so.
fn unfilterable(exchange: &Exchange) -> Option<Unfilterable> {
    let response = &exchange.response;
    let encoded = |value: &HeaderValue| !value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity");
    if response.headers.get_all(header::CONTENT_ENCODING).iter().any(encoded) {
        return Some(Unfilterable::Encoded);
    }
    if matches!(response.body, ResponseBody::Full(_)) {
        return None;
    }
    if response.status == StatusCode::PARTIAL_CONTENT {
        return Some(Unfilterable::Partial);
    }
    let is_event_stream = |value: &HeaderValue| {
        let media_type = value.as_bytes().split(|&byte| byte == b';').next().unwrap_or_default();
        media_type.trim_ascii().eq_ignore_ascii_case(b"text/event-stream")
    };
    let endless = response.headers.get(header::CONTENT_TYPE).is_some_and(is_event_stream);
    endless.then_some(Unfilterable::Endless)
}
