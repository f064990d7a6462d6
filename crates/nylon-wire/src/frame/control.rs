//! ACCEPT, ABORT, BUSY, ERROR, CLOSE, PROBE: the short frames around a phase (SPEC 15 to 17).

use super::First;
use crate::fields::Fields;
use crate::msgpack::Writer;
use crate::{AbortReason, BusyReason, DecodeError, Ext, FrameType, Header, Text};
use bytes::BytesMut;

/// ACCEPT: the phase was handed to user code 50 ms ago and its answer is not out yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptFrame {
    /// Session and order.
    pub header: Header,
    /// The worker's first frame of the session.
    pub first: Option<First>,
    /// Extensions.
    pub ext: Ext,
}

/// ABORT: the session is over at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AbortFrame {
    /// Session and order.
    pub header: Header,
    /// Why.
    pub reason: AbortReason,
    /// For the log.
    pub text: Option<Text>,
    /// Extensions.
    pub ext: Ext,
}

/// BUSY: the open has certainly not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusyFrame {
    /// Session and order.
    pub header: Header,
    /// The worker.
    pub worker: Text,
    /// Why.
    pub reason: BusyReason,
    /// When to try this worker again, milliseconds; 0 = it does not say.
    pub retry_after_ms: u32,
    /// Extensions.
    pub ext: Ext,
}

/// ERROR: a call failed, or the phase if no call is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorFrame {
    /// Session and order.
    pub header: Header,
    /// The FETCH or WS_OP that failed; none = the phase.
    pub call_id: Option<u32>,
    /// One of [`crate::failure`]; another one is treated as `handler_error`.
    pub code: Text,
    /// Short text for the gateway's log; never shown to clients.
    pub text: Text,
    /// Finds the full story in the worker's log.
    pub log_id: Option<Text>,
    /// In the worker's first frame of the session.
    pub first: Option<First>,
    /// Extensions.
    pub ext: Ext,
}

/// CLOSE: no further phase will come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloseFrame {
    /// Session and order.
    pub header: Header,
    /// Extensions.
    pub ext: Ext,
}

/// PROBE: is anyone there? Never answered; "no responders" is the answer that matters. Its `seq` is not counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeFrame {
    /// Session and order.
    pub header: Header,
    /// Extensions.
    pub ext: Ext,
}

impl AcceptFrame {
    /// Appends the frame to `out`.
    pub fn encode(&self, out: &mut BytesMut) {
        let w = &mut Writer::new(out);
        self.header.write(w, FrameType::Accept, 7);
        First::write(self.first.as_ref(), w);
        self.ext.write(w);
    }

    pub(super) fn read(f: &mut Fields<'_, '_>) -> Result<Self, DecodeError> {
        Ok(AcceptFrame { header: Header::read(f)?, first: First::read(f)?, ext: f.ext()? })
    }
}

impl AbortFrame {
    /// Appends the frame to `out`.
    pub fn encode(&self, out: &mut BytesMut) {
        let w = &mut Writer::new(out);
        self.header.write(w, FrameType::Abort, 8);
        w.uint(u64::from(self.reason.number()));
        w.opt_str(self.text.as_deref());
        self.ext.write(w);
    }

    pub(super) fn read(f: &mut Fields<'_, '_>) -> Result<Self, DecodeError> {
        Ok(AbortFrame {
            header: Header::read(f)?,
            reason: AbortReason::from_number(f.uint("reason")?),
            text: f.opt_text()?,
            ext: f.ext()?,
        })
    }
}

impl BusyFrame {
    /// Appends the frame to `out`.
    pub fn encode(&self, out: &mut BytesMut) {
        let w = &mut Writer::new(out);
        self.header.write(w, FrameType::Busy, 9);
        w.str(&self.worker);
        w.uint(u64::from(self.reason.number()));
        w.uint(u64::from(self.retry_after_ms));
        self.ext.write(w);
    }

    pub(super) fn read(f: &mut Fields<'_, '_>) -> Result<Self, DecodeError> {
        Ok(BusyFrame {
            header: Header::read(f)?,
            worker: f.text("worker")?,
            reason: BusyReason::from_number(f.uint("reason")?),
            retry_after_ms: f.u32_or("retry_after_ms", 0)?,
            ext: f.ext()?,
        })
    }
}

impl ErrorFrame {
    /// Appends the frame to `out`.
    pub fn encode(&self, out: &mut BytesMut) {
        let w = &mut Writer::new(out);
        self.header.write(w, FrameType::Error, 11);
        w.opt_uint(self.call_id.map(u64::from));
        w.str(&self.code);
        w.str(&self.text);
        w.opt_str(self.log_id.as_deref());
        First::write(self.first.as_ref(), w);
        self.ext.write(w);
    }

    pub(super) fn read(f: &mut Fields<'_, '_>) -> Result<Self, DecodeError> {
        Ok(ErrorFrame {
            header: Header::read(f)?,
            call_id: f.opt_u32("call_id")?,
            code: f.text("code")?,
            text: f.text("text")?,
            log_id: f.opt_text()?,
            first: First::read(f)?,
            ext: f.ext()?,
        })
    }
}

impl CloseFrame {
    /// Appends the frame to `out`.
    pub fn encode(&self, out: &mut BytesMut) {
        let w = &mut Writer::new(out);
        self.header.write(w, FrameType::Close, 6);
        self.ext.write(w);
    }

    pub(super) fn read(f: &mut Fields<'_, '_>) -> Result<Self, DecodeError> {
        Ok(CloseFrame { header: Header::read(f)?, ext: f.ext()? })
    }
}

impl ProbeFrame {
    /// Appends the frame to `out`.
    pub fn encode(&self, out: &mut BytesMut) {
        let w = &mut Writer::new(out);
        self.header.write(w, FrameType::Probe, 6);
        self.ext.write(w);
    }

    pub(super) fn read(f: &mut Fields<'_, '_>) -> Result<Self, DecodeError> {
        Ok(ProbeFrame { header: Header::read(f)?, ext: f.ext()? })
    }
}
