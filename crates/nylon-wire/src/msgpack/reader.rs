//! Reads MessagePack from untrusted bytes: every length is checked, nothing is allocated, nesting is limited.

use crate::{DecodeError, Limits};
use std::ops::Range;

/// A cursor over one payload. Integers of any width are accepted, floats and ext types only where they are skipped.
#[derive(Clone)]
pub struct Reader<'a> {
    data: &'a [u8],
    at: usize,
}

type Result<T> = std::result::Result<T, DecodeError>;

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    pub fn new(data: &'a [u8]) -> Self {
        Reader { data, at: 0 }
    }

    /// Starts at byte `at`.
    pub fn starting_at(data: &'a [u8], at: usize) -> Self {
        Reader { data, at: at.min(data.len()) }
    }

    /// Where the next value starts.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Bytes not read yet.
    pub fn remaining(&self) -> usize {
        self.data.len() - self.at
    }

    /// Length of an array. Never more than the bytes that are left, so it may size an allocation of bytes.
    pub fn array(&mut self) -> Result<usize> {
        let start = self.at;
        let marker = self.marker()?;
        let len = match marker {
            0x90..=0x9f => usize::from(marker & 0x0f),
            0xdc => self.be16()?,
            0xdd => self.be32()?,
            _ => return Err(self.mismatch("an array", marker, start)),
        };
        self.bounded(len)
    }

    /// Number of pairs of a map.
    pub fn map(&mut self) -> Result<usize> {
        let start = self.at;
        let marker = self.marker()?;
        let len = match marker {
            0x80..=0x8f => usize::from(marker & 0x0f),
            0xde => self.be16()?,
            0xdf => self.be32()?,
            _ => return Err(self.mismatch("a map", marker, start)),
        };
        self.bounded(len)
    }

    /// A whole number that is not negative, of any width.
    pub fn uint(&mut self) -> Result<u64> {
        let start = self.at;
        let marker = self.marker()?;
        let value = match marker {
            0x00..=0x7f => return Ok(u64::from(marker)),
            0xcc => return Ok(u64::from(self.be::<1>()?[0])),
            0xcd => return Ok(u64::from(u16::from_be_bytes(self.be()?))),
            0xce => return Ok(u64::from(u32::from_be_bytes(self.be()?))),
            0xcf => return Ok(u64::from_be_bytes(self.be()?)),
            0xd0 => i64::from(i8::from_be_bytes(self.be()?)),
            0xd1 => i64::from(i16::from_be_bytes(self.be()?)),
            0xd2 => i64::from(i32::from_be_bytes(self.be()?)),
            0xd3 => i64::from_be_bytes(self.be()?),
            _ => return Err(self.mismatch("a whole number", marker, start)),
        };
        u64::try_from(value).map_err(|_| self.mismatch("a number that is not negative", marker, start))
    }

    /// Whether the next value is nil, which is then read.
    pub fn nil(&mut self) -> Result<bool> {
        match self.data.get(self.at) {
            Some(0xc0) => {
                self.at += 1;
                Ok(true)
            }
            Some(_) => Ok(false),
            None => Err(DecodeError::Truncated(self.at)),
        }
    }

    /// True or false.
    pub fn bool(&mut self) -> Result<bool> {
        let start = self.at;
        match self.marker()? {
            0xc2 => Ok(false),
            0xc3 => Ok(true),
            marker => Err(self.mismatch("true or false", marker, start)),
        }
    }

    /// Text, checked to be UTF-8.
    pub fn str(&mut self) -> Result<&'a str> {
        let span = self.str_bytes()?;
        let start = span.start;
        self.data.get(span).and_then(|bytes| std::str::from_utf8(bytes).ok()).ok_or(DecodeError::Utf8(start))
    }

    /// Where a text lies, checked to be UTF-8.
    pub fn str_span(&mut self) -> Result<Range<usize>> {
        let text = self.str()?;
        Ok(self.at - text.len()..self.at)
    }

    /// Bytes.
    pub fn bin(&mut self) -> Result<&'a [u8]> {
        let span = self.bin_span()?;
        Ok(&self.data[span])
    }

    /// Where bytes lie.
    pub fn bin_span(&mut self) -> Result<Range<usize>> {
        let start = self.at;
        let marker = self.marker()?;
        let len = match marker {
            0xc4 => usize::from(self.be::<1>()?[0]),
            0xc5 => self.be16()?,
            0xc6 => self.be32()?,
            _ => return Err(self.mismatch("bytes", marker, start)),
        };
        self.advance(len)
    }

    /// Reads over one value of any type, floats and ext included. `depth` is the nesting the value lies in.
    pub fn skip(&mut self, depth: usize) -> Result<Range<usize>> {
        let start = self.at;
        // How many values are still to come at each level that is open; no recursion, so no stack to exhaust.
        let mut open = [0usize; Limits::MAX_DEPTH + 1];
        let mut level = depth.min(Limits::MAX_DEPTH);
        let floor = level;
        open[level] = 1;
        loop {
            if open[level] == 0 {
                if level == floor {
                    return Ok(start..self.at);
                }
                level -= 1;
                continue;
            }
            open[level] -= 1;
            let inner = self.skip_one()?;
            if let Some(count) = inner {
                if level == Limits::MAX_DEPTH {
                    return Err(DecodeError::Depth(Limits::MAX_DEPTH));
                }
                level += 1;
                open[level] = count;
            }
        }
    }

    /// Reads over a scalar, or over the head of a container and says how many values it holds.
    fn skip_one(&mut self) -> Result<Option<usize>> {
        let start = self.at;
        let marker = self.marker()?;
        let len = match marker {
            0x00..=0x7f | 0xc0 | 0xc2 | 0xc3 | 0xe0..=0xff => 0,
            0x80..=0x8f => return self.bounded(usize::from(marker & 0x0f) * 2).map(Some),
            0x90..=0x9f => return self.bounded(usize::from(marker & 0x0f)).map(Some),
            0xa0..=0xbf => usize::from(marker & 0x1f),
            0xc4 | 0xd9 => usize::from(self.be::<1>()?[0]),
            0xc5 | 0xda => self.be16()?,
            0xc6 | 0xdb => self.be32()?,
            0xc7 => usize::from(self.be::<1>()?[0]) + 1,
            0xc8 => self.be16()? + 1,
            0xc9 => self.be32()?.saturating_add(1),
            0xcc | 0xd0 => 1,
            0xcd | 0xd1 | 0xd4 => 2,
            0xd5 => 3,
            0xca | 0xce | 0xd2 => 4,
            0xd6 => 5,
            0xcb | 0xcf | 0xd3 => 8,
            0xd7 => 9,
            0xd8 => 17,
            0xdc => return self.be16().and_then(|len| self.bounded(len)).map(Some),
            0xdd => return self.be32().and_then(|len| self.bounded(len)).map(Some),
            0xde => return self.be16().and_then(|len| self.bounded(len * 2)).map(Some),
            0xdf => {
                return self.be32().and_then(|len| self.bounded(len.saturating_mul(2))).map(Some);
            }
            0xc1 => return Err(self.mismatch("a value", marker, start)),
        };
        self.advance(len)?;
        Ok(None)
    }

    fn str_bytes(&mut self) -> Result<Range<usize>> {
        let start = self.at;
        let marker = self.marker()?;
        let len = match marker {
            0xa0..=0xbf => usize::from(marker & 0x1f),
            0xd9 => usize::from(self.be::<1>()?[0]),
            0xda => self.be16()?,
            0xdb => self.be32()?,
            _ => return Err(self.mismatch("text", marker, start)),
        };
        self.advance(len)
    }

    fn marker(&mut self) -> Result<u8> {
        let marker = *self.data.get(self.at).ok_or(DecodeError::Truncated(self.at))?;
        self.at += 1;
        Ok(marker)
    }

    fn be<const N: usize>(&mut self) -> Result<[u8; N]> {
        let bytes = self.data.get(self.at..).and_then(|rest| rest.first_chunk::<N>());
        let bytes = *bytes.ok_or(DecodeError::Truncated(self.at))?;
        self.at += N;
        Ok(bytes)
    }

    fn be16(&mut self) -> Result<usize> {
        Ok(usize::from(u16::from_be_bytes(self.be()?)))
    }

    fn be32(&mut self) -> Result<usize> {
        Ok(u32::from_be_bytes(self.be()?) as usize)
    }

    fn advance(&mut self, len: usize) -> Result<Range<usize>> {
        if len > self.remaining() {
            return Err(DecodeError::Truncated(self.at));
        }
        self.at += len;
        Ok(self.at - len..self.at)
    }

    /// A container holds at least one byte per value; a longer claim is cut off here, before anyone trusts it.
    fn bounded(&self, len: usize) -> Result<usize> {
        if len > self.remaining() { Err(DecodeError::Truncated(self.at)) } else { Ok(len) }
    }

    fn mismatch(&self, expected: &'static str, marker: u8, at: usize) -> DecodeError {
        DecodeError::Type { expected, marker, at }
    }
}
