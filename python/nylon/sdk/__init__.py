"""The SDK: write a plugin in Python, run it as a worker on NATS or inside the gateway."""

from abc import ABCMeta
from collections.abc import Mapping
from typing import cast

from nylon._core import (
    BodyReader,
    Headers,
    LoggingContext,
    Phase,
    PhaseContext,
    QueryParams,
    Request,
    RequestFilterContext,
    Response,
    ResponseBodyFilterContext,
    ResponseFilterContext,
    ResponseHeaders,
    ResponseStream,
    WebSocket,
)
from nylon.sdk.errors import (
    BodyTooLargeError,
    ClientGoneError,
    DecodingError,
    HttpError,
    NotWebSocketError,
    PhaseTimeoutError,
    PluginError,
    SessionClosedError,
    ShuttingDownError,
)
from nylon.sdk.handlers import PhaseHandler
from nylon.sdk.plugin import NatsPlugin, Plugin
from nylon.sdk.running import request_id

# Classes written in Rust cannot derive from it.
for _class in (Headers, ResponseHeaders, QueryParams):
    cast("ABCMeta", Mapping).register(_class)

__all__ = [
    "BodyReader",
    "BodyTooLargeError",
    "ClientGoneError",
    "DecodingError",
    "Headers",
    "HttpError",
    "LoggingContext",
    "NatsPlugin",
    "NotWebSocketError",
    "Phase",
    "PhaseContext",
    "PhaseHandler",
    "PhaseTimeoutError",
    "Plugin",
    "PluginError",
    "QueryParams",
    "Request",
    "RequestFilterContext",
    "Response",
    "ResponseBodyFilterContext",
    "ResponseFilterContext",
    "ResponseHeaders",
    "ResponseStream",
    "SessionClosedError",
    "ShuttingDownError",
    "WebSocket",
    "request_id",
]
