//! Hosts as clients write them and as routes compare them.

use std::{fmt::Write as _, net::Ipv6Addr};

/// Longest host that is looked up, bytes: a DNS name has at most 253.
pub const MAX_HOST: usize = 253;

/// Splits an authority (`Host` header, `:authority`) into host and port. IPv6 literals keep their brackets. The
/// port is 0 when there is none; `None` when the text is no authority.
#[must_use]
pub fn split_authority(authority: &str) -> Option<(&str, u16)> {
    // Hosts are short: a plain loop is over before a search has set itself up.
    let place = |wanted: u8| authority.bytes().position(|byte| byte == wanted);
    let host_end = if authority.starts_with('[') { place(b']')? + 1 } else { place(b':').unwrap_or(authority.len()) };
    let (host, rest) = authority.split_at(host_end);
    let port = match rest.strip_prefix(':') {
        None if rest.is_empty() => 0,
        None => return None,
        Some(digits) => port(digits)?,
    };
    Some((host, port))
}

/// The number that digits write; 0 for none.
fn port(digits: &str) -> Option<u16> {
    let number = digits.bytes().try_fold(0u32, |number, byte| {
        let number = number * 10 + u32::from(byte.wrapping_sub(b'0'));
        (byte.is_ascii_digit() && number <= u32::from(u16::MAX)).then_some(number)
    })?;
    u16::try_from(number).ok()
}

/// A host in the form in which hosts are compared: lower case, no trailing dot, IPv6 literals without brackets
/// and in canonical form. Lives on the stack.
pub(crate) struct HostKey {
    bytes: [u8; MAX_HOST],
    length: usize,
}

impl HostKey {
    /// `None` when the host is longer than any route's.
    pub(crate) fn new(host: &str) -> Option<Self> {
        let mut key = Self { bytes: [0; MAX_HOST], length: 0 };
        let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        if bracketed.is_some() || host.contains(':') {
            let literal = bracketed.unwrap_or(host);
            match literal.parse::<Ipv6Addr>() {
                Ok(address) => write!(key, "{address}").ok()?,
                Err(_) => key.write_str(literal).ok()?,
            }
        } else {
            key.write_str(host.strip_suffix('.').unwrap_or(host)).ok()?;
        }
        key.bytes[..key.length].make_ascii_lowercase();
        Some(key)
    }

    /// The key as text; what was written is valid UTF-8 because only whole strings are written.
    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }
}

impl std::fmt::Write for HostKey {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let end = self.length + text.len();
        self.bytes.get_mut(self.length..end).ok_or(std::fmt::Error)?.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}
