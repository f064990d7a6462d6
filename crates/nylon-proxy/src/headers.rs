//! Which headers belong to a connection and not to a message.

use http::{HeaderMap, HeaderName, header};
use nylon_plugin::remove_other_spellings;

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

/// Removes the headers that clients may not send on a route, however they are spelled. Says whether there were any.
pub(crate) fn strip(names: &[HeaderName], headers: &mut HeaderMap) -> bool {
    names
        .iter()
        .fold(false, |found, name| found | remove_other_spellings(headers, name) | headers.remove(name).is_some())
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

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(names: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for name in names {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static("root"));
        }
        headers
    }

    #[test]
    fn headers_are_stripped_in_every_spelling() {
        let stripped = [HeaderName::from_static("x-auth-user")];
        for spelling in ["x-auth-user", "x_auth_user", "x-auth_user", "x_auth-user"] {
            let mut sent = headers(&[spelling, "x-other", "x-auth-user2", "xaauthauser", spelling]);
            assert!(strip(&stripped, &mut sent), "{spelling}");
            assert_eq!(sent.keys_len(), 3, "{sent:?}");
            assert!(!strip(&stripped, &mut sent), "{spelling}");
        }
        let mut all = headers(&["x-auth-user", "x_auth_user", "x-auth_user", "x_auth-user"]);
        assert!(strip(&stripped, &mut all) && all.is_empty());
    }
}
