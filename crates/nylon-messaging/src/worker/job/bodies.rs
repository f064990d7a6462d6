//! The bodies that a handler reads: of the request and of the response.

use std::sync::{Arc, Condvar, Mutex};

use bytes::Bytes;
use nylon_wire::{AbortReason, FetchKind, Phase};

use super::Job;
use crate::{
    lock::lock,
    worker::{BodyReader, outbox::Event},
};

/// Which body a handler asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// The complete body of the request.
    Request,
    /// The complete body of the response; only in the response body filter, and in logging if a plugin has set it.
    Response,
}

impl Body {
    pub(in crate::worker) fn what(self) -> FetchKind {
        match self {
            Self::Request => FetchKind::RequestBody,
            Self::Response => FetchKind::ResponseBody,
        }
    }
}

/// Why a body could not be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// Longer than the limit in bytes. It is never cut.
    #[error("fetching a body: it is longer than {0} bytes")]
    TooLarge(usize),
    /// The session ended meanwhile.
    #[error("fetching a body: the session was aborted ({0:?})")]
    Cancelled(AbortReason),
    /// The gateway refused.
    #[error("fetching a body: the gateway answered {code}: {text}")]
    Failed {
        /// One of [`nylon_wire::failure`].
        code: String,
        /// For the log.
        text: String,
    },
    /// There is none in this phase: logging cannot ask the gateway, which has forgotten the session.
    #[error("fetching a body: there is none in this phase")]
    NotAvailable,
    /// The worker is closed.
    #[error("fetching a body: the worker is closed")]
    Closed,
}

/// Called once with a body.
pub type OnBody = Box<dyn FnOnce(Result<Bytes, FetchError>) + Send>;

impl Job {
    /// Reads a body of up to `max` bytes (never more than [`WorkerOptions::max_body`](crate::worker::WorkerOptions::max_body))
    /// and calls back: at once if it is here already, else from the I/O thread, where it must not block.
    pub fn fetch(&self, body: Body, max: usize, callback: OnBody) {
        let max = max.min(self.shared.options.max_body);
        match self.at_hand(body) {
            Some(Ok(bytes)) if bytes.len() > max => callback(Err(FetchError::TooLarge(max))),
            Some(result) => callback(result),
            None => self.shared.outbox.push(Event::Fetch { run: self.run.clone(), body, max, callback }),
        }
    }

    /// A body as it comes, of any length. The response's only behind [`Job::stream`] in a response body filter.
    #[must_use]
    pub fn read(&self, body: Body) -> Arc<BodyReader> {
        let (run, shared) = (self.run.clone(), self.shared.clone());
        if let Some(body) = self.at_hand(body) {
            return BodyReader::known(shared, run, body);
        }
        let reader = BodyReader::new(shared, run.clone());
        self.shared.outbox.push(Event::Read { run, body, reader: reader.clone() });
        reader
    }

    /// What is known without asking the gateway.
    fn at_hand(&self, body: Body) -> Option<Result<Bytes, FetchError>> {
        let (Some(session), Some(phase)) = (self.session(), self.phase()) else {
            return Some(Err(FetchError::NotAvailable));
        };
        let cached = match body {
            Body::Request => lock(&session.request_body).clone(),
            Body::Response => lock(&self.run.response_body).clone(),
        };
        if let Some(bytes) = cached {
            return Some(Ok(bytes));
        }
        if let Some(reason) = self.run.cancel_reason() {
            return Some(Err(FetchError::Cancelled(reason)));
        }
        match (body, phase) {
            (Body::Request, _) if session.snapshot.content_length() == Some(0) => Some(Ok(Bytes::new())),
            (_, Phase::Logging) | (Body::Response, Phase::RequestFilter) => Some(Err(FetchError::NotAvailable)),
            _ => None,
        }
    }

    /// The complete request body, waiting for it: not for an event loop's thread.
    ///
    /// # Errors
    /// [`FetchError`].
    pub fn request_body(&self, max: usize) -> Result<Bytes, FetchError> {
        self.wait_for(Body::Request, max)
    }

    /// The complete response body, waiting for it: not for an event loop's thread.
    ///
    /// # Errors
    /// [`FetchError`].
    pub fn response_body(&self, max: usize) -> Result<Bytes, FetchError> {
        self.wait_for(Body::Response, max)
    }

    fn wait_for(&self, body: Body, max: usize) -> Result<Bytes, FetchError> {
        let cell = Arc::new((Mutex::new(None), Condvar::new()));
        let filled = cell.clone();
        self.fetch(
            body,
            max,
            Box::new(move |result| {
                *lock(&filled.0) = Some(result);
                filled.1.notify_one();
            }),
        );
        let mut slot = lock(&cell.0);
        loop {
            if let Some(result) = slot.take() {
                return result;
            }
            // Every fetch is answered: by the gateway, or when the session ends, no later than its deadline.
            slot = cell.1.wait(slot).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }
}
