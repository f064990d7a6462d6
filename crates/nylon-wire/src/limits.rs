//! Numbers both sides must agree on (SPEC, rules §8).

/// Protocol limits. Defaults that users may change live in the configuration, not here.
pub struct Limits;

impl Limits {
    /// Largest body piece of one DATA frame, in bytes.
    pub const MAX_CHUNK: usize = 128 * 1024;
    /// What a server's `max_payload` keeps free for the frame around a chunk, in bytes.
    pub const FRAME_OVERHEAD: usize = 4 * 1024;
    /// Credit each direction of a session starts with, in bytes.
    pub const INITIAL_CREDIT: u32 = 32 * 1024;
    /// A message costs at least this much credit, in bytes.
    pub const MESSAGE_MIN_COST: u32 = 256;
    /// All grants of one connection together, in bytes.
    pub const MAX_CONNECTION_CREDIT: u64 = 16 * 1024 * 1024;
    /// Longest BATCH, in bytes; a longer frame travels alone.
    pub const MAX_BATCH: usize = 64 * 1024;
    /// What a BATCH adds to each frame, at most, and to all of them, in bytes.
    pub const BATCH_OVERHEAD: usize = 5;
    /// Deepest nesting of arrays and maps that a receiver accepts, the frame itself being 1.
    pub const MAX_DEPTH: usize = 32;
    /// Times and lengths stay below this (2^53), so that every language can hold them.
    pub const MAX_SAFE: u64 = 1 << 53;

    /// Largest piece of a body for a server with this `max_payload`: min(max_payload − 4 KiB, 128 KiB), at least 1.
    pub fn chunk(max_payload: usize) -> usize {
        max_payload.saturating_sub(Self::FRAME_OVERHEAD).clamp(1, Self::MAX_CHUNK)
    }
}
