//! Request ids: unique across threads, processes and machines, and cheap.

use std::{
    cell::Cell,
    hash::{BuildHasher, RandomState},
};

/// How many of the digits name the thread.
const PREFIX: usize = 16;

/// Makes the ids of one thread: 16 random hex digits that name it, then a counter.
pub(crate) struct RequestIds {
    /// The next id as text: counting in it changes one digit, most times.
    next: Cell<[u8; 32]>,
}

impl RequestIds {
    pub(crate) fn new() -> Self {
        // The standard library seeds its hasher from the system's entropy.
        let mut random = RandomState::new().hash_one(std::process::id());
        let mut text = [b'0'; 32];
        for digit in &mut text[..PREFIX] {
            *digit = b"0123456789abcdef"[(random >> 60) as usize];
            random <<= 4;
        }
        Self { next: Cell::new(text) }
    }

    /// The next id, 32 hex digits.
    pub(crate) fn next(&self) -> Box<str> {
        let text = self.next.get();
        self.next.set(after(text));
        // Digits always are text.
        std::str::from_utf8(&text).unwrap_or_default().into()
    }
}

fn after(mut text: [u8; 32]) -> [u8; 32] {
    for digit in text[PREFIX..].iter_mut().rev() {
        *digit = match *digit {
            b'9' => b'a',
            b'f' => b'0',
            other => other + 1,
        };
        if *digit != b'0' {
            break;
        }
    }
    text
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
        let later = (2..300).map(|_| ids.next()).last().unwrap();
        assert_eq!(u64::from_str_radix(&later[16..], 16).unwrap(), 299, "{later}");
        assert!(later.bytes().all(|byte| byte.is_ascii_hexdigit()), "{later}");
        assert_ne!(RequestIds::new().next()[..16], first[..16]);
    }
}
