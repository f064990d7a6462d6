//! What belongs to one exchange while it lasts. It moves from the service future into the answer's body; whichever of
//! them is dropped last or too early, its end comes exactly once.

use std::{fmt::Display, rc::Rc};

use http::StatusCode;
use nylon_plugin::{Exchange, Run};

use crate::{active::Active, down::ConnectionState, request_body::ClientBody, thread::Thread};

/// One exchange on its way.
pub(crate) struct Course {
    pub(super) thread: Rc<Thread>,
    pub(super) connection: Rc<ConnectionState>,
    /// The snapshot that it began with, which it ends with.
    pub(super) active: Rc<Active>,
    pub(super) exchange: Exchange,
    /// `None` where the path has no plugin.
    pub(super) run: Option<Run>,
    pub(super) client_body: Option<ClientBody>,
    pub(super) trusted: bool,
    /// Path and query for the upstream, where the route rewrites them.
    pub(super) target: Option<String>,
    /// Index of the service.
    pub(super) service: usize,
    pub(super) progress: Progress,
}

/// How far an exchange has come.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// The head is with the codec.
    pub(super) head: bool,
    /// So is all of the body.
    pub(super) complete: bool,
    /// The upstream broke off after the head.
    pub(super) broken: bool,
    /// The client has left.
    pub(super) abandoned: bool,
    /// As the upstream declared it; for answers that have no body.
    pub(super) content_length: Option<u64>,
}

impl Course {
    /// All of the answer is on its way.
    pub(crate) fn complete(&mut self) {
        self.progress.complete = true;
    }

    /// The request was a WebSocket, which is closed.
    pub(crate) fn socket_closed(&mut self, error: Option<&str>) {
        self.progress.complete = true;
        self.exchange.error = error.map(str::to_owned);
    }

    /// Identifies the request.
    pub(crate) fn id(&self) -> &str {
        &self.exchange.request.id
    }

    /// Body bytes went to the client.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.exchange.response.bytes_sent += bytes as u64;
    }

    /// The client's connection.
    pub(crate) fn connection(&self) -> &ConnectionState {
        &self.connection
    }

    /// The upstream or a plugin broke off after the head had gone out: the client must not take what it has for the whole.
    pub(crate) fn break_off(&mut self, error: &dyn Display, upstream: bool) {
        self.connection.reset();
        if upstream {
            self.thread.metrics.upstream_broken.add(1);
        }
        self.progress.broken = true;
        self.exchange.error = Some(error.to_string());
        tracing::warn!(
            id = &*self.exchange.request.id,
            route = &*self.exchange.request.route,
            sent = self.exchange.response.bytes_sent,
            "passing on a response body: {error}; the connection is reset",
        );
    }

    fn client_gone(&mut self) {
        self.thread.metrics.gone.add(1);
        let answered = self.progress.head;
        if !answered {
            self.exchange.response.status = StatusCode::from_u16(499).unwrap_or_default();
        }
        if let Some(run) = self.run.take() {
            let what = if answered {
                format!("the client left after {} bytes of the response body", self.exchange.response.bytes_sent)
            } else {
                "the client left before the answer".to_owned()
            };
            run.client_gone(&mut self.exchange, what);
        }
    }
}

impl Drop for Course {
    fn drop(&mut self) {
        let metrics = &self.thread.metrics;
        metrics.in_flight.subtract(1);
        if self.progress.complete || self.progress.broken {
            metrics.finished(self.exchange.response.status.as_u16());
            if let Some(run) = self.run.take() {
                run.finish(&mut self.exchange);
            }
        } else {
            self.client_gone();
        }
        // A body that nobody wanted is read so that the connection can carry the next request.
        if let Some(body) = self.client_body.take()
            && self.progress.complete
            && !body.is_done()
            && body.is_drainable()
            && !self.thread.is_ending()
        {
            tokio::task::spawn_local(body.drain());
        }
        self.connection.end();
    }
}
