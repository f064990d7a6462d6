//! Headers that the gateway writes to upstreams itself, unless a request filter has.

use crate::HeaderChange;

/// Which headers about a request's way and identity request filters have set or added: `X-Forwarded-*`, `Forwarded` and
/// `X-Request-Id`. Those go upstream as they are, in place of what the gateway would write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Given {
    names: u8,
    trusted: bool,
}

impl Given {
    /// None yet. `trusted`: whether those that came with the request are believed (rules §10).
    #[must_use]
    pub fn new(trusted: bool) -> Self {
        Self { names: 0, trusted }
    }

    /// Whether a request filter has given the header. The name is in lower case.
    #[must_use]
    #[inline]
    pub fn has(self, name: &str) -> bool {
        // mostly none has given any
        self.names != 0 && self.names & bit(name) != 0
    }

    /// Whether the header is one of these. The name is in lower case.
    #[must_use]
    #[inline]
    pub fn concerns(name: &str) -> bool {
        bit(name) != 0
    }

    /// Takes note of what a request filter changes. What a client claims is not what something is added to.
    pub(crate) fn note(&mut self, change: HeaderChange) -> HeaderChange {
        let bit = bit(change.name().as_str());
        let claimed = self.names & bit == 0 && !self.trusted;
        match change {
            HeaderChange::Remove(_) => self.names &= !bit,
            HeaderChange::Set(..) | HeaderChange::Add(..) => self.names |= bit,
        }
        match change {
            HeaderChange::Add(name, value) if bit != 0 && claimed => HeaderChange::Set(name, value),
            change => change,
        }
    }
}

#[inline]
fn bit(name: &str) -> u8 {
    match name {
        "x-request-id" => 1,
        "x-forwarded-for" => 1 << 1,
        "x-forwarded-proto" => 1 << 2,
        "x-forwarded-host" => 1 << 3,
        "x-forwarded-port" => 1 << 4,
        "forwarded" => 1 << 5,
        _ => 0,
    }
}
