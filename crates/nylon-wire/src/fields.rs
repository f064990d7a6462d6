//! Reads the elements of one positional array: required, optional, missing, and those of a later version.

use crate::ext::{self, Ext};
use crate::msgpack::Reader;
use crate::{DecodeError, Limits, Text};
use bytes::Bytes;
use std::ops::Range;

type Result<T> = std::result::Result<T, DecodeError>;

/// Walks one array of a payload. `left` counts what its head announced and nobody has read yet.
pub(crate) struct Fields<'a, 'r> {
    source: &'a Bytes,
    pub reader: &'r mut Reader<'a>,
    left: usize,
    depth: usize,
}

impl<'a, 'r> Fields<'a, 'r> {
    /// Opens the array at the reader; `depth` is the nesting of its elements.
    pub fn open(source: &'a Bytes, reader: &'r mut Reader<'a>, depth: usize) -> Result<Self> {
        let left = reader.array()?;
        Ok(Fields { source, reader, left, depth })
    }

    /// Takes the next element: false if the array has no more.
    pub fn next(&mut self) -> bool {
        let any = self.left > 0;
        self.left = self.left.saturating_sub(1);
        any
    }

    /// Takes the next element if it is there and not nil.
    pub fn present(&mut self) -> Result<bool> {
        Ok(self.next() && !self.reader.nil()?)
    }

    fn required(&mut self, name: &'static str) -> Result<()> {
        if self.next() { Ok(()) } else { Err(DecodeError::Missing(name)) }
    }

    /// Elements that lie after what this version knows.
    pub fn finish(mut self) -> Result<()> {
        while self.next() {
            self.reader.skip(self.depth)?;
        }
        Ok(())
    }

    pub fn uint(&mut self, name: &'static str) -> Result<u64> {
        self.required(name)?;
        self.reader.uint()
    }

    pub fn u32(&mut self, name: &'static str) -> Result<u32> {
        let value = self.uint(name)?;
        u32::try_from(value).map_err(|_| DecodeError::Range { what: name, value })
    }

    pub fn u16(&mut self, name: &'static str) -> Result<u16> {
        let value = self.uint(name)?;
        u16::try_from(value).map_err(|_| DecodeError::Range { what: name, value })
    }

    /// A time or a length: below 2^53.
    pub fn safe(&mut self, name: &'static str) -> Result<u64> {
        self.required(name)?;
        self.safe_value(name)
    }

    fn safe_value(&mut self, name: &'static str) -> Result<u64> {
        let value = self.reader.uint()?;
        if value < Limits::MAX_SAFE { Ok(value) } else { Err(DecodeError::Range { what: name, value }) }
    }

    pub fn safe_or(&mut self, name: &'static str, default: u64) -> Result<u64> {
        if self.next() { self.safe_value(name) } else { Ok(default) }
    }

    pub fn opt_safe(&mut self, name: &'static str) -> Result<Option<u64>> {
        if self.present()? { self.safe_value(name).map(Some) } else { Ok(None) }
    }

    pub fn u32_or(&mut self, name: &'static str, default: u32) -> Result<u32> {
        if !self.next() {
            return Ok(default);
        }
        self.u32_value(name)
    }

    pub fn opt_u32(&mut self, name: &'static str) -> Result<Option<u32>> {
        if self.present()? { self.u32_value(name).map(Some) } else { Ok(None) }
    }

    fn u32_value(&mut self, name: &'static str) -> Result<u32> {
        let value = self.reader.uint()?;
        u32::try_from(value).map_err(|_| DecodeError::Range { what: name, value })
    }

    pub fn bool_or(&mut self, default: bool) -> Result<bool> {
        if self.next() { self.reader.bool() } else { Ok(default) }
    }

    pub fn text(&mut self, name: &'static str) -> Result<Text> {
        self.required(name)?;
        self.text_value()
    }

    pub fn opt_text(&mut self) -> Result<Option<Text>> {
        if self.present()? { self.text_value().map(Some) } else { Ok(None) }
    }

    fn text_value(&mut self) -> Result<Text> {
        let span = self.reader.str_span()?;
        Ok(Text::checked(self.source.slice(span)))
    }

    pub fn text_span(&mut self, name: &'static str) -> Result<Range<usize>> {
        self.required(name)?;
        self.reader.str_span()
    }

    pub fn text_span_or_empty(&mut self) -> Result<Range<usize>> {
        if self.next() { self.reader.str_span() } else { Ok(0..0) }
    }

    pub fn bin(&mut self, name: &'static str) -> Result<Bytes> {
        self.required(name)?;
        let span = self.reader.bin_span()?;
        Ok(self.source.slice(span))
    }

    pub fn opt_bin(&mut self) -> Result<Option<Bytes>> {
        if !self.present()? {
            return Ok(None);
        }
        let span = self.reader.bin_span()?;
        Ok(Some(self.source.slice(span)))
    }

    pub fn ext(&mut self) -> Result<Ext> {
        if !self.next() {
            return Ok(Ext::empty());
        }
        let span = ext::check(self.reader, self.depth)?;
        Ok(Ext::checked(self.source.slice(span)))
    }

    /// An array inside this one.
    pub fn nested(&mut self, name: &'static str) -> Result<Fields<'a, '_>> {
        self.required(name)?;
        Fields::open(self.source, self.reader, self.depth + 1)
    }

    /// An array inside this one, or nil, or missing.
    pub fn opt_nested(&mut self) -> Result<Option<Fields<'a, '_>>> {
        if !self.present()? {
            return Ok(None);
        }
        Fields::open(self.source, self.reader, self.depth + 1).map(Some)
    }

    /// How many elements are left.
    pub fn left(&self) -> usize {
        self.left
    }

    pub fn source(&self) -> &'a Bytes {
        self.source
    }
}
