//! The one place where an error becomes an answer: status, headers and body. What is said here is for clients; causes
//! go to the log, under the same id.

use std::{fmt::Write as _, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use nylon_wire::ErrorCode;

/// Names the failure in the answer, in the log line and towards the upstream.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What a client gets instead of what it asked for.
#[derive(Clone, Debug)]
pub(crate) struct ErrorAnswer {
    pub(crate) code: ErrorCode,
    /// That of the code, unless rules §7 say otherwise.
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
    /// For 405: the methods that the path has.
    pub(crate) allow: Option<String>,
}

impl From<ErrorCode> for ErrorAnswer {
    fn from(code: ErrorCode) -> Self {
        let retry_after =
            matches!(code, ErrorCode::Overloaded | ErrorCode::ShuttingDown).then_some(Duration::from_secs(1));
        Self { code, status: code.status(), retry_after, allow: None }
    }
}

impl ErrorAnswer {
    pub(crate) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    pub(crate) fn headers(&self, id: &str) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(5);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        // A cache may keep a 404 or a 405 that says nothing (RFC 9111, 4.2.2), and the next configuration has the route.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Ok(id) = HeaderValue::from_str(id) {
            headers.insert(REQUEST_ID, id);
        }
        if let Some(after) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
        }
        if let Some(allow) = self.allow.as_ref().and_then(|allow| HeaderValue::from_str(allow).ok()) {
            headers.insert(header::ALLOW, allow);
        }
        headers
    }

    pub(crate) fn body(&self, id: &str) -> Bytes {
        let mut text = String::with_capacity(160);
        let (code, message) = (self.code.code(), self.code.message());
        // Writing to memory cannot fail; neither texts nor ids hold anything that JSON escapes.
        let _ = write!(text, r#"{{"status":{},"error":"{code}","message":"{message}","id":"{id}"}}"#, self.status);
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_makes_valid_json_that_no_cache_keeps() {
        for code in ErrorCode::ALL {
            let answer = ErrorAnswer::from(code);
            let body: serde_json::Value = serde_json::from_slice(&answer.body("0a")).unwrap();
            assert_eq!(body["status"], code.status());
            assert_eq!(body["error"], code.code());
            assert_eq!(body["id"], "0a");
            assert_eq!(answer.headers("0a")["x-request-id"], "0a");
            assert_eq!(answer.headers("0a")["content-type"], "application/json");
            assert_eq!(answer.headers("0a")["cache-control"], "no-store");
        }
    }
}
