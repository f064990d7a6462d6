//! Error codes a client can see. Written by tools/gen_protocol.py from protocol/errors.toml; do not edit.

/// Whose fault an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// The client's.
    Client,
    /// The plugin's.
    Plugin,
    /// The upstream's.
    Upstream,
    /// The gateway's.
    Gateway,
}

/// An error a client can see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorCode {
    /// 503: no worker of this plugin is available.
    PluginUnavailable,
    /// 504: the plugin did not answer in time.
    PluginTimeout,
    /// 503: the plugin's worker was lost.
    PluginLost,
    /// 500: the plugin failed.
    PluginError,
    /// 502: the plugin's answer was not understood.
    PluginProtocol,
    /// 503: the plugin is at its limit.
    PluginBusy,
    /// 413: the request body is too large.
    RequestBodyTooLarge,
    /// 502: the response body is too large to be filtered.
    ResponseBodyTooLarge,
    /// 502: the upstream cannot be reached.
    UpstreamUnreachable,
    /// 504: the upstream did not answer in time.
    UpstreamTimeout,
    /// 502: the upstream broke off.
    UpstreamError,
    /// 404: no route matches.
    RouteNotFound,
    /// 405: the route does not allow this method.
    MethodNotAllowed,
    /// 400: the request is not valid.
    BadRequest,
    /// 408: the request did not arrive in time.
    RequestTimeout,
    /// 414: the request target is too long.
    UriTooLong,
    /// 417: the expectation cannot be met.
    ExpectationFailed,
    /// 431: the request headers are too large.
    HeadersTooLarge,
    /// 501: the gateway does not support this.
    NotImplemented,
    /// 503: the gateway is at its limit.
    Overloaded,
    /// 503: the gateway is shutting down.
    ShuttingDown,
    /// 500: the gateway failed.
    InternalError,
    /// 499: the client left.
    ClientGone,
}

impl ErrorCode {
    /// Every code.
    pub const ALL: [ErrorCode; 23] = [
        ErrorCode::PluginUnavailable,
        ErrorCode::PluginTimeout,
        ErrorCode::PluginLost,
        ErrorCode::PluginError,
        ErrorCode::PluginProtocol,
        ErrorCode::PluginBusy,
        ErrorCode::RequestBodyTooLarge,
        ErrorCode::ResponseBodyTooLarge,
        ErrorCode::UpstreamUnreachable,
        ErrorCode::UpstreamTimeout,
        ErrorCode::UpstreamError,
        ErrorCode::RouteNotFound,
        ErrorCode::MethodNotAllowed,
        ErrorCode::BadRequest,
        ErrorCode::RequestTimeout,
        ErrorCode::UriTooLong,
        ErrorCode::ExpectationFailed,
        ErrorCode::HeadersTooLarge,
        ErrorCode::NotImplemented,
        ErrorCode::Overloaded,
        ErrorCode::ShuttingDown,
        ErrorCode::InternalError,
        ErrorCode::ClientGone,
    ];

    /// The HTTP status.
    pub const fn status(self) -> u16 {
        match self {
            ErrorCode::PluginUnavailable => 503,
            ErrorCode::PluginTimeout => 504,
            ErrorCode::PluginLost => 503,
            ErrorCode::PluginError => 500,
            ErrorCode::PluginProtocol => 502,
            ErrorCode::PluginBusy => 503,
            ErrorCode::RequestBodyTooLarge => 413,
            ErrorCode::ResponseBodyTooLarge => 502,
            ErrorCode::UpstreamUnreachable => 502,
            ErrorCode::UpstreamTimeout => 504,
            ErrorCode::UpstreamError => 502,
            ErrorCode::RouteNotFound => 404,
            ErrorCode::MethodNotAllowed => 405,
            ErrorCode::BadRequest => 400,
            ErrorCode::RequestTimeout => 408,
            ErrorCode::UriTooLong => 414,
            ErrorCode::ExpectationFailed => 417,
            ErrorCode::HeadersTooLarge => 431,
            ErrorCode::NotImplemented => 501,
            ErrorCode::Overloaded => 503,
            ErrorCode::ShuttingDown => 503,
            ErrorCode::InternalError => 500,
            ErrorCode::ClientGone => 499,
        }
    }

