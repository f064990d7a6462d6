//! The response as later phases see it.

use crate::fields::Fields;
use crate::msgpack::{Reader, Writer};
use crate::snapshot::{Headers, check_pairs, write_headers};
use crate::{DecodeError, Text};
use bytes::Bytes;
use std::ops::Range;

/// A decoded response: status, headers and counters. One payload and offsets into it.
#[derive(Clone, Debug)]
pub struct ResponsePart {
    source: Bytes,
    status: u16,
    headers: Range<usize>,
    body_bytes: u64,
    duration_ms: u64,
    error: Option<Text>,
    body_length: Option<u64>,
}

/// A response to be encoded, borrowed from wherever it lies.
#[derive(Clone, Debug)]
pub struct ResponseFields<'a, H> {
    /// HTTP status.
    pub status: u16,
    /// Headers in order, repeats kept, names in lower case.
    pub headers: H,
    /// Body bytes sent to the client so far; final in logging.
    pub body_bytes: u64,
    /// Milliseconds since the request arrived.
    pub duration_ms: u64,
    /// What went wrong, for an answer the gateway made because of an error.
    pub error: Option<&'a str>,
    /// Length of the body, if known.
    pub body_length: Option<u64>,
}

impl ResponsePart {
    /// HTTP status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Headers in order, repeats kept.
    pub fn headers(&self) -> Headers<'_> {
        Headers::new(&self.source, &self.headers)
    }

    /// First value of a header, whatever its case.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Body bytes sent to the client; final in logging.
    pub fn body_bytes(&self) -> u64 {
        self.body_bytes
    }

    /// Milliseconds since the request arrived.
    pub fn duration_ms(&self) -> u64 {
        self.duration_ms
    }

    /// What went wrong, for an answer the gateway made because of an error.
    pub fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    /// Length of the body, if known.
    pub fn body_length(&self) -> Option<u64> {
        self.body_length
    }

    /// The same as borrowed fields, to encode it again.
    pub fn fields(&self) -> ResponseFields<'_, Headers<'_>> {
        ResponseFields {
            status: self.status,
            headers: self.headers(),
            body_bytes: self.body_bytes,
            duration_ms: self.duration_ms,
            error: self.error(),
            body_length: self.body_length,
        }
    }

    pub(crate) fn read(mut fields: Fields<'_, '_>) -> Result<Self, DecodeError> {
        let status = fields.u16("status")?;
        if !fields.next() {
            return Err(DecodeError::Missing("headers"));
        }
        let headers = check_pairs(fields.reader, Reader::bin)?;
        let part = ResponsePart {
            source: fields.source().clone(),
            status,
            headers,
            body_bytes: fields.safe_or("body_bytes", 0)?,
            duration_ms: fields.safe_or("duration_ms", 0)?,
            error: fields.opt_text()?,
            body_length: fields.opt_safe("body_length")?,
        };
        fields.finish()?;
        Ok(part)
    }
}

impl PartialEq for ResponsePart {
    fn eq(&self, other: &Self) -> bool {
        self.status == other.status
            && self.headers().eq(other.headers())
            && self.body_bytes == other.body_bytes
            && self.duration_ms == other.duration_ms
            && self.error == other.error
            && self.body_length == other.body_length
    }
}

impl<'h, H> ResponseFields<'_, H>
where
    H: IntoIterator<Item = (&'h str, &'h [u8])> + Clone,
{
    pub(crate) fn write(&self, writer: &mut Writer<'_>) {
        writer.array(6);
        writer.uint(u64::from(self.status));
        write_headers(self.headers.clone(), writer);
        writer.uint(self.body_bytes);
        writer.uint(self.duration_ms);
        writer.opt_str(self.error);
        writer.opt_uint(self.body_length);
    }
}
