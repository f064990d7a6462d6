//! The middle: request filters, then the service, then the filters of the answer.

use http::HeaderValue;
use nylon_plugin::{BodyError, BodyPlan, Flow, GatewayError, KEPT_BODY, Response, ResponseBody};
use nylon_routing::ServiceKind;
use nylon_wire::ErrorCode;

use super::course::Course;
use crate::{
    body::{Source, Unfiltered},
    errors::{ErrorAnswer, REQUEST_ID},
    up::{self, Collected, Failure, Outbound, Outgoing},
};

/// Why there is an error answer instead of an answer.
pub(super) enum Problem {
    /// A plugin failed, and its policy says `fail`.
    Plugin(GatewayError),
    /// The upstream, the client or the gateway.
    Other {
        code: ErrorCode,
        /// For the log.
        cause: String,
    },
}

impl From<GatewayError> for Problem {
    fn from(error: GatewayError) -> Self {
        Self::Plugin(error)
    }
}

impl Problem {
    fn new(code: ErrorCode, cause: impl Into<String>) -> Self {
        Self::Other { code, cause: cause.into() }
    }

    /// Whether nobody is left to answer to.
    fn is_client_gone(&self) -> bool {
        match self {
            Self::Plugin(error) => error.is_client_gone(),
            Self::Other { code, .. } => *code == ErrorCode::ClientGone,
        }
    }

    fn answer(&self) -> ErrorAnswer {
        match self {
            Self::Plugin(error) => {
                ErrorAnswer { status: error.status(), retry_after: error.retry_after(), ..error.code().into() }
            }
            Self::Other { code, .. } => (*code).into(),
        }
    }
}

impl Course {
    /// Runs all phases up to the head of the answer. Whatever happens, an answer is in `exchange.response` then.
    pub(super) async fn answer(&mut self) -> Source {
        let mut source = match self.service().await {
            Ok(source) => source,
            Err(problem) => self.fail(problem),
        };
        // Once the client has left, logging is all that runs.
        if self.run.is_some()
            && !self.progress.abandoned
            && let Err(problem) = self.filter(&mut source).await
        {
            source = self.fail(problem);
            if let Some(run) = &mut self.run
                && !self.progress.abandoned
                && let Err(error) = run.response_filters(&mut self.exchange).await
            {
                // On an error answer only a client that has left can be the reason.
                self.abandon(&error);
            }
        }
        source
    }

    /// Request filters and service.
    async fn service(&mut self) -> Result<Source, Problem> {
        let active = self.active.clone();
        if let Some(limit) = active.snapshot.limits.max_request_body_bytes
            && self.exchange.request.content_length.is_some_and(|length| length > limit)
        {
            return Err(Problem::new(
                ErrorCode::RequestBodyTooLarge,
                format!("the request body is longer than {limit} bytes"),
            ));
        }
        if let Some(run) = &mut self.run
            && run.request_filters(&mut self.exchange).await? == Flow::Answered
        {
            return Ok(Source::Empty);
        }
        match &active.snapshot.services[self.service].kind {
            ServiceKind::Http(service) => self.upstream(service).await,
            ServiceKind::Plugin(_) => {
                if let Some(run) = &mut self.run {
                    run.service(&mut self.exchange).await?;
                }
                Ok(Source::Empty)
            }
        }
    }

    async fn upstream(&mut self, service: &nylon_routing::HttpService) -> Result<Source, Problem> {
        if let Some(body) = &self.client_body
            && body.is_taken().await
        {
            let cause =
                "an entry has read the request body piece by piece and then said next: the upstream cannot have it";
            return Err(Problem::new(ErrorCode::PluginProtocol, cause));
        }
        let outgoing = match &self.client_body {
            None => Outgoing::None,
            Some(body) => match body.whole_by_now() {
                Some(whole) => Outgoing::Full(whole),
                None => Outgoing::Stream { body: body.clone(), keep: self.run.as_ref().map_or(0, |_| KEPT_BODY) },
            },
        };
        let request = &self.exchange.request;
        let id = request.given.has(REQUEST_ID.as_str()).then(|| request.headers.get(REQUEST_ID)).flatten();
        let outbound = Outbound {
            method: &request.method,
            target: self
                .target
                .as_deref()
                .unwrap_or_else(|| request.uri.path_and_query().map_or("/", |path| path.as_str())),
            headers: &request.headers,
            id: id.map_or(request.id.as_bytes(), HeaderValue::as_bytes),
            given: request.given,
            peer: &self.connection.peer,
            trusted: self.trusted,
            tls: request.tls,
            identity: self.run.as_ref().is_some_and(nylon_plugin::Run::wants_body),
        };
        let metrics = &self.thread.metrics;
        metrics.upstream_requests.add(1);
        match up::send(&self.thread.pool, service, &outbound, outgoing).await {
            Ok(answer) => {
                metrics.upstream_retries.add(u64::from(answer.retried));
                metrics.upstream_connects.add(u64::from(answer.connected));
                self.progress.content_length = answer.head.content_length;
                self.exchange.response = Response {
                    status: answer.head.status,
                    headers: answer.head.headers,
                    body: ResponseBody::Service,
                    bytes_sent: 0,
                };
                Ok(Source::Upstream { front: bytes::Bytes::new(), body: answer.body })
            }
            Err(Failure::Client(error)) => Err(self.client_failed(&error)),
            Err(failure) => Err(Problem::new(failure.code(), failure.to_string())),
        }
    }

