//! What a handler reads and changes of the request and the response.

use std::sync::{MutexGuard, atomic::Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use nylon_wire::{Operation, Phase, ResponseBody, Text};

use super::{Call, Changes, Ignored, State};
use crate::header_list::{self, Pairs, is_request_header, is_response_header};
use crate::lock::lock;

/// What a writer is about; decides where it has an effect (sdk-api §1.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Write {
    RequestHeader,
    ResponseHead,
    ResponseBody,
}

impl Write {
    fn name(self) -> &'static str {
        match self {
            Self::RequestHeader => "request header",
            Self::ResponseHead => "response status or header",
            Self::ResponseBody => "response body",
        }
    }

    fn counts_in(self, phase: Phase) -> bool {
        match phase {
            Phase::RequestFilter => true,
            Phase::ResponseFilter => self != Self::RequestHeader,
            Phase::ResponseBodyFilter => self == Self::ResponseBody,
            Phase::Logging => false,
        }
    }
}

impl Call {
    fn writable(&self, kind: Write) -> Result<MutexGuard<'_, State>, Ignored> {
        let state = self.state();
        let why = if !kind.counts_in(self.phase) {
            "it has no effect in this phase"
        } else if state.job.is_none() {
            "the phase is over"
        } else if state.writer.is_some() {
            "the response is being streamed"
        } else if state.action.is_some() {
            "it came after next() or end()"
        } else {
            return Ok(state);
        };
        Err(Ignored { what: kind.name(), why })
    }

    pub(crate) fn set_request_header(&self, name: &str, value: &[u8]) -> Result<(), Ignored> {
        let mut state = self.writable(Write::RequestHeader)?;
        let (name, value) = (Text::from(name), Bytes::copy_from_slice(value));
        state.operations.push(Operation::SetRequestHeader { name, value });
        self.session.changed.store(true, Ordering::Release);
        Ok(())
    }

    pub(crate) fn add_request_header(&self, name: &str, value: &[u8]) -> Result<(), Ignored> {
        let mut state = self.writable(Write::RequestHeader)?;
        let (name, value) = (Text::from(name), Bytes::copy_from_slice(value));
        state.operations.push(Operation::AddRequestHeader { name, value });
        self.session.changed.store(true, Ordering::Release);
        Ok(())
    }

    pub(crate) fn remove_request_header(&self, name: &str) -> Result<(), Ignored> {
        let mut state = self.writable(Write::RequestHeader)?;
        state.operations.push(Operation::RemoveRequestHeader { name: Text::from(name) });
        self.session.changed.store(true, Ordering::Release);
        Ok(())
    }

    /// Looks at the request's headers as they are now.
    pub(crate) fn request_headers<T>(&self, look: impl FnOnce(Pairs<'_, '_>) -> T) -> T {
        let session = &*self.session;
        if !session.changed.load(Ordering::Acquire) {
            return look(&mut session.snapshot().headers());
        }
        let mut state = self.state();
        let mut changes = lock(&session.changes);
        let Changes { headers, pending } = &mut *changes;
        let headers = headers.get_or_insert_with(|| header_list::collect(session.snapshot().headers()));
        pending.drain(..).for_each(|operation| header_list::apply(headers, &operation));
        let State { operations, request_shown, .. } = &mut *state;
        for operation in operations.iter().filter(|o| is_request_header(o)).skip(*request_shown) {
            header_list::apply(headers, operation);
            *request_shown += 1;
        }
        look(&mut header_list::pairs(headers))
    }

    /// Looks at the first value of a request header as it is now.
    pub(crate) fn request_header<T>(&self, name: &str, look: impl FnOnce(&[u8]) -> T) -> Option<T> {
        if self.session.changed.load(Ordering::Acquire) {
            self.request_headers(|headers| header_list::first_raw(headers, name).map(look))
        } else {
            self.session.snapshot().header(name).map(look)
        }
    }

    /// Looks at the response's headers as they are now.
    pub(crate) fn response_headers<T>(&self, look: impl FnOnce(Pairs<'_, '_>) -> T) -> T {
        let mut state = self.state();
        self.response_list(&mut state);
        match (&state.headers, &self.given) {
            (Some(headers), _) => look(&mut header_list::pairs(headers)),
            (None, Some(given)) => look(&mut given.headers()),
            (None, None) => look(&mut std::iter::empty()),
        }
    }

    /// Brings the list of response headers up to date, if any was changed.
    pub(super) fn response_list(&self, state: &mut State) {
        let State { operations, headers, response_shown, .. } = state;
        for operation in operations.iter().filter(|o| is_response_header(o)).skip(*response_shown) {
            let given = || self.given.as_ref().map(|given| header_list::collect(given.headers())).unwrap_or_default();
            header_list::apply(headers.get_or_insert_with(given), operation);
            *response_shown += 1;
        }
    }

    pub(crate) fn set_header(&self, name: &str, value: &[u8]) -> Result<(), Ignored> {
        let mut state = self.writable(Write::ResponseHead)?;
        let (name, value) = (Text::from(name), Bytes::copy_from_slice(value));
        state.operations.push(Operation::SetResponseHeader { name, value });
        Ok(())
    }

    pub(crate) fn add_header(&self, name: &str, value: &[u8]) -> Result<(), Ignored> {
        let mut state = self.writable(Write::ResponseHead)?;
        let (name, value) = (Text::from(name), Bytes::copy_from_slice(value));
        state.operations.push(Operation::AddResponseHeader { name, value });
        Ok(())
    }

    pub(crate) fn remove_header(&self, name: &str) -> Result<(), Ignored> {
        let mut state = self.writable(Write::ResponseHead)?;
        state.operations.push(Operation::RemoveResponseHeader { name: Text::from(name) });
        Ok(())
    }

    pub(crate) fn set_status(&self, status: u16) -> Result<(), Ignored> {
        let mut state = self.writable(Write::ResponseHead)?;
        state.status = Some(status);
        state.operations.push(Operation::SetResponseStatus(status));
        Ok(())
    }

    /// The effective status: set here, else the gateway's, else 200.
    pub(crate) fn status(&self) -> u16 {
        let set = self.state().status;
        set.or_else(|| self.given.as_ref().map(|given| given.status())).unwrap_or(200)
    }

    /// Replaces the body. The content type goes with it where headers still count.
    pub(crate) fn set_body(&self, content_type: Option<&'static str>, body: Bytes) -> Result<(), Ignored> {
        let mut state = self.writable(Write::ResponseBody)?;
        if let Some(content_type) = content_type.filter(|_| Write::ResponseHead.counts_in(self.phase)) {
            let (name, value) = (Text::from_static("content-type"), Bytes::from_static(content_type.as_bytes()));
            state.operations.push(Operation::SetResponseHeader { name, value });
        }
        // Only the last body counts; a large one that was replaced is not sent.
        state.operations.retain(|operation| !matches!(operation, Operation::SetResponseBody(_)));
        state.operations.push(Operation::SetResponseBody(ResponseBody::Inline(body)));
        Ok(())
    }

    /// The body set in this phase, if one was.
    pub(crate) fn body_set(&self) -> Option<Bytes> {
        self.state().body().cloned()
    }

    /// The response body, if it was read in this phase before.
    pub(crate) fn body_read(&self) -> Option<Bytes> {
        lock(&self.read).clone()
    }

    /// Keeps the response body for a second read.
    pub(crate) fn keep_body(&self, body: &Bytes) {
        *lock(&self.read) = Some(body.clone());
    }

    /// Body bytes: of the buffered body in a body filter, sent to the client in logging, before that 0.
    pub(crate) fn bytes_sent(&self) -> u64 {
        let Some(given) = &self.given else { return 0 };
        match self.phase {
            Phase::Logging => given.body_bytes(),
            Phase::ResponseBodyFilter => {
                let set = self.state().body().map(|body| body.len() as u64);
                set.or(given.body_length()).unwrap_or(given.body_bytes())
            }
            _ => 0,
        }
    }

    /// Milliseconds from the request's arrival to now; in logging to its completion.
    pub(crate) fn duration_ms(&self) -> u64 {
        let since = |instant: Instant| u64::try_from(instant.elapsed().as_millis()).unwrap_or(u64::MAX);
        match (&self.given, self.phase) {
            (Some(given), Phase::Logging) => given.duration_ms(),
            (Some(given), _) => given.duration_ms().saturating_add(since(self.started)),
            // The two clocks may differ; what passed here is certain.
            (None, _) => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_millis());
                let now = u64::try_from(now).unwrap_or(u64::MAX);
                now.saturating_sub(self.session.snapshot().timestamp_ms()).max(since(self.session.opened))
            }
        }
    }
}
