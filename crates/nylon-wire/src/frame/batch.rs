//! BATCH: several session frames in one message (SPEC 4.10 to 4.12).

use crate::fields::Fields;
use crate::msgpack::{Reader, Writer};
use crate::{DecodeError, Ext, FrameType};
use bytes::{Bytes, BytesMut};

/// BATCH: session frames as they would stand in messages of their own. Not a session frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchFrame {
    /// The frames, not decoded: each is judged by itself.
    pub frames: Vec<Bytes>,
    /// Extensions.
    pub ext: Ext,
}

impl BatchFrame {
    /// Appends the frame to `out`.
    pub fn encode(&self, out: &mut BytesMut) {
        let w = &mut Writer::new(out);
        w.array(3);
        w.uint(u64::from(FrameType::Batch.number()));
        w.array(self.frames.len());
        self.frames.iter().for_each(|frame| w.bin(frame));
        self.ext.write(w);
    }

    pub(super) fn read(f: &mut Fields<'_, '_>) -> Result<Self, DecodeError> {
        let source = f.source();
        let mut list = f.nested("frames")?;
        if list.left() == 0 {
            return Err(DecodeError::Missing("frames"));
        }
        let mut frames = Vec::with_capacity(list.left().min(64));
        while list.next() {
            frames.push(source.slice(list.reader.bin_span()?));
        }
        Ok(Self { frames, ext: f.ext()? })
    }
}

/// Appends a BATCH of frames that are encoded already.
pub fn encode_batch<'a>(out: &mut BytesMut, frames: impl ExactSizeIterator<Item = &'a [u8]>) {
    let w = &mut Writer::new(out);
    w.array(3);
    w.uint(u64::from(FrameType::Batch.number()));
    w.array(frames.len());
    frames.for_each(|frame| w.bin(frame));
    Ext::empty().write(w);
}

/// The session frames of a message, not decoded: those of a BATCH, else the message itself. An error ends them: the
/// rest of the message says nothing.
pub fn session_frames(payload: Bytes) -> SessionFrames {
    let mut reader = Reader::new(&payload);
    let batch = reader.array().is_ok() && reader.uint() == Ok(u64::from(FrameType::Batch.number()));
    if !batch {
        return SessionFrames { payload, at: 0, left: Left::Whole };
    }
    let left = match reader.array() {
        Ok(0) => Left::Error(DecodeError::Missing("frames")),
        Ok(count) => Left::Batch(count),
        Err(error) => Left::Error(error),
    };
    let at = reader.position();
    SessionFrames { payload, at, left }
}

/// See [`session_frames`].
pub struct SessionFrames {
    payload: Bytes,
    at: usize,
    left: Left,
}

enum Left {
    Whole,
    Batch(usize),
    Error(DecodeError),
}

impl Iterator for SessionFrames {
    type Item = Result<Bytes, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        match std::mem::replace(&mut self.left, Left::Batch(0)) {
            Left::Whole => Some(Ok(std::mem::take(&mut self.payload))),
            Left::Error(error) => Some(Err(error)),
            Left::Batch(0) => None,
            Left::Batch(count) => {
                let mut reader = Reader::starting_at(&self.payload, self.at);
                let span = reader.bin_span();
                self.at = reader.position();
                Some(span.map(|span| {
                    self.left = Left::Batch(count - 1);
                    self.payload.slice(span)
                }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(frames: &[&'static [u8]]) -> Bytes {
        let frames: Vec<_> = frames.iter().map(|frame| Bytes::from_static(frame)).collect();
        let mut out = BytesMut::new();
        encode_batch(&mut out, frames.iter().map(|frame| &frame[..]));
        let mut other = BytesMut::new();
        BatchFrame { frames, ext: Ext::empty() }.encode(&mut other);
        assert_eq!(out, other, "one form");
        out.freeze()
    }

    #[test]
    fn a_message_without_a_batch_is_its_own_frame() {
        for message in [&b"\x93\x07rest"[..], b"", b"rubbish", b"\x93"] {
            let frames: Vec<_> = session_frames(Bytes::from_static(message)).collect();
            assert_eq!(frames, [Ok(Bytes::from_static(message))]);
        }
    }

    #[test]
    fn a_batch_gives_its_frames_in_order() {
        let frames: Vec<_> = session_frames(batch(&[b"one", b"", b"two"])).collect();
        assert_eq!(frames, [Ok("one".into()), Ok("".into()), Ok("two".into())]);
    }

    #[test]
    fn an_empty_or_damaged_batch_is_an_error_once() {
        let empty = session_frames(batch(&[])).collect::<Vec<_>>();
        assert_eq!(empty, [Err(DecodeError::Missing("frames"))]);
        let cut = batch(&[b"one", b"two"]).slice(..8);
        let cut: Vec<_> = session_frames(cut).collect();
        assert_eq!(cut.len(), 2);
        assert!(cut[0].is_ok() && cut[1].is_err());
    }
}