    /// The client did not send what it had announced.
    fn client_failed(&self, error: &BodyError) -> Problem {
        let code = self.client_body.as_ref().and_then(|body| body.failure()).unwrap_or(ErrorCode::BadRequest);
        Problem::new(code, error.to_string())
    }

    /// Response filters and body filters.
    async fn filter(&mut self, source: &mut Source) -> Result<(), Problem> {
        let Some(run) = &mut self.run else { return Ok(()) };
        if matches!(self.exchange.response.body, ResponseBody::Socket(_)) {
            return Ok(());
        }
        run.response_filters(&mut self.exchange).await?;
        let mut plan = run.plan_body(&mut self.exchange)?;
        if plan == BodyPlan::Pass {
            return Ok(());
        }
        let length = self.progress.content_length.take();
        if let BodyPlan::Buffer { limit } = plan
            && let Source::Upstream { front, body } = source
            && matches!(self.exchange.response.body, ResponseBody::Service)
        {
            match body.read_all(limit).await {
                Ok(Collected::Whole(bytes)) => self.exchange.response.body = ResponseBody::Full(bytes),
                Ok(Collected::TooLong(start)) => {
                    plan = run.body_overflow(&self.exchange)?;
                    *front = start;
                }
                Err(failure) => return Err(Problem::new(failure.code(), failure.to_string())),
            }
        }
        match plan {
            BodyPlan::Pass => {}
            // Nor does a body that a plugin has made say how long the filtered one is.
            BodyPlan::Unknown => self.exchange.response.body = ResponseBody::Service,
            BodyPlan::Buffer { .. } => run.body_filters(&mut self.exchange).await?,
            BodyPlan::Stream | BodyPlan::Offer => {
                if matches!(self.exchange.response.body, ResponseBody::Service) {
                    self.exchange.response.body = match std::mem::replace(source, Source::Empty) {
                        Source::Upstream { front, body } => ResponseBody::Stream(Box::new(Unfiltered { front, body })),
                        _ => ResponseBody::Full(bytes::Bytes::new()),
                    };
                }
                if run.stream_filters(&mut self.exchange).await? && plan == BodyPlan::Offer {
                    self.progress.content_length = length;
                }
            }
        }
        Ok(())
    }

    /// Makes the error answer, unless nobody is left to get one.
    fn fail(&mut self, problem: Problem) -> Source {
        let problem = match (&problem, self.client_body.as_ref().and_then(|body| body.failure())) {
            // A client that stalled or sent nonsense is still there.
            (Problem::Plugin(error), Some(code)) if error.is_client_gone() => {
                Problem::new(code, error.cause.message.clone())
            }
            _ => problem,
        };
        if problem.is_client_gone() {
            self.progress.abandoned = true;
        }
        let answer = problem.answer();
        let request = &self.exchange.request;
        let (id, route, code) = (&*request.id, &*request.route, answer.code.code());
        match &problem {
            _ if !self.thread.logs_failure() => {}
            Problem::Plugin(error) => {
                tracing::warn!(id, route, code, status = answer.status, entry = &*error.entry, "{error}");
            }
            Problem::Other { cause, .. } => {
                tracing::warn!(id, route, code, status = answer.status, "answering: {cause}")
            }
        }
        self.thread.metrics.error(answer.code);
        self.exchange.response = Response {
            status: answer.status(),
            headers: answer.headers(id),
            body: ResponseBody::Full(answer.body(id)),
            bytes_sent: 0,
        };
        self.exchange.error = Some(format!("{code}: {}", answer.code.message()));
        self.progress.content_length = None;
        Source::Empty
    }

    fn abandon(&mut self, error: &GatewayError) {
        tracing::debug!(id = &*self.exchange.request.id, "{error}");
        self.progress.abandoned = true;
    }
}
