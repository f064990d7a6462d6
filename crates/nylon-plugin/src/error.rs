//! Why a phase failed, in the words of rules §7.

use std::{sync::Arc, time::Duration};

use nylon_wire::ErrorCode;

use crate::Phase;

/// What went wrong with a plugin. Decides status, code and who is to act (rules §7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PluginErrorKind {
    /// No worker, or NATS is down: 503 `PLUGIN_UNAVAILABLE`.
    Unavailable,
    /// Not accepted in time, or the handler went over its deadline: 504 `PLUGIN_TIMEOUT`.
    Timeout,
    /// The worker went away after it had accepted: 503 `PLUGIN_LOST`.
    Lost,
    /// The handler raised: 500 `PLUGIN_ERROR`.
    Handler,
    /// A frame or operation was not understood, or a header or status is illegal: 502 `PLUGIN_PROTOCOL`.
    Protocol,
    /// Every worker is full, or a limit or budget is used up: 503 `PLUGIN_BUSY`.
    Busy,
    /// The handler asked for a request body beyond the limit: 413 `BODY_TOO_LARGE`.
    RequestBodyTooLarge,
    /// A buffered response body is beyond the limit: 502 `BODY_TOO_LARGE`.
    ResponseBodyTooLarge,
    /// The response body comes encoded, partial or without end, so that a body filter cannot have it (rules §9):
    /// 502 `PLUGIN_ERROR`.
    Unfilterable,
    /// The client left or stopped sending while the plugin read the body. Never the plugin's failure (rules §16).
    ClientGone,
    /// The upstream broke off while the plugin read its answer: 502 `UPSTREAM_ERROR`. Never the plugin's failure either.
    UpstreamBroken,
}

impl PluginErrorKind {
    /// Every kind, in the order of their numbers.
    pub const ALL: [Self; 11] = [
        Self::Unavailable,
        Self::Timeout,
        Self::Lost,
        Self::Handler,
        Self::Protocol,
        Self::Busy,
        Self::RequestBodyTooLarge,
        Self::ResponseBodyTooLarge,
        Self::Unfilterable,
        Self::ClientGone,
        Self::UpstreamBroken,
    ];

    /// Name in logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::Lost => "lost",
            Self::Handler => "handler",
            Self::Protocol => "protocol",
            Self::Busy => "busy",
            Self::RequestBodyTooLarge => "request_body_too_large",
            Self::ResponseBodyTooLarge => "response_body_too_large",
            Self::Unfilterable => "unfilterable",
            Self::ClientGone => "client_gone",
            Self::UpstreamBroken => "upstream_broken",
        }
    }
}

/// A failed phase.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}: {message}", kind.name())]
pub struct PluginError {
    /// What went wrong.
    pub kind: PluginErrorKind,
    /// For the log and for the operator: what was tried, what was found. Never sent to clients.
    pub message: String,
    /// When a client may try again, for `Retry-After`.
    pub retry_after: Option<Duration>,
}

impl PluginError {
    /// A failure of this kind with a text for the log.
    pub fn new(kind: PluginErrorKind, message: impl Into<String>) -> Self {
        let retry_after = matches!(kind, PluginErrorKind::Unavailable | PluginErrorKind::Busy | PluginErrorKind::Lost)
            .then_some(Duration::from_secs(1));
        Self { kind, message: one_line(message.into()), retry_after }
    }

    /// The code that the client gets (rules §7).
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self.kind {
            PluginErrorKind::Unavailable => ErrorCode::PluginUnavailable,
            PluginErrorKind::Timeout => ErrorCode::PluginTimeout,
            PluginErrorKind::Lost => ErrorCode::PluginLost,
            PluginErrorKind::Handler | PluginErrorKind::Unfilterable => ErrorCode::PluginError,
            PluginErrorKind::Protocol => ErrorCode::PluginProtocol,
            PluginErrorKind::Busy => ErrorCode::PluginBusy,
            PluginErrorKind::RequestBodyTooLarge => ErrorCode::RequestBodyTooLarge,
            PluginErrorKind::ResponseBodyTooLarge => ErrorCode::ResponseBodyTooLarge,
            PluginErrorKind::ClientGone => ErrorCode::ClientGone,
            PluginErrorKind::UpstreamBroken => ErrorCode::UpstreamError,
        }
    }
}

/// What the client gets because a phase failed and its policy says `fail`.
#[derive(Clone, Debug, thiserror::Error)]
#[error("running the {} of {entry}: {cause}", phase.name())]
pub struct GatewayError {
    /// The entry that failed, `plugin/entry`.
    pub entry: Arc<str>,
    /// The phase that failed.
    pub phase: Phase,
    /// Why.
    pub cause: PluginError,
}

impl GatewayError {
    /// The code that the client gets.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        self.cause.code()
    }

    /// The HTTP status: that of the code, but always 502 when a response body filter failed (rules §7).
    #[must_use]
    pub fn status(&self) -> u16 {
        if self.phase == Phase::ResponseBodyFilter { 502 } else { self.code().status() }
    }

    /// When the client may try again, for `Retry-After`; only with 503.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.cause.retry_after.filter(|_| self.status() == 503)
    }

    /// Whether there is no client any more to answer to (rules §16).
    #[must_use]
    pub fn is_client_gone(&self) -> bool {
        self.cause.kind == PluginErrorKind::ClientGone
    }
}

/// What a handler raised may have lines of the client's making, and each of them would look like an event in the log.
fn one_line(message: String) -> String {
    if !message.contains(char::is_control) {
        return message;
    }
    let mut line = String::with_capacity(message.len() + 8);
    for char in message.chars() {
        if char.is_control() {
            line.extend(char.escape_default());
        } else {
            line.push(char);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line() {
        let message = |text: &str| PluginError::new(PluginErrorKind::Handler, text).message;
        assert_eq!(message("ValueError: \"é\""), "ValueError: \"é\"");
        assert_eq!(message("a\nb\r\tc\u{1b}[31m\u{85}"), "a\\nb\\r\\tc\\u{1b}[31m\\u{85}");
    }
}
