//! HTTP/1.1 message framing, strictly: what both sides of the gateway agree on before a byte is passed on.

mod chunked;
mod head;
mod text;

pub(crate) use chunked::{ChunkError, Chunked, Piece};
pub(crate) use head::{Framing, HeadLimits, Refusal, check_head, find_head_end, too_long};
pub(crate) use text::{is_token, is_token_byte};
