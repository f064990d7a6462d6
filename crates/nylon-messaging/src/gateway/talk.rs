//! An open session's side of the conversation: order, credit, bodies both ways.

use std::{collections::VecDeque, sync::Arc, time::Instant};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use nylon_plugin::{PluginError, PluginErrorKind};
use nylon_wire::{
    AbortReason, Credit, CreditFrame, DataFrame, DataKind, ErrorFrame, Ext, Frame, Limits, Operation, ResponseBody,
};

use self::inflow::Inflow;
use super::{
    known::{InFlight, KnownWorker},
    lease::Lease,
};

mod inflow;

/// The most that a worker may send ahead, in bytes.
const WINDOW_MAX: u64 = 512 << 10;
/// Where workers hold much already, a stream's window does not grow before so many bytes have moved on: up to that the
/// system swallows for a client that reads nothing at all.
const FLOWS_AFTER: u64 = 2 << 20;

/// One session while it is open.
pub(super) struct Talk {
    pub lease: Lease,
    /// The worker, once it is known.
    pub worker: Option<Arc<KnownWorker>>,
    /// While a phase runs at the worker.
    pub in_flight: Option<InFlight>,
    /// Whether a first answer came.
    pub accepted: bool,
    /// Whether a probe was sent in this phase.
    pub probed: bool,
    /// Whether the worker asked for the request body.
    pub fetched_body: bool,
    /// Whether anything was fetched in this phase, so that its latency says little about the worker.
    pub fetched: bool,
    /// Whether the open brought the body.
    pub sent_body: bool,
    /// An open that nobody waits for: its end is not told.
    pub silent: bool,
    /// The whole OPEN, if it did not fit.
    pub whole_open: Option<Bytes>,
    /// Frames that came while something else was awaited.
    pub deferred: VecDeque<Frame>,
    /// When the phase was sent.
    pub sent: Instant,
    /// When the first answer came, if it is what was read last.
    pub heard: Option<Instant>,
    /// The number of the worker's next frame.
    pub seq_in: u32,
    /// What we may send.
    pub credit: Credit,
    outgoing: VecDeque<Outgoing>,
    window: Window,
    incoming: Option<Incoming>,
    inflows: Vec<Inflow>,
    /// Of the body that the worker reads.
    pub trailers: Option<HeaderMap>,
}

struct Outgoing {
    call: u32,
    rest: Bytes,
}

/// What the worker may send: granted and not used.
///
/// For streams the link counts what has come and not moved on as granted: it is still in memory.
struct Window {
    left: u64,
    size: u64,
    /// Came in a stream and has not moved on.
    held: u64,
    /// Has moved on and is not granted again.
    owed: u64,
    /// Has moved on in a stream.
    flowed: u64,
}

impl Window {
    /// How large a stream's should be from now on.
    fn grown(&self, scarce: bool) -> u64 {
        let used = self.left < self.size / 4;
        let flows = !scarce || self.flowed >= FLOWS_AFTER;
        if used && flows { (self.size * 2).min(WINDOW_MAX) } else { self.size }
    }
}

struct Incoming {
    id: u32,
    bytes: BytesMut,
    complete: bool,
}

impl Talk {
    pub(super) fn new(lease: Lease, credit: u32, sent: Instant) -> Self {
        lease.link.grant(u64::from(credit));
        Self {
            lease,
            worker: None,
            in_flight: None,
            accepted: false,
            probed: false,
            fetched_body: false,
            fetched: false,
            sent_body: false,
            silent: false,
            whole_open: None,
            deferred: VecDeque::new(),
            sent,
            heard: None,
            seq_in: 0,
            credit: Credit::new(0),
            outgoing: VecDeque::new(),
            window: Window { left: u64::from(credit), size: u64::from(credit), held: 0, owed: 0, flowed: 0 },
            incoming: None,
            inflows: Vec::new(),
            trailers: None,
        }
    }

    /// Ends the session: the worker is told why, and the error says so.
    pub(super) fn fail(&self, kind: PluginErrorKind, reason: AbortReason, message: impl Into<String>) -> PluginError {
        let message = message.into();
        if matches!(reason, AbortReason::Protocol | AbortReason::Gap) {
            self.lease.link.stats.protocol_errors.add();
            let worker = self.worker.as_ref().map(|worker| worker.id());
            tracing::warn!(worker, %message, "a worker broke the protocol");
        }
        if !self.silent {
            self.lease.abort(reason, Some(&message));
        }
        PluginError::new(kind, message)
    }

    pub(super) fn protocol(&self, message: impl Into<String>) -> PluginError {
        self.fail(PluginErrorKind::Protocol, AbortReason::Protocol, message)
    }

    /// Answers a FETCH with bytes, as credit allows.
    pub(super) fn answer_with(&mut self, call: u32, bytes: Bytes) {
        self.outgoing.push_back(Outgoing { call, rest: bytes });
    }

    /// Answers a FETCH with an error.
    pub(super) fn refuse(&self, call: u32, code: &str, text: &str) -> Result<(), PluginError> {
        let sent = self.lease.send(|header| {
            Frame::Error(ErrorFrame {
                header,
                call_id: Some(call),
                code: code.into(),
                text: text.into(),
                log_id: None,
                first: None,
                ext: Ext::empty(),
            })
        });
        sent.map_err(|error| PluginError::new(PluginErrorKind::Lost, error.to_string()))
    }

