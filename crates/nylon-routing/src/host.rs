//! Hosts as clients write them and as routes compare them.

use std::{fmt::Write as _, net::Ipv6Addr};

/// Longest host that is looked up, bytes: a DNS name has at most 253.
pub const MAX_HOST: usize = 253;

/// Splits an authority (`Host` header, `:authority`) into host and port. IPv6 literals keep their brackets. The
/// port is 0 when there is none; `None` when the text is no authority.
#[must_use]
pub fn split_authority(authority: &str) -> Option<(&str, u16)> {
    let host_end = if authority.starts_with('[') {
        authority.find(']')? + 1
    } else {
        authority.find(':').unwrap_or(authority.len())
    };
    let (host, rest) = authority.split_at(host_end);
    let port = match rest.strip_prefix(':') {
        None if rest.is_empty() => 0,
        None => return None,
        Some("") => 0,
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok()?,
        Some(_) => return None,
    };
    Some((host, port))
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
