//! What the gateway itself reads in a request's headers, found in one pass: a look-up for each costs more than that.

use http::{HeaderMap, header};

use crate::headers::is_plain_connection;

/// What a request's headers say to the gateway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Notes {
    /// `Content-Length`, if it is a number.
    pub(super) length: Option<u64>,
    /// There is a `Transfer-Encoding`.
    pub(super) coded: bool,
    /// There is an `Expect`.
    pub(super) expects: bool,
    /// Something other than `100-continue` is expected, which cannot be had of us.
    pub(super) expects_too_much: bool,
    /// The client asks for a WebSocket.
    pub(super) websocket: bool,
    /// `Connection` may name headers.
    pub(super) names_headers: bool,
}

impl Notes {
    /// Goes through the headers. Of repeated ones the first counts, but every expectation and every `Connection` does.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut notes = Self::default();
        let (mut sized, mut upgrades) = (false, false);
        for (name, value) in headers {
            if *name == header::CONTENT_LENGTH {
                if !sized {
                    notes.length = value.to_str().ok().and_then(|text| text.parse().ok());
                }
                sized = true;
            } else if *name == header::CONNECTION {
                notes.names_headers |= !is_plain_connection(value.as_bytes());
            } else if *name == header::EXPECT {
                notes.expects = true;
                notes.expects_too_much |= !value.as_bytes().eq_ignore_ascii_case(b"100-continue");
            } else if *name == header::TRANSFER_ENCODING {
                notes.coded = true;
            } else if *name == header::UPGRADE {
                notes.websocket |= !upgrades && value.as_bytes().eq_ignore_ascii_case(b"websocket");
                upgrades = true;
            }
        }
        notes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lines: &[(&'static str, &'static str)]) -> Notes {
        let line = |&(name, value)| (header::HeaderName::from_static(name), header::HeaderValue::from_static(value));
        let mut headers = HeaderMap::new();
        lines.iter().map(line).for_each(|(name, value)| {
            headers.append(name, value);
        });
        Notes::of(&headers)
    }

    #[test]
    fn a_plain_request_says_nothing() {
        let plain = [("host", "a"), ("connection", "keep-alive"), ("connection", "Close"), ("x-upgrade", "websocket")];
        assert_eq!(of(&plain), Notes::default());
    }

    #[test]
    fn every_header_says_its_own() {
        let none = Notes::default();
        assert_eq!(of(&[("content-length", "12")]), Notes { length: Some(12), ..none });
        assert_eq!(of(&[("content-length", "x"), ("content-length", "1")]), none, "the first counts");
        assert_eq!(of(&[("transfer-encoding", "chunked")]), Notes { coded: true, ..none });
        assert_eq!(of(&[("upgrade", "WebSocket")]), Notes { websocket: true, ..none });
        assert_eq!(of(&[("upgrade", "h2c"), ("upgrade", "websocket")]), none, "the first counts");
        assert_eq!(of(&[("connection", "close"), ("connection", "x-a")]), Notes { names_headers: true, ..none });
        assert_eq!(of(&[("expect", "100-Continue")]), Notes { expects: true, ..none });
        let both = of(&[("expect", "100-continue"), ("expect", "more")]);
        assert_eq!(both, Notes { expects: true, expects_too_much: true, ..none });
    }
}