    /// Sends what credit allows of what was asked for.
    pub(super) fn pump(&mut self) -> Result<(), PluginError> {
        let chunk = Limits::chunk(self.lease.link.max_payload());
        while let Some(outgoing) = self.outgoing.front_mut() {
            let length = match outgoing.rest.len() {
                0 => 0,
                rest => match self.credit.allowance(rest.min(chunk)) {
                    0 => return Ok(()),
                    length => length,
                },
            };
            if !self.credit.take(length) {
                return Ok(());
            }
            let (id, bytes) = (outgoing.call, outgoing.rest.split_to(length));
            let more = !outgoing.rest.is_empty();
            let sent = self.lease.send(|header| {
                Frame::Data(DataFrame { header, id, bytes, more, kind: DataKind::Body, ext: Ext::empty() })
            });
            sent.map_err(|error| PluginError::new(PluginErrorKind::Lost, error.to_string()))?;
            if !more {
                self.outgoing.pop_front();
            }
        }
        Ok(())
    }

    /// Takes a piece of a stream. What it cost is granted again when it has moved on.
    pub(super) fn receive(&mut self, data: &DataFrame) -> Result<(), PluginError> {
        let cost = Credit::cost(data.bytes.len());
        if cost > self.window.left {
            return Err(self.protocol("the worker sent more than it was granted"));
        }
        self.window.left -= cost;
        self.window.held += cost;
        Ok(())
    }

    /// What has come of a stream has moved on: grants as much again, and more while it flows.
    pub(super) fn moved_on(&mut self, id: u32) -> Result<(), PluginError> {
        let window = &mut self.window;
        let moved = std::mem::take(&mut window.held);
        window.owed += moved;
        window.flowed += moved;
        let link = &self.lease.link;
        if window.owed < window.size / 4 || !link.is_connected() {
            return Ok(());
        }
        let mut bytes = std::mem::take(&mut window.owed);
        let more = window.grown(link.is_scarce()) - window.size;
        if link.may_grant(more) {
            link.grant(more);
            window.size += more;
            bytes += more;
        }
        window.left += bytes;
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let sent = self.lease.send(|header| Frame::Credit(CreditFrame { header, id, bytes, ext: Ext::empty() }));
        sent.map_err(|error| PluginError::new(PluginErrorKind::Lost, error.to_string()))
    }

    /// Takes a piece of a body that the worker sends, and grants more.
    pub(super) fn collect(&mut self, data: DataFrame, limit: usize) -> Result<(), PluginError> {
        self.account(&data)?;
        if data.kind != DataKind::Body {
            return Err(self.protocol(format!("DATA of kind {:?} without a stream", data.kind)));
        }
        let incoming = match &mut self.incoming {
            Some(incoming) if incoming.id == data.id && !incoming.complete => incoming,
            _ => self.incoming.insert(Incoming { id: data.id, bytes: BytesMut::new(), complete: false }),
        };
        if incoming.bytes.len() + data.bytes.len() > limit {
            let message = format!("the plugin's response body is longer than {limit} bytes");
            return Err(self.fail(PluginErrorKind::ResponseBodyTooLarge, AbortReason::Protocol, message));
        }
        incoming.bytes.extend_from_slice(&data.bytes);
        incoming.complete = !data.more;
        Ok(())
    }

    /// Accounts for a DATA frame whether or not it is used.
    pub(super) fn account(&mut self, data: &DataFrame) -> Result<(), PluginError> {
        let cost = Credit::cost(data.bytes.len());
        if cost > self.window.left {
            return Err(self.protocol("the worker sent more than it was granted"));
        }
        self.window.left -= cost;
        let link = &self.lease.link;
        link.ungrant(cost);
        if self.window.left > self.window.size / 2 {
            return Ok(());
        }
        // Grown while it flows, as far as the connection's limit goes; what was there is always given back.
        let grown = (self.window.size * 2).min(WINDOW_MAX);
        if link.may_grant(grown - self.window.left) {
            self.window.size = grown;
        }
        let bytes = self.window.size - self.window.left;
        link.grant(bytes);
        self.window.left = self.window.size;
        let (id, bytes) = (data.id, u32::try_from(bytes).unwrap_or(u32::MAX));
        let sent = self.lease.send(|header| Frame::Credit(CreditFrame { header, id, bytes, ext: Ext::empty() }));
        sent.map_err(|error| PluginError::new(PluginErrorKind::Lost, error.to_string()))
    }

    /// Puts bodies that came in DATA frames into the operations that name them.
    pub(super) fn resolve(&mut self, operations: &mut [Operation]) -> Result<(), PluginError> {
        for operation in operations {
            let Operation::SetResponseBody(ResponseBody::Data { id, total }) = *operation else { continue };
            let Some(incoming) = self.incoming.take_if(|incoming| incoming.id == id && incoming.complete) else {
                return Err(self.protocol(format!("operation 103 names body {id}, which did not come")));
            };
            if incoming.bytes.len() as u64 != total {
                let found = incoming.bytes.len();
                return Err(self.protocol(format!("operation 103 names {total} bytes, {found} came")));
            }
            *operation = Operation::SetResponseBody(ResponseBody::Inline(incoming.bytes.freeze()));
        }
        Ok(())
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        self.lease.link.ungrant(self.window.left + self.window.held + self.window.owed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_much_is_held_only_what_flows_gets_more() {
        let window = |left, flowed| Window { left, size: 32 << 10, held: 0, owed: 0, flowed };
        for (left, flowed, scarce, grown) in [
            (0, 0, false, 64),
            (16 << 10, 4 << 20, false, 32),
            (0, FLOWS_AFTER - 1, true, 32),
            (0, FLOWS_AFTER, true, 64),
            (16 << 10, FLOWS_AFTER, true, 32),
        ] {
            assert_eq!(window(left, flowed).grown(scarce) >> 10, grown, "{left} {flowed} {scarce}");
        }
    }
}
