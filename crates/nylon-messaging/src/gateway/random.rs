//! Session ids from the system's generator, read in bulk, and a cheap generator for picks.

use nylon_wire::SessionId;

const BULK: usize = 256;

/// Randomness of one gateway thread.
pub(super) struct Random {
    bulk: [u8; BULK * 16],
    left: usize,
    state: u64,
}

impl Random {
    pub(super) fn new() -> Self {
        // A pick needs no secrecy: without the system's generator any odd number will do.
        let state = getrandom::u64().unwrap_or(0x9E37_79B9_7F4A_7C15) | 1;
        Self { bulk: [0; BULK * 16], left: 0, state }
    }

    /// 128 unguessable bits. Errors: the system gives none; there must be no session then.
    pub(super) fn session(&mut self) -> Result<SessionId, getrandom::Error> {
        if self.left == 0 {
            getrandom::fill(&mut self.bulk)?;
            self.left = BULK;
        }
        self.left -= 1;
        let mut id = [0; 16];
        id.copy_from_slice(&self.bulk[self.left * 16..][..16]);
        Ok(SessionId(id))
    }

    /// A number below `limit`; 0 for 0.
    pub(super) fn below(&mut self, limit: u32) -> u32 {
        // xorshift64*
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        let high = self.state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32;
        u32::try_from((high * u64::from(limit)) >> 32).unwrap_or_default()
    }
}

/// A random token for subjects: 16 hex digits.
pub(super) fn token() -> Result<String, getrandom::Error> {
    Ok(format!("{:016x}", getrandom::u64()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn session_ids_differ_across_bulk_reads() {
        let mut random = Random::new();
        let ids: HashSet<_> = (0..BULK * 3).map(|_| random.session().unwrap()).collect();
        assert_eq!(ids.len(), BULK * 3);
    }

    #[test]
    fn picks_reach_everything_below_the_limit() {
        let mut random = Random::new();
        let seen: HashSet<_> = (0..1_000).map(|_| random.below(7)).collect();
        assert_eq!(seen, (0..7).collect());
        assert_eq!(random.below(0), 0);
    }
}
