//! OPEN: a session and its first phase (SPEC 10).

use super::closed;
use crate::fields::Fields;
use crate::msgpack::Writer;
use crate::{
    DecodeError, Ext, FrameType, Header, Limits, PROTOCOL_VERSION, Phase, ResponseFields, ResponsePart, Snapshot,
    SnapshotFields, Text,
};
use bytes::{Bytes, BytesMut};

/// Which config text the gateway has for a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    /// Hash of the text.
    pub hash: Bytes,
    /// When the gateway loaded it, Unix milliseconds: of two hashes the newer one counts.
    pub loaded_ms: u64,
}

/// OPEN as a worker receives it.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenFrame {
    /// Session and order.
    pub header: Header,
    /// Subject for everything the worker says to this session.
    pub reply: Text,
    /// The entry to run.
    pub entry: Text,
    /// The first phase.
    pub phase: Phase,
    /// Milliseconds until the phase's deadline, when sent.
    pub remaining_ms: u64,
    /// The sender's monotonic clock when sent, milliseconds: tells the age of the frame (rules §2).
    pub mono_ms: u64,
    /// The request.
    pub snapshot: Snapshot,
    /// The middleware's payload, JSON text.
    pub payload: Option<Bytes>,
    /// The plugin's config; none if it has no config.
    pub revision: Option<Revision>,
    /// What the worker may send before it is granted more, in bytes.
    pub credit: u32,
    /// The frame did not fit: the worker fetches `OpenRest` first, which brings the whole frame.
    pub more: bool,
    /// The whole request body, where the gateway has learned that the entry asks for it.
    pub body: Option<Bytes>,
    /// The response, if the first phase is a later one.
    pub response: Option<ResponsePart>,
    /// Extensions.
    pub ext: Ext,
}

/// OPEN as a gateway writes it, borrowed. Meaning of the fields: [`OpenFrame`].
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct OpenFields<'a, P, H, R> {
    pub reply: &'a str,
    pub entry: &'a str,
    pub phase: Phase,
    pub remaining_ms: u64,
    pub mono_ms: u64,
    pub snapshot: SnapshotFields<'a, P, H>,
    pub payload: Option<&'a [u8]>,
    pub revision: Option<&'a Revision>,
    pub credit: u32,
    pub more: bool,
    pub body: Option<&'a [u8]>,
    pub response: Option<ResponseFields<'a, R>>,
    pub ext: &'a Ext,
}

/// Appends an OPEN made of borrowed parts to `out`.
pub fn encode_open<'p, 'h, 'r, P, H, R>(out: &mut BytesMut, header: &Header, open: &OpenFields<'_, P, H, R>)
where
    P: IntoIterator<Item = (&'p str, &'p str)> + Clone,
    H: IntoIterator<Item = (&'h str, &'h [u8])> + Clone,
    R: IntoIterator<Item = (&'r str, &'r [u8])> + Clone,
{
    write(out, header, open, |writer| open.snapshot.write(writer));
}

fn write<'r, P, H, R>(
    out: &mut BytesMut,
    header: &Header,
    open: &OpenFields<'_, P, H, R>,
    snapshot: impl FnOnce(&mut Writer<'_>),
) where
    R: IntoIterator<Item = (&'r str, &'r [u8])> + Clone,
{
    let w = &mut Writer::new(out);
    header.write(w, FrameType::Open, 19);
    w.uint(PROTOCOL_VERSION);
    w.str(open.reply);
    w.str(open.entry);
    w.uint(u64::from(open.phase.number()));
    w.uint(open.remaining_ms);
    w.uint(open.mono_ms);
    snapshot(w);
    w.opt_bin(open.payload);
    write_revision(open.revision, w);
    w.uint(u64::from(open.credit));
    w.bool(open.more);
    w.opt_bin(open.body);
    match &open.response {
        Some(response) => response.write(w),
        None => w.nil(),
    }
    open.ext.write(w);
}

pub(super) fn write_revision(revision: Option<&Revision>, w: &mut Writer<'_>) {
    match revision {
        Some(revision) => {
            w.array(2);
            w.bin(&revision.hash);
            w.uint(revision.loaded_ms);
        }
        None => w.nil(),
    }
}

pub(super) fn read_revision(fields: &mut Fields<'_, '_>) -> Result<Option<Revision>, DecodeError> {
    let Some(mut inner) = fields.opt_nested()? else {
        return Ok(None);
    };
    let revision = Revision { hash: inner.bin("hash")?, loaded_ms: inner.safe("loaded_ms")? };
    inner.finish()?;
    Ok(Some(revision))
}

/// Both OPEN and BEAT name their version.
pub(super) fn read_version(fields: &mut Fields<'_, '_>) -> Result<(), DecodeError> {
    match fields.uint("v")? {
        PROTOCOL_VERSION => Ok(()),
        other => Err(DecodeError::Version(other)),
    }
}

impl OpenFrame {
    /// Appends the frame to `out`.
    pub fn encode(&self, out: &mut BytesMut) {
        let fields = OpenFields {
            reply: self.reply.as_str(),
            entry: self.entry.as_str(),
            phase: self.phase,
            remaining_ms: self.remaining_ms,
            mono_ms: self.mono_ms,
            snapshot: self.snapshot.fields(),
            payload: self.payload.as_deref(),
            revision: self.revision.as_ref(),
            credit: self.credit,
            more: self.more,
            body: self.body.as_deref(),
            response: self.response.as_ref().map(ResponsePart::fields),
            ext: &self.ext,
        };
        write(out, &self.header, &fields, |w| self.snapshot.write(w));
    }

    pub(super) fn read(f: &mut Fields<'_, '_>) -> Result<Self, DecodeError> {
        let header = Header::read(f)?;
        read_version(f)?;
        Ok(OpenFrame {
            header,
            reply: f.text("reply")?,
            entry: f.text("entry")?,
            phase: closed(f, "phase", Phase::from_number)?,
            remaining_ms: f.safe("remaining_ms")?,
            mono_ms: f.safe("mono_ms")?,
            snapshot: Snapshot::read(f.nested("snapshot")?)?,
            payload: f.opt_bin()?,
            revision: read_revision(f)?,
            credit: f.u32_or("credit", Limits::INITIAL_CREDIT)?,
            more: f.bool_or(false)?,
            body: f.opt_bin()?,
            response: f.opt_nested()?.map(ResponsePart::read).transpose()?,
            ext: f.ext()?,
        })
    }
}
