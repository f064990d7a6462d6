//! Which headers belong to a connection and not to a message.

use http::{HeaderMap, HeaderName, header};

/// Headers of RFC 9110 §7.6.1 and their relatives: never passed on. Framing is each side's own.
pub(crate) fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "te"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// The header names in a `Connection` value. Those that are no names are skipped.
pub(crate) fn connection_tokens(value: &[u8]) -> impl Iterator<Item = HeaderName> {
    value.split(|&byte| byte == b',').filter_map(|token| HeaderName::from_bytes(token.trim_ascii()).ok())
}

/// Whether a `Connection` value names no header, but says only whether the connection stays.
pub(crate) fn is_plain_connection(value: &[u8]) -> bool {
    value.eq_ignore_ascii_case(b"keep-alive") || value.eq_ignore_ascii_case(b"close")
}

/// Removes what a request's `Connection` names. Done before plugins see it: a client could otherwise have a header
/// removed that a plugin has set.
pub(crate) fn strip_connection_named(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .into_iter()
        .filter(|value| !is_plain_connection(value.as_bytes()))
        .flat_map(|value| connection_tokens(value.as_bytes()))
        .filter(|name| !matches!(name.as_str(), "te" | "upgrade" | "connection"))
        .collect();
    for name in named {
        headers.remove(name);
    }
}
