//! Why a frame was refused.

/// A frame that is not understood. Every variant is a protocol failure of the sender (SPEC 7): the session it names,
/// if [`crate::peek`] can still read one, fails with 502 `PLUGIN_PROTOCOL`; nothing is ever ignored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end inside an element, or a length points beyond the end.
    #[error("reading a frame: it ends early at byte {0}")]
    Truncated(usize),
    /// Bytes follow the frame.
    #[error("reading a frame: {0} bytes follow it")]
    Trailing(usize),
    /// An element has another MessagePack type than the position demands.
    #[error("reading a frame: expected {expected} at byte {at}, found marker 0x{marker:02x}")]
    Type {
        /// What the position demands.
        expected: &'static str,
        /// The marker byte that was found.
        marker: u8,
        /// Where.
        at: usize,
    },
    /// Text is not UTF-8.
    #[error("reading a frame: text at byte {0} is not utf-8")]
    Utf8(usize),
    /// Nesting beyond [`crate::Limits::MAX_DEPTH`].
    #[error("reading a frame: nested deeper than {0}")]
    Depth(usize),
    /// A number outside what its element allows.
    #[error("reading a frame: {value} is out of range for {what}")]
    Range {
        /// The element.
        what: &'static str,
        /// The number found.
        value: u64,
    },
    /// A required element is missing.
    #[error("reading a frame: element {0} is missing")]
    Missing(&'static str),
    /// The session id is not 16 bytes.
    #[error("reading a frame: session id of {0} bytes")]
    SessionId(usize),
    /// A frame type this side does not know.
    #[error("reading a frame: unknown type {0}")]
    UnknownFrame(u64),
    /// An operation this side does not know (rules §15).
    #[error("reading a frame: unknown operation {0}")]
    UnknownOperation(u64),
    /// The OPEN or BEAT is of another protocol version.
    #[error("reading a frame: protocol version {0} is not supported")]
    Version(u64),
}
