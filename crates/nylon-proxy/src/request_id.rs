//! Request ids: unique across threads, processes and machines, and cheap.

use std::{
    cell::Cell,
    hash::{BuildHasher, RandomState},
};

/// Makes the ids of one thread: 16 random hex digits that name it, then a counter.
pub(crate) struct RequestIds {
    prefix: String,
    next: Cell<u64>,
}

impl RequestIds {
    pub(crate) fn new() -> Self {
        // The standard library seeds its hasher from the system's entropy.
        let random = RandomState::new().hash_one(std::process::id());
        Self { prefix: format!("{random:016x}"), next: Cell::new(0) }
    }

    /// The next id, 32 hex digits.
    pub(crate) fn next(&self) -> Box<str> {
        let count = self.next.get();
        self.next.set(count.wrapping_add(1));
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digits: [u8; 16] = std::array::from_fn(|at| DIGITS[(count >> (60 - 4 * at) & 15) as usize]);
        let mut text = String::with_capacity(32);
        text.push_str(&self.prefix);
        text.extend(digits.map(char::from));
        text.into_boxed_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_count_up_and_threads_differ() {
        let ids = RequestIds::new();
        let (first, second) = (ids.next(), ids.next());
        assert_eq!(first.len(), 32);
        assert!(first.ends_with("0000000000000000") && second.ends_with("0000000000000001"));
        assert_eq!(first[..16], second[..16]);
        assert_ne!(RequestIds::new().next()[..16], first[..16]);
    }
}
