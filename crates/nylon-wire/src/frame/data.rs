//! FETCH, DATA, CREDIT: how bodies move (SPEC 12).

use super::{First, closed};
use crate::fields::Fields;
use crate::msgpack::Writer;
use crate::{DataKind, DecodeError, Ext, FetchKind, FrameType, Header};
use bytes::{Bytes, BytesMut};

/// FETCH: a worker asks for bytes. Answered by DATA frames with the call id, or ERROR with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchFrame {
    /// Session and order.
    pub header: Header,
    /// Names this call; unique in the session.
    pub call_id: u32,
    /// What is asked for.
    pub what: FetchKind,
    /// The most the worker takes, in bytes; beyond it the answer is ERROR(body_too_large), never a cut body.
    pub max_bytes: u64,
    /// In the worker's first frame of the session.
    pub first: Option<First>,
    /// Extensions.
    pub ext: Ext,
}

/// DATA: a piece of a body, a stream or a WebSocket message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataFrame {
    /// Session and order.
    pub header: Header,
    /// Call, body, stream or connection it belongs to.
    pub id: u32,
    /// The piece; may be empty.
    pub bytes: Bytes,
    /// Whether more follows.
    pub more: bool,
    /// What it is.
    pub kind: DataKind,
    /// Extensions.
    pub ext: Ext,
}

/// CREDIT: the receiver has moved data on and takes more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreditFrame {
    /// Session and order.
    pub header: Header,
    /// The stream that moved on; the credit is the session's.
    pub id: u32,
    /// Additional bytes.
    pub bytes: u32,
    /// Extensions.
    pub ext: Ext,
}

impl FetchFrame {
    /// Appends the frame to `out`.
    pub fn encode(&self, out: &mut BytesMut) {
        let w = &mut Writer::new(out);
        self.header.write(w, FrameType::Fetch, 10);
        w.uint(u64::from(self.call_id));
        w.uint(u64::from(self.what.number()));
        w.uint(self.max_bytes);
        First::write(self.first.as_ref(), w);
        self.ext.write(w);
    }

    pub(super) fn read(f: &mut Fields<'_, '_>) -> Result<Self, DecodeError> {
        Ok(FetchFrame {
            header: Header::read(f)?,
            call_id: f.u32("call_id")?,
            what: closed(f, "what", FetchKind::from_number)?,
            max_bytes: f.safe("max_bytes")?,
            first: First::read(f)?,
            ext: f.ext()?,
        })
    }
}

impl DataFrame {
    /// Appends the frame to `out`.
    pub fn encode(&self, out: &mut BytesMut) {
        let w = &mut Writer::new(out);
        self.header.write(w, FrameType::Data, 10);
        w.uint(u64::from(self.id));
        w.bin(&self.bytes);
        w.bool(self.more);
        w.uint(u64::from(self.kind.number()));
        self.ext.write(w);
    }

    pub(super) fn read(f: &mut Fields<'_, '_>) -> Result<Self, DecodeError> {
        Ok(DataFrame {
            header: Header::read(f)?,
            id: f.u32("id")?,
            bytes: f.bin("bytes")?,
            more: f.bool_or(false)?,
            kind: if f.left() == 0 { DataKind::Body } else { closed(f, "kind", DataKind::from_number)? },
            ext: f.ext()?,
        })
    }
}

impl CreditFrame {
    /// Appends the frame to `out`.
    pub fn encode(&self, out: &mut BytesMut) {
        let w = &mut Writer::new(out);
        self.header.write(w, FrameType::Credit, 8);
        w.uint(u64::from(self.id));
        w.uint(u64::from(self.bytes));
        self.ext.write(w);
    }

    pub(super) fn read(f: &mut Fields<'_, '_>) -> Result<Self, DecodeError> {
        Ok(CreditFrame { header: Header::read(f)?, id: f.u32("id")?, bytes: f.u32("bytes")?, ext: f.ext()? })
    }
}
