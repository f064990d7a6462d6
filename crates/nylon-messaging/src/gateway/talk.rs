//! An open session's side of the conversation: order, credit, bodies both ways.

mod incoming;
mod inflow;
mod outgoing;

use std::{collections::VecDeque, future::poll_fn, sync::Arc, task::Poll, time::Instant};

use bytes::Bytes;
use http::HeaderMap;
use nylon_plugin::{PluginError, PluginErrorKind, StreamError};
use nylon_wire::{AbortReason, CloseFrame, Credit, ErrorFrame, Ext, Frame, Header};

pub(super) use self::inflow::Upload;
use self::{
    incoming::{Incoming, Window},
    inflow::Inflow,
    outgoing::Outgoing,
};
use super::{
    known::{InFlight, KnownWorker},
    lease::Lease,
    slots::Event,
};

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
    /// The request's body, once the worker reads it as it comes in this phase.
    pub upload: Option<Upload>,
    /// Of the body that the worker reads.
    pub trailers: Option<HeaderMap>,
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
            window: Window::new(credit),
            incoming: None,
            inflows: Vec::new(),
            upload: None,
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

    /// Sends a frame of the session, with the next number.
    fn send(&self, frame: impl FnOnce(Header) -> Frame) -> Result<(), PluginError> {
        self.lease.send(frame).map_err(|error| PluginError::new(PluginErrorKind::Lost, error.to_string()))
    }

    /// Answers a FETCH, or an UPGRADE, which has no call id, with an error.
    pub(super) fn refuse(&self, call: impl Into<Option<u32>>, code: &str, text: &str) -> Result<(), PluginError> {
        self.send(|header| {
            Frame::Error(ErrorFrame {
                header,
                call_id: call.into(),
                code: code.into(),
                text: text.into(),
                log_id: None,
                first: None,
                ext: Ext::empty(),
            })
        })
    }

    /// The next event of a session, while what it reads as it comes is fed to it; at the latest when `due` says then.
    pub(super) async fn next(&mut self, due: impl Fn(&Self) -> u64) -> Result<Event, PluginError> {
        poll_fn(|cx| {
            let fed = self.feed(cx).map_err(|error| match error {
                StreamError::Plugin(error) => error,
                error => {
                    let message = format!("reading the body: {error}");
                    self.fail(PluginErrorKind::ClientGone, AbortReason::ClientGone, message)
                }
            });
            match fed {
                Ok(()) => self.lease.poll(due(self), cx).map(Ok),
                Err(error) => Poll::Ready(Err(error)),
            }
        })
        .await
    }

    /// Decodes a frame of the session and checks its place. `None`: it belongs to an earlier phase.
    pub(super) fn decode(&mut self, payload: &Bytes) -> Result<Option<Frame>, PluginError> {
        let frame = match Frame::decode(payload) {
            Ok(frame) => frame,
            Err(error) => return Err(self.protocol(error.to_string())),
        };
        let Some(header) = frame.header().copied() else {
            return Err(self.protocol("a beat came to a session"));
        };
        // A probe has no place in the order; what ends the session needs none.
        if !matches!(frame, Frame::Probe(_) | Frame::Abort(_) | Frame::Busy(_)) {
            if header.seq != self.seq_in {
                let message = format!("frame {} came where {} was due", header.seq, self.seq_in);
                return Err(self.fail(PluginErrorKind::Lost, AbortReason::Gap, message));
            }
            self.seq_in = self.seq_in.wrapping_add(1);
        }
        if header.phase_seq == self.lease.phase_seq() {
            return Ok(Some(frame));
        }
        match frame {
            // Credit and aborts are the session's, not the phase's.
            Frame::Credit(_) | Frame::Abort(_) => Ok(Some(frame)),
            Frame::Data(data) => self.account(&data).map(|()| None),
            _ => Ok(None),
        }
    }

    /// Tells the worker that no further phase comes.
    pub(super) fn close(&self) {
        if !self.accepted {
            return;
        }
        if let Err(error) = self.lease.send(|header| Frame::Close(CloseFrame { header, ext: Ext::empty() })) {
            // The worker's idle limit and its probe of the reply subject end the session as well.
            tracing::debug!(%error, "a close was not sent");
        }
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        self.lease.link.ungrant(self.window.granted());
    }
}
