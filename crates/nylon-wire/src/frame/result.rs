//! RESULT ends a phase; STREAM and STREAM_END do it for a streamed response (SPEC 13, 14).

use super::closed;
use crate::fields::Fields;
use crate::msgpack::Writer;
use crate::operation::{read_list, write_list};
use crate::{Action, BodyMode, DecodeError, Ext, FrameType, Header, Limits, Operation, Outcome, PhaseMask, Text};
use bytes::BytesMut;

/// What the first frame of a worker in a session says besides its own content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct First {
    /// The worker; its direct subject follows from it (SPEC 2).
    pub worker: Text,
    /// Phases registered for this session.
    pub mask: PhaseMask,
    /// How the body filter wants the body.
    pub body_mode: BodyMode,
    /// What the gateway may send before it is granted more, in bytes.
    pub credit: u32,
}

/// Where the worker spent the time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// From receipt to user code, microseconds.
    pub queue_us: u32,
    /// In user code, microseconds.
    pub handler_us: u32,
}

/// RESULT: what the plugin asks for, and how the phase ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultFrame {
    /// Session and order.
    pub header: Header,
    /// In the order the handler made them.
    pub ops: Vec<Operation>,
    /// How the phase ends.
    pub action: Action,
    /// In the worker's first frame of the session.
    pub first: Option<First>,
    /// Where the time went.
    pub timing: Option<Timing>,
    /// Extensions.
    pub ext: Ext,
}

/// STREAM: head of a streamed response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamFrame {
    /// Session and order.
    pub header: Header,
    /// Status and headers so far.
    pub ops: Vec<Operation>,
    /// Id of the DATA frames that follow.
    pub stream_id: u32,
    /// In the worker's first frame of the session.
    pub first: Option<First>,
    /// Extensions.
    pub ext: Ext,
}

/// STREAM_END: the last frame of a streamed response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamEndFrame {
    /// Session and order.
    pub header: Header,
    /// Whether it is complete.
    pub outcome: Outcome,
    /// Extensions.
    pub ext: Ext,
}

impl First {
    pub(super) fn read(fields: &mut Fields<'_, '_>) -> Result<Option<Self>, DecodeError> {
        let Some(mut inner) = fields.opt_nested()? else {
            return Ok(None);
        };
        let first = First {
            worker: inner.text("worker")?,
            mask: PhaseMask(inner.u32("mask")?),
            body_mode: closed(&mut inner, "body_mode", BodyMode::from_number)?,
            credit: inner.u32_or("credit", Limits::INITIAL_CREDIT)?,
        };
        inner.finish()?;
        Ok(Some(first))
    }

    pub(super) fn write(first: Option<&First>, w: &mut Writer<'_>) {
        let Some(first) = first else { return w.nil() };
        w.array(4);
        w.str(&first.worker);
        w.uint(u64::from(first.mask.0));
        w.uint(u64::from(first.body_mode.number()));
        w.uint(u64::from(first.credit));
    }
}

impl ResultFrame {
    /// Appends the frame to `out`.
    pub fn encode(&self, out: &mut BytesMut) {
        let w = &mut Writer::new(out);
        self.header.write(w, FrameType::Result, 10);
        write_list(&self.ops, w);
        w.uint(u64::from(self.action.number()));
        First::write(self.first.as_ref(), w);
        match self.timing {
            Some(timing) => {
                w.array(2);
                w.uint(u64::from(timing.queue_us));
                w.uint(u64::from(timing.handler_us));
            }
            None => w.nil(),
        }
        self.ext.write(w);
    }

    pub(super) fn read(f: &mut Fields<'_, '_>) -> Result<Self, DecodeError> {
        Ok(ResultFrame {
            header: Header::read(f)?,
            ops: read_list(f)?,
            action: closed(f, "action", Action::from_number)?,
            first: First::read(f)?,
            timing: read_timing(f)?,
            ext: f.ext()?,
        })
    }
}

fn read_timing(fields: &mut Fields<'_, '_>) -> Result<Option<Timing>, DecodeError> {
    let Some(mut inner) = fields.opt_nested()? else {
        return Ok(None);
    };
    let timing = Timing { queue_us: inner.u32("queue_us")?, handler_us: inner.u32("handler_us")? };
    inner.finish()?;
    Ok(Some(timing))
}

impl StreamFrame {
    /// Appends the frame to `out`.
    pub fn encode(&self, out: &mut BytesMut) {
        let w = &mut Writer::new(out);
        self.header.write(w, FrameType::Stream, 9);
        write_list(&self.ops, w);
        w.uint(u64::from(self.stream_id));
        First::write(self.first.as_ref(), w);
        self.ext.write(w);
    }

    pub(super) fn read(f: &mut Fields<'_, '_>) -> Result<Self, DecodeError> {
        Ok(StreamFrame {
            header: Header::read(f)?,
            ops: read_list(f)?,
            stream_id: f.u32("stream_id")?,
            first: First::read(f)?,
            ext: f.ext()?,
        })
    }
}

impl StreamEndFrame {
    /// Appends the frame to `out`.
    pub fn encode(&self, out: &mut BytesMut) {
        let w = &mut Writer::new(out);
        self.header.write(w, FrameType::StreamEnd, 7);
        w.uint(u64::from(self.outcome.number()));
        self.ext.write(w);
    }

    pub(super) fn read(f: &mut Fields<'_, '_>) -> Result<Self, DecodeError> {
        Ok(StreamEndFrame {
            header: Header::read(f)?,
            outcome: closed(f, "outcome", Outcome::from_number)?,
            ext: f.ext()?,
        })
    }
}
