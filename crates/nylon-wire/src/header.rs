//! The five elements every session frame starts with.

use crate::fields::Fields;
use crate::msgpack::{Reader, Writer};
use crate::{DecodeError, FrameType};

/// 128 random bits that name one session; unguessable, so a stale peer cannot reach a live one (SPEC 3).
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub [u8; 16]);

impl std::fmt::Display for SessionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for SessionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// Whom a session frame is for and where it stands in its order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// The session.
    pub session: SessionId,
    /// Leads the gateway to its slot and says which use of it this is; opaque to workers (SPEC 3.2).
    pub generation: u32,
    /// Number of this frame in its direction, from 0. A gap aborts the session.
    pub seq: u32,
    /// Number of the phase run this frame belongs to, from 0. Answers to another one are ignored.
    pub phase_seq: u32,
}

impl Header {
    pub(crate) fn write(&self, writer: &mut Writer<'_>, kind: FrameType, elements: usize) {
        writer.array(elements);
        writer.uint(u64::from(kind.number()));
        writer.bin(&self.session.0);
        writer.uint(u64::from(self.generation));
        writer.uint(u64::from(self.seq));
        writer.uint(u64::from(self.phase_seq));
    }

    pub(crate) fn read(fields: &mut Fields<'_, '_>) -> Result<Self, DecodeError> {
        if !fields.next() {
            return Err(DecodeError::Missing("session"));
        }
        let session = session_id(fields.reader.bin()?)?;
        Ok(Header {
            session,
            generation: fields.u32("generation")?,
            seq: fields.u32("seq")?,
            phase_seq: fields.u32("phase_seq")?,
        })
    }
}

fn session_id(bytes: &[u8]) -> Result<SessionId, DecodeError> {
    bytes.try_into().map(SessionId).map_err(|_| DecodeError::SessionId(bytes.len()))
}

/// Reads type and header only, so that a receiver finds the session before it decodes the rest, and still knows whom
/// to fail when the rest is not understood. Errors: as [`crate::Frame::decode`]; BEAT and BATCH have
/// no header (`UnknownFrame`).
pub fn peek(payload: &[u8]) -> Result<(FrameType, Header), DecodeError> {
    let mut reader = Reader::new(payload);
    let len = reader.array()?;
    if len < 5 {
        return Err(DecodeError::Missing("header"));
    }
    let number = reader.uint()?;
    let kind = FrameType::from_number(number)
        .filter(|kind| !matches!(kind, FrameType::Beat | FrameType::Batch))
        .ok_or(DecodeError::UnknownFrame(number))?;
    Ok((kind, after_type(&mut reader)?))
}

/// Reads the header of a frame whatever its type is, for a frame that was refused: also one of a type that this
/// version does not know belongs to a session whose other side waits. Errors: as [`crate::Frame::decode`].
pub fn peek_refused(payload: &[u8]) -> Result<Header, DecodeError> {
    let mut reader = Reader::new(payload);
    if reader.array()? < 5 {
        return Err(DecodeError::Missing("header"));
    }
    reader.uint()?;
    after_type(&mut reader)
}

fn after_type(reader: &mut Reader<'_>) -> Result<Header, DecodeError> {
    let session = session_id(reader.bin()?)?;
    let mut next = |what| {
        let value = reader.uint()?;
        u32::try_from(value).map_err(|_| DecodeError::Range { what, value })
    };
    Ok(Header { session, generation: next("generation")?, seq: next("seq")?, phase_seq: next("phase_seq")? })
}
