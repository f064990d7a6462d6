//! Writes the smallest form of every value (SPEC 4).

use bytes::{BufMut, BytesMut};

/// Appends MessagePack values to a buffer. Cannot fail: lengths beyond 2^32 do not occur, chunks are limited.
pub struct Writer<'a> {
    out: &'a mut BytesMut,
}

impl<'a> Writer<'a> {
    /// Appends to `out`.
    pub fn new(out: &'a mut BytesMut) -> Self {
        Writer { out }
    }

    /// An array of `len` elements, which the caller writes next.
    pub fn array(&mut self, len: usize) {
        match len {
            0..=15 => self.out.put_u8(0x90 | len as u8),
            16..=0xffff => self.wide16(0xdc, len),
            _ => self.wide32(0xdd, len),
        }
    }

    /// A map of `len` pairs, which the caller writes next.
    pub fn map(&mut self, len: usize) {
        match len {
            0..=15 => self.out.put_u8(0x80 | len as u8),
            16..=0xffff => self.wide16(0xde, len),
            _ => self.wide32(0xdf, len),
        }
    }

    /// A whole number.
    pub fn uint(&mut self, value: u64) {
        match value {
            0..=0x7f => self.out.put_u8(value as u8),
            0x80..=0xff => self.out.put_slice(&[0xcc, value as u8]),
            0x100..=0xffff => self.wide16(0xcd, value as usize),
            0x1_0000..=0xffff_ffff => {
                self.out.put_u8(0xce);
                self.out.put_u32(value as u32);
            }
            _ => {
                self.out.put_u8(0xcf);
                self.out.put_u64(value);
            }
        }
    }

    /// A whole number or nil.
    pub fn opt_uint(&mut self, value: Option<u64>) {
        match value {
            Some(value) => self.uint(value),
            None => self.nil(),
        }
    }

    /// Text.
    pub fn str(&mut self, text: &str) {
        match text.len() {
            len @ 0..=31 => self.out.put_u8(0xa0 | len as u8),
            len @ 32..=0xff => self.out.put_slice(&[0xd9, len as u8]),
            len @ 0x100..=0xffff => self.wide16(0xda, len),
            len => self.wide32(0xdb, len),
        }
        self.out.put_slice(text.as_bytes());
    }

    /// Text or nil.
    pub fn opt_str(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.str(text),
            None => self.nil(),
        }
    }

    /// Bytes.
    pub fn bin(&mut self, bytes: &[u8]) {
        match bytes.len() {
            len @ 0..=0xff => self.out.put_slice(&[0xc4, len as u8]),
            len @ 0x100..=0xffff => self.wide16(0xc5, len),
            len => self.wide32(0xc6, len),
        }
        self.out.put_slice(bytes);
    }

    /// Bytes or nil.
    pub fn opt_bin(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            Some(bytes) => self.bin(bytes),
            None => self.nil(),
        }
    }

    /// True or false.
    pub fn bool(&mut self, value: bool) {
        self.out.put_u8(if value { 0xc3 } else { 0xc2 });
    }

    /// Nothing.
    pub fn nil(&mut self) {
        self.out.put_u8(0xc0);
    }

    /// A value that is encoded already.
    pub fn raw(&mut self, encoded: &[u8]) {
        self.out.put_slice(encoded);
    }

    fn wide16(&mut self, marker: u8, value: usize) {
        self.out.put_u8(marker);
        self.out.put_u16(value as u16);
    }

    fn wide32(&mut self, marker: u8, len: usize) {
        self.out.put_u8(marker);
        self.out.put_u32(u32::try_from(len).unwrap_or(u32::MAX));
    }
}
