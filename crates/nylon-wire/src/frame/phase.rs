//! PHASE: a later phase of a session that is open (SPEC 11).

use super::closed;
use crate::fields::Fields;
use crate::msgpack::Writer;
use crate::{DecodeError, Ext, FrameType, Header, Phase, ResponseFields, ResponsePart};
use bytes::{Bytes, BytesMut};

/// PHASE as a worker receives it.
#[derive(Clone, Debug, PartialEq)]
pub struct PhaseFrame {
    /// Session and order.
    pub header: Header,
    /// The phase to run.
    pub phase: Phase,
    /// Milliseconds until the phase's deadline, when sent.
    pub remaining_ms: u64,
    /// The sender's monotonic clock when sent, milliseconds.
    pub mono_ms: u64,
    /// The middleware's payload, JSON text; it may differ per phase run.
    pub payload: Option<Bytes>,
    /// The response; none where the same entry stands twice in a chain and this is its second request filter.
    pub response: Option<ResponsePart>,
    /// The whole response body for a buffered body filter, if it is small.
    pub body: Option<Bytes>,
    /// Reserved.
    pub more: bool,
    /// Extensions.
    pub ext: Ext,
}

/// PHASE as a gateway writes it, borrowed. Meaning of the fields: [`PhaseFrame`].
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct PhaseFields<'a, R> {
    pub phase: Phase,
    pub remaining_ms: u64,
    pub mono_ms: u64,
    pub payload: Option<&'a [u8]>,
    pub response: Option<ResponseFields<'a, R>>,
    pub body: Option<&'a [u8]>,
    pub more: bool,
    pub ext: &'a Ext,
}

/// Appends a PHASE made of borrowed parts to `out`.
pub fn encode_phase<'r, R>(out: &mut BytesMut, header: &Header, phase: &PhaseFields<'_, R>)
where
    R: IntoIterator<Item = (&'r str, &'r [u8])> + Clone,
{
    write(out, header, phase);
}

fn write<'r, R>(out: &mut BytesMut, header: &Header, phase: &PhaseFields<'_, R>)
where
    R: IntoIterator<Item = (&'r str, &'r [u8])> + Clone,
{
    let w = &mut Writer::new(out);
    header.write(w, FrameType::Phase, 13);
    w.uint(u64::from(phase.phase.number()));
    w.uint(phase.remaining_ms);
    w.uint(phase.mono_ms);
    w.opt_bin(phase.payload);
    match &phase.response {
        Some(response) => response.write(w),
        None => w.nil(),
    }
    w.opt_bin(phase.body);
    w.bool(phase.more);
    phase.ext.write(w);
}

impl PhaseFrame {
    /// Appends the frame to `out`.
    pub fn encode(&self, out: &mut BytesMut) {
        let fields = PhaseFields {
            phase: self.phase,
            remaining_ms: self.remaining_ms,
            mono_ms: self.mono_ms,
            payload: self.payload.as_deref(),
            response: self.response.as_ref().map(ResponsePart::fields),
            body: self.body.as_deref(),
            more: self.more,
            ext: &self.ext,
        };
        write(out, &self.header, &fields);
    }

    pub(super) fn read(f: &mut Fields<'_, '_>) -> Result<Self, DecodeError> {
        Ok(PhaseFrame {
            header: Header::read(f)?,
            phase: closed(f, "phase", Phase::from_number)?,
            remaining_ms: f.safe("remaining_ms")?,
            mono_ms: f.safe("mono_ms")?,
            payload: f.opt_bin()?,
            response: f.opt_nested()?.map(ResponsePart::read).transpose()?,
            body: f.opt_bin()?,
            more: f.bool_or(false)?,
            ext: f.ext()?,
        })
    }
}
