//! All frames: one enum to decode into, one struct with `encode` per type.

mod batch;
mod beat;
mod control;
mod data;
mod open;
mod phase;
mod result;
mod websocket;

pub use batch::{BatchFrame, SessionFrames, encode_batch, session_frames};
pub use beat::{BeatEntry, BeatFrame};
pub use control::{AbortFrame, AcceptFrame, BusyFrame, CloseFrame, ErrorFrame, ProbeFrame};
pub use data::{CreditFrame, DataFrame, FetchFrame};
pub use open::{OpenFields, OpenFrame, Revision, encode_open};
pub use phase::{PhaseFields, PhaseFrame, encode_phase};
pub use result::{First, ResultFrame, StreamEndFrame, StreamFrame, Timing};
pub use websocket::{UpgradeFrame, WsClosedFrame, WsErrorFrame, WsOpFrame, WsOpenFrame, WsOperation};

use crate::fields::Fields;
use crate::msgpack::Reader;
use crate::{DecodeError, FrameType, Header};
use bytes::{Bytes, BytesMut};

/// A decoded frame.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)] // each variant is its struct
#[allow(clippy::large_enum_variant)] // a frame is matched where it is decoded and not kept
pub enum Frame {
    Open(Box<OpenFrame>),
    Accept(AcceptFrame),
    Phase(PhaseFrame),
    Fetch(FetchFrame),
    Data(DataFrame),
    Credit(CreditFrame),
    Result(ResultFrame),
    Stream(StreamFrame),
    StreamEnd(StreamEndFrame),
    Upgrade(UpgradeFrame),
    WsOpen(WsOpenFrame),
    WsClosed(WsClosedFrame),
    WsError(WsErrorFrame),
    WsOp(WsOpFrame),
    Abort(AbortFrame),
    Busy(BusyFrame),
    Error(ErrorFrame),
    Close(CloseFrame),
    Probe(ProbeFrame),
    Beat(BeatFrame),
    Batch(BatchFrame),
}

impl Frame {
    /// Decodes one payload that holds exactly one frame. Byte fields of the result are slices of `payload` and keep
    /// it alive. Errors: see [`DecodeError`]; none is ever to be ignored.
    pub fn decode(payload: &Bytes) -> Result<Frame, DecodeError> {
        let mut reader = Reader::new(payload);
        let frame = Frame::read(payload, &mut reader)?;
        match reader.remaining() {
            0 => Ok(frame),
            left => Err(DecodeError::Trailing(left)),
        }
    }

