//! The extension map that closes every v1 frame.

use crate::msgpack::{Reader, Writer};
use crate::{DecodeError, Limits};
use bytes::Bytes;

/// String-keyed extensions, kept as they were encoded: nobody pays for what nobody reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ext(Bytes);

impl Ext {
    /// No extensions.
    pub const fn empty() -> Self {
        Ext(Bytes::new())
    }

    /// The extension `again` of OPEN and PHASE: the same phase may follow in this session (SPEC 9.6).
    pub const fn again() -> Self {
        // A map of one pair: "again", true.
        Ext(Bytes::from_static(b"\x81\xa5again\xc3"))
    }

    /// Whether the extension `again` is there and true.
    pub fn is_again(&self) -> bool {
        self.get("again").is_some_and(|mut value| value.bool() == Ok(true))
    }

    /// Takes an encoded map, checking its form. Errors: not one string-keyed map.
    pub fn from_encoded(encoded: Bytes) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(&encoded);
        let span = check(&mut reader, 0)?;
        match reader.remaining() {
            0 if span.is_empty() => Ok(Ext::empty()),
            0 => Ok(Ext(encoded)),
            left => Err(DecodeError::Trailing(left)),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of `key`, to be read by the caller; the first one if a sender repeats a key.
    pub fn get(&self, key: &str) -> Option<Reader<'_>> {
        if self.0.is_empty() {
            return None;
        }
        let mut reader = Reader::new(&self.0);
        for _ in 0..reader.map().ok()? {
            if reader.str().ok()? == key {
                return Some(reader);
            }
            reader.skip(1).ok()?;
        }
        None
    }

    /// The encoded map; empty if there are no extensions.
    pub fn encoded(&self) -> &Bytes {
        &self.0
    }

    pub(crate) fn checked(encoded: Bytes) -> Self {
        Ext(encoded)
    }

    pub(crate) fn write(&self, writer: &mut Writer<'_>) {
        if self.0.is_empty() { writer.map(0) } else { writer.raw(&self.0) }
    }
}

/// Reads over a string-keyed map that lies in `depth` containers; an empty span if it has no pairs.
pub(crate) fn check(reader: &mut Reader<'_>, depth: usize) -> Result<std::ops::Range<usize>, DecodeError> {
    let start = reader.position();
    let pairs = reader.map()?;
    if depth >= Limits::MAX_DEPTH {
        return Err(DecodeError::Depth(Limits::MAX_DEPTH));
    }
    for _ in 0..pairs {
        reader.str()?;
        reader.skip(depth + 1)?;
    }
    Ok(if pairs == 0 { 0..0 } else { start..reader.position() })
}
