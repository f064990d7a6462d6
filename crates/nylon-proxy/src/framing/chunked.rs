//! The chunked coding as an automaton that accepts only what RFC 9112 §7.1 writes.

use super::is_token_byte;

/// Longest chunk-size line and, together, trailer section, bytes. Extensions have no known use.
const MAX_SIZE_LINE: usize = 256;
const MAX_TRAILERS: usize = 16 * 1024;

/// Fields that may not stand in trailers: framing, routing, and what belongs to the connection.
const FORBIDDEN: [&[u8]; 10] = [
    b"content-length",
    b"transfer-encoding",
    b"host",
    b"connection",
    b"trailer",
    b"te",
    b"upgrade",
    b"content-encoding",
    b"content-type",
    b"authorization",
];
const LONGEST_FORBIDDEN: usize = 17;

/// Bad chunked coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bad chunked coding: {0}")]
pub(crate) struct ChunkError(&'static str);

/// What stands next in the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// This many bytes of framing.
    Framing(usize),
    /// This many bytes of the body.
    Data(usize),
    /// This many bytes of framing, and the message is over.
    End(usize),
}

/// Where in a chunked body the reader is.
#[derive(Clone, Debug)]
pub(crate) struct Chunked {
    state: State,
    left: u64,
    line: usize,
    trailers: usize,
    name: [u8; LONGEST_FORBIDDEN],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
    Done,
}

impl Chunked {
    pub(crate) fn new() -> Self {
        Self { state: State::Size, left: 0, line: 0, trailers: 0, name: [0; LONGEST_FORBIDDEN] }
    }

    /// Whether a trailer section was there.
    pub(crate) fn has_trailers(&self) -> bool {
        self.trailers > 0
    }

    /// Whether the reader stands in the trailer section or at its end.
    pub(crate) fn in_trailers(&self) -> bool {
        use State::{Done, EndLf, TrailerLf, TrailerName, TrailerStart, TrailerValue};
        matches!(self.state, TrailerStart | TrailerName | TrailerValue | TrailerLf | EndLf | Done)
    }

    /// What the next bytes are; `input` is not empty. Every answer covers at least one byte.
    pub(crate) fn next(&mut self, input: &[u8]) -> Result<Piece, ChunkError> {
        if self.state == State::Data {
            let here = usize::try_from(self.left).unwrap_or(usize::MAX).min(input.len());
            self.left -= here as u64;
            if self.left == 0 {
                self.state = State::DataCr;
            }
            return Ok(Piece::Data(here));
        }
        for (at, &byte) in input.iter().enumerate() {
            let before = self.state;
            self.step(byte)?;
            match self.state {
                // The trailer section is a piece of its own.
                State::TrailerStart if before == State::SizeLf => return Ok(Piece::Framing(at + 1)),
                State::Data => return Ok(Piece::Framing(at + 1)),
                State::Done => return Ok(Piece::End(at + 1)),
                _ => {}
            }
        }
        Ok(Piece::Framing(input.len()))
    }

    fn step(&mut self, byte: u8) -> Result<(), ChunkError> {
        self.state = match (self.state, byte) {
            (State::Size, _) if byte.is_ascii_hexdigit() => {
                self.line += 1;
                if self.line > 16 {
                    return Err(ChunkError("the chunk size is too long"));
                }
                self.left = self.left << 4 | u64::from((byte as char).to_digit(16).unwrap_or_default());
                if self.left > i64::MAX as u64 {
                    return Err(ChunkError("the chunk size is out of range"));
                }
                State::Size
            }
            (State::Size, b';') if self.line > 0 => State::Extension,
            (State::Size | State::Extension, b'\r') if self.line > 0 => State::SizeLf,
            (State::Size, _) => return Err(ChunkError("the chunk size is no hex number")),
            (State::Extension, b'\t' | b' '..=b'~' | 0x80..) => {
                self.line += 1;
                if self.line > MAX_SIZE_LINE {
                    return Err(ChunkError("the chunk extension is too long"));
                }
                State::Extension
            }
            (State::Extension, _) => return Err(ChunkError("control character in a chunk extension")),
            (State::SizeLf, b'\n') => {
                self.line = 0;
                if self.left == 0 { State::TrailerStart } else { State::Data }
            }
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::Size,
            (State::DataCr | State::DataLf, _) => return Err(ChunkError("a chunk is longer than its size")),
            (State::TrailerStart, b'\r') => State::EndLf,
            (State::TrailerStart | State::TrailerName, _) if is_token_byte(byte) => {
                self.count_trailer()?;
                if self.state == State::TrailerStart {
                    self.line = 0;
                }
                if let Some(slot) = self.name.get_mut(self.line) {
                    *slot = byte.to_ascii_lowercase();
                }
                self.line += 1;
                State::TrailerName
            }
            (State::TrailerName, b':') => {
                if self.name.get(..self.line).is_some_and(|name| FORBIDDEN.contains(&name)) {
                    return Err(ChunkError("a trailer that may not be one"));
                }
                State::TrailerValue
            }
            (State::TrailerValue, b'\r') => State::TrailerLf,
            (State::TrailerValue, b'\t' | b' '..=b'~' | 0x80..) => {
                self.count_trailer()?;
                State::TrailerValue
            }
            (State::TrailerLf, b'\n') => State::TrailerStart,
            (State::EndLf, b'\n') => State::Done,
            (State::TrailerStart | State::TrailerName | State::TrailerValue, _) => {
                return Err(ChunkError("a trailer is no header line"));
            }
            (State::SizeLf | State::TrailerLf | State::EndLf, _) => return Err(ChunkError("CR without LF")),
            // `next` deals with data itself, and nobody asks after the end.
            (State::Data | State::Done, _) => return Err(ChunkError("read beyond the end")),
        };
        Ok(())
    }

    fn count_trailer(&mut self) -> Result<(), ChunkError> {
        self.trailers += 1;
        if self.trailers > MAX_TRAILERS { Err(ChunkError("the trailers are too long")) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests;