    fn read<'a>(source: &'a Bytes, reader: &mut Reader<'a>) -> Result<Frame, DecodeError> {
        let mut fields = Fields::open(source, reader, 1)?;
        let number = fields.uint("type")?;
        let kind = FrameType::from_number(number).ok_or(DecodeError::UnknownFrame(number))?;
        let f = &mut fields;
        let frame = match kind {
            FrameType::Open => Frame::Open(Box::new(OpenFrame::read(f)?)),
            FrameType::Accept => Frame::Accept(AcceptFrame::read(f)?),
            FrameType::Phase => Frame::Phase(PhaseFrame::read(f)?),
            FrameType::Fetch => Frame::Fetch(FetchFrame::read(f)?),
            FrameType::Data => Frame::Data(DataFrame::read(f)?),
            FrameType::Credit => Frame::Credit(CreditFrame::read(f)?),
            FrameType::Result => Frame::Result(ResultFrame::read(f)?),
            FrameType::Stream => Frame::Stream(StreamFrame::read(f)?),
            FrameType::StreamEnd => Frame::StreamEnd(StreamEndFrame::read(f)?),
            FrameType::Upgrade => Frame::Upgrade(UpgradeFrame::read(f)?),
            FrameType::WsOpen => Frame::WsOpen(WsOpenFrame::read(f)?),
            FrameType::WsClosed => Frame::WsClosed(WsClosedFrame::read(f)?),
            FrameType::WsError => Frame::WsError(WsErrorFrame::read(f)?),
            FrameType::WsOp => Frame::WsOp(WsOpFrame::read(f)?),
            FrameType::Abort => Frame::Abort(AbortFrame::read(f)?),
            FrameType::Busy => Frame::Busy(BusyFrame::read(f)?),
            FrameType::Error => Frame::Error(ErrorFrame::read(f)?),
            FrameType::Close => Frame::Close(CloseFrame::read(f)?),
            FrameType::Probe => Frame::Probe(ProbeFrame::read(f)?),
            FrameType::Beat => Frame::Beat(BeatFrame::read(f)?),
            FrameType::Batch => Frame::Batch(BatchFrame::read(f)?),
        };
        fields.finish()?;
        Ok(frame)
    }

    /// Appends the frame to `out` in its one canonical form.
    pub fn encode(&self, out: &mut BytesMut) {
        match self {
            Frame::Open(frame) => frame.encode(out),
            Frame::Accept(frame) => frame.encode(out),
            Frame::Phase(frame) => frame.encode(out),
            Frame::Fetch(frame) => frame.encode(out),
            Frame::Data(frame) => frame.encode(out),
            Frame::Credit(frame) => frame.encode(out),
            Frame::Result(frame) => frame.encode(out),
            Frame::Stream(frame) => frame.encode(out),
            Frame::StreamEnd(frame) => frame.encode(out),
            Frame::Upgrade(frame) => frame.encode(out),
            Frame::WsOpen(frame) => frame.encode(out),
            Frame::WsClosed(frame) => frame.encode(out),
            Frame::WsError(frame) => frame.encode(out),
            Frame::WsOp(frame) => frame.encode(out),
            Frame::Abort(frame) => frame.encode(out),
            Frame::Busy(frame) => frame.encode(out),
            Frame::Error(frame) => frame.encode(out),
            Frame::Close(frame) => frame.encode(out),
            Frame::Probe(frame) => frame.encode(out),
            Frame::Beat(frame) => frame.encode(out),
            Frame::Batch(frame) => frame.encode(out),
        }
    }

    /// The type of the frame.
    pub fn kind(&self) -> FrameType {
        match self {
            Frame::Open(_) => FrameType::Open,
            Frame::Accept(_) => FrameType::Accept,
            Frame::Phase(_) => FrameType::Phase,
            Frame::Fetch(_) => FrameType::Fetch,
            Frame::Data(_) => FrameType::Data,
            Frame::Credit(_) => FrameType::Credit,
            Frame::Result(_) => FrameType::Result,
            Frame::Stream(_) => FrameType::Stream,
            Frame::StreamEnd(_) => FrameType::StreamEnd,
            Frame::Upgrade(_) => FrameType::Upgrade,
            Frame::WsOpen(_) => FrameType::WsOpen,
            Frame::WsClosed(_) => FrameType::WsClosed,
            Frame::WsError(_) => FrameType::WsError,
            Frame::WsOp(_) => FrameType::WsOp,
            Frame::Abort(_) => FrameType::Abort,
            Frame::Busy(_) => FrameType::Busy,
            Frame::Error(_) => FrameType::Error,
            Frame::Close(_) => FrameType::Close,
            Frame::Probe(_) => FrameType::Probe,
            Frame::Beat(_) => FrameType::Beat,
            Frame::Batch(_) => FrameType::Batch,
        }
    }

    /// The session header; BEAT and BATCH have none.
    pub fn header(&self) -> Option<&Header> {
        Some(match self {
            Frame::Open(frame) => &frame.header,
            Frame::Accept(frame) => &frame.header,
            Frame::Phase(frame) => &frame.header,
            Frame::Fetch(frame) => &frame.header,
            Frame::Data(frame) => &frame.header,
            Frame::Credit(frame) => &frame.header,
            Frame::Result(frame) => &frame.header,
            Frame::Stream(frame) => &frame.header,
            Frame::StreamEnd(frame) => &frame.header,
            Frame::Upgrade(frame) => &frame.header,
            Frame::WsOpen(frame) => &frame.header,
            Frame::WsClosed(frame) => &frame.header,
            Frame::WsError(frame) => &frame.header,
            Frame::WsOp(frame) => &frame.header,
            Frame::Abort(frame) => &frame.header,
            Frame::Busy(frame) => &frame.header,
            Frame::Error(frame) => &frame.header,
            Frame::Close(frame) => &frame.header,
            Frame::Probe(frame) => &frame.header,
            Frame::Beat(_) | Frame::Batch(_) => return None,
        })
    }
}

/// Reads a number of a closed set.
fn closed<T>(
    fields: &mut Fields<'_, '_>,
    what: &'static str,
    from: impl FnOnce(u64) -> Option<T>,
) -> Result<T, DecodeError> {
    let value = fields.uint(what)?;
    from(value).ok_or(DecodeError::Range { what, value })
}

#[cfg(test)]
mod tests;
