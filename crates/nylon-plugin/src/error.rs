//! Why a phase failed, in the words of rules §7.

use std::time::Duration;

use nylon_wire::ErrorCode;

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
    /// The client left or stopped sending while the plugin read the body. Never the plugin's failure (rules §16).
    ClientGone,
}

/// A failed phase.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{kind:?}: {message}")]
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
        Self { kind, message: message.into(), retry_after }
    }

    /// The code that the client gets (rules §7).
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self.kind {
            PluginErrorKind::Unavailable => ErrorCode::PluginUnavailable,
            PluginErrorKind::Timeout => ErrorCode::PluginTimeout,
            PluginErrorKind::Lost => ErrorCode::PluginLost,
            PluginErrorKind::Handler => ErrorCode::PluginError,
            PluginErrorKind::Protocol => ErrorCode::PluginProtocol,
            PluginErrorKind::Busy => ErrorCode::PluginBusy,
            PluginErrorKind::RequestBodyTooLarge => ErrorCode::RequestBodyTooLarge,
            PluginErrorKind::ResponseBodyTooLarge => ErrorCode::ResponseBodyTooLarge,
            PluginErrorKind::ClientGone => ErrorCode::ClientGone,
        }
    }
}
