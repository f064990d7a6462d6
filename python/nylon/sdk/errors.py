"""Errors a handler may raise or meet; their names are the same in every SDK."""

import functools
import json
from collections.abc import Callable, Mapping
from http import HTTPStatus

_encode: Callable[[object], str] = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class PluginError(Exception):
    """Base of everything the SDK raises about a session."""


class ClientGoneError(PluginError):
    """The client has left; nobody waits for an answer any more."""


class PhaseTimeoutError(PluginError):
    """The phase's deadline has passed."""


class BodyTooLargeError(PluginError):
    """The body is longer than the worker's limit. It is never cut."""


class SessionClosedError(PluginError):
    """The session is over: what was asked for cannot be had any more."""


class NotWebSocketError(PluginError):
    """The request is no WebSocket handshake."""


class ShuttingDownError(PluginError):
    """The worker drains and takes no new work."""


class DecodingError(PluginError):
    """A configuration or payload does not fit the type that was asked for."""


class HttpError(Exception):
    """Raised by a handler to answer with a status: in a request filter instead of the service, in a response filter
    instead of its answer.

    The body is the gateway's usual JSON (`status`, `error`, `message`, `id`). `headers` are added to it.
    """

    def __init__(self, status: int, message: str = "", *, headers: Mapping[str, str] | None = None) -> None:
        if not 200 <= status <= 999:
            raise ValueError(f"making an HttpError: {status} is no status (200 to 999)")
        super().__init__(status, message)
        self.status = status
        self.message = message or _phrase(status)
        self.headers = dict(headers or {})

    def __str__(self) -> str:
        return f"{self.status} {self.message}"

    def render(self, request_id: str) -> bytes:
        """The body of the answer, naming the request it is about."""
        # One text at a time: for each the encoder has a short way, for a dict it builds itself anew.
        head = f'{{"status":{self.status:d},"error":"{_code(self.status)}","message":'
        return f'{head}{_encode(self.message)},"id":{_encode(request_id)}}}'.encode()


@functools.cache
def _code(status: int) -> str:
    return _phrase(status).upper().replace(" ", "_").replace("-", "_").replace("'", "")


@functools.cache
def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return f"Status {status}"