    /// The `error` of the JSON body.
    pub const fn code(self) -> &'static str {
        match self {
            ErrorCode::PluginUnavailable => "PLUGIN_UNAVAILABLE",
            ErrorCode::PluginTimeout => "PLUGIN_TIMEOUT",
            ErrorCode::PluginLost => "PLUGIN_LOST",
            ErrorCode::PluginError => "PLUGIN_ERROR",
            ErrorCode::PluginProtocol => "PLUGIN_PROTOCOL",
            ErrorCode::PluginBusy => "PLUGIN_BUSY",
            ErrorCode::RequestBodyTooLarge => "BODY_TOO_LARGE",
            ErrorCode::ResponseBodyTooLarge => "BODY_TOO_LARGE",
            ErrorCode::UpstreamUnreachable => "UPSTREAM_UNREACHABLE",
            ErrorCode::UpstreamTimeout => "UPSTREAM_TIMEOUT",
            ErrorCode::UpstreamError => "UPSTREAM_ERROR",
            ErrorCode::RouteNotFound => "ROUTE_NOT_FOUND",
            ErrorCode::MethodNotAllowed => "METHOD_NOT_ALLOWED",
            ErrorCode::BadRequest => "BAD_REQUEST",
            ErrorCode::RequestTimeout => "REQUEST_TIMEOUT",
            ErrorCode::UriTooLong => "URI_TOO_LONG",
            ErrorCode::ExpectationFailed => "EXPECTATION_FAILED",
            ErrorCode::HeadersTooLarge => "HEADERS_TOO_LARGE",
            ErrorCode::NotImplemented => "NOT_IMPLEMENTED",
            ErrorCode::Overloaded => "OVERLOADED",
            ErrorCode::ShuttingDown => "SHUTTING_DOWN",
            ErrorCode::InternalError => "INTERNAL_ERROR",
            ErrorCode::ClientGone => "CLIENT_GONE",
        }
    }

    /// The `message` of the JSON body.
    pub const fn message(self) -> &'static str {
        match self {
            ErrorCode::PluginUnavailable => "no worker of this plugin is available",
            ErrorCode::PluginTimeout => "the plugin did not answer in time",
            ErrorCode::PluginLost => "the plugin's worker was lost",
            ErrorCode::PluginError => "the plugin failed",
            ErrorCode::PluginProtocol => "the plugin's answer was not understood",
            ErrorCode::PluginBusy => "the plugin is at its limit",
            ErrorCode::RequestBodyTooLarge => "the request body is too large",
            ErrorCode::ResponseBodyTooLarge => "the response body is too large to be filtered",
            ErrorCode::UpstreamUnreachable => "the upstream cannot be reached",
            ErrorCode::UpstreamTimeout => "the upstream did not answer in time",
            ErrorCode::UpstreamError => "the upstream broke off",
            ErrorCode::RouteNotFound => "no route matches",
            ErrorCode::MethodNotAllowed => "the route does not allow this method",
            ErrorCode::BadRequest => "the request is not valid",
            ErrorCode::RequestTimeout => "the request did not arrive in time",
            ErrorCode::UriTooLong => "the request target is too long",
            ErrorCode::ExpectationFailed => "the expectation cannot be met",
            ErrorCode::HeadersTooLarge => "the request headers are too large",
            ErrorCode::NotImplemented => "the gateway does not support this",
            ErrorCode::Overloaded => "the gateway is at its limit",
            ErrorCode::ShuttingDown => "the gateway is shutting down",
            ErrorCode::InternalError => "the gateway failed",
            ErrorCode::ClientGone => "the client left",
        }
    }

    /// Whose fault it is.
    pub const fn fault(self) -> Fault {
        match self {
            ErrorCode::PluginUnavailable => Fault::Plugin,
            ErrorCode::PluginTimeout => Fault::Plugin,
            ErrorCode::PluginLost => Fault::Plugin,
            ErrorCode::PluginError => Fault::Plugin,
            ErrorCode::PluginProtocol => Fault::Plugin,
            ErrorCode::PluginBusy => Fault::Plugin,
            ErrorCode::RequestBodyTooLarge => Fault::Client,
            ErrorCode::ResponseBodyTooLarge => Fault::Upstream,
            ErrorCode::UpstreamUnreachable => Fault::Upstream,
            ErrorCode::UpstreamTimeout => Fault::Upstream,
            ErrorCode::UpstreamError => Fault::Upstream,
            ErrorCode::RouteNotFound => Fault::Client,
            ErrorCode::MethodNotAllowed => Fault::Client,
            ErrorCode::BadRequest => Fault::Client,
            ErrorCode::RequestTimeout => Fault::Client,
            ErrorCode::UriTooLong => Fault::Client,
            ErrorCode::ExpectationFailed => Fault::Client,
            ErrorCode::HeadersTooLarge => Fault::Client,
            ErrorCode::NotImplemented => Fault::Client,
            ErrorCode::Overloaded => Fault::Gateway,
            ErrorCode::ShuttingDown => Fault::Gateway,
            ErrorCode::InternalError => Fault::Gateway,
            ErrorCode::ClientGone => Fault::Client,
        }
    }

    /// Whether the same request may succeed later.
    pub const fn retryable(self) -> bool {
        match self {
            ErrorCode::PluginUnavailable => true,
            ErrorCode::PluginTimeout => true,
            ErrorCode::PluginLost => true,
            ErrorCode::PluginError => false,
            ErrorCode::PluginProtocol => false,
            ErrorCode::PluginBusy => true,
            ErrorCode::RequestBodyTooLarge => false,
            ErrorCode::ResponseBodyTooLarge => false,
            ErrorCode::UpstreamUnreachable => true,
            ErrorCode::UpstreamTimeout => true,
            ErrorCode::UpstreamError => true,
            ErrorCode::RouteNotFound => false,
            ErrorCode::MethodNotAllowed => false,
            ErrorCode::BadRequest => false,
            ErrorCode::RequestTimeout => true,
            ErrorCode::UriTooLong => false,
            ErrorCode::ExpectationFailed => false,
            ErrorCode::HeadersTooLarge => false,
            ErrorCode::NotImplemented => false,
            ErrorCode::Overloaded => true,
            ErrorCode::ShuttingDown => true,
            ErrorCode::InternalError => false,
            ErrorCode::ClientGone => false,
        }
    }

    /// The `Retry-After` header, in seconds.
    pub const fn retry_after_s(self) -> Option<u32> {
        match self {
            ErrorCode::PluginUnavailable => Some(1),
            ErrorCode::PluginTimeout => None,
            ErrorCode::PluginLost => Some(1),
            ErrorCode::PluginError => None,
            ErrorCode::PluginProtocol => None,
            ErrorCode::PluginBusy => Some(1),
            ErrorCode::RequestBodyTooLarge => None,
            ErrorCode::ResponseBodyTooLarge => None,
            ErrorCode::UpstreamUnreachable => None,
            ErrorCode::UpstreamTimeout => None,
            ErrorCode::UpstreamError => None,
            ErrorCode::RouteNotFound => None,
            ErrorCode::MethodNotAllowed => None,
            ErrorCode::BadRequest => None,
            ErrorCode::RequestTimeout => None,
            ErrorCode::UriTooLong => None,
            ErrorCode::ExpectationFailed => None,
            ErrorCode::HeadersTooLarge => None,
            ErrorCode::NotImplemented => None,
            ErrorCode::Overloaded => Some(1),
            ErrorCode::ShuttingDown => Some(1),
            ErrorCode::InternalError => None,
            ErrorCode::ClientGone => None,
        }
    }
}
