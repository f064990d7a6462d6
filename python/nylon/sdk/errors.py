"""Errors a handler may raise or meet; their names are the same in every SDK."""

import functools
import json
from collections.abc import Callable, Mapping
from http import HTTPStatus

_encode: Callable[[object], str] = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class PluginError(Exception):
    """Base of everything the SDK raises about a session; by itself, what the gateway refuses and what has no turn."""


class ClientGoneError(PluginError):
    """The client has left; nobody waits for an answer any more. Letting it through is no failure (SPEC 9.11)."""


class PhaseTimeoutError(PluginError):
    """The phase's deadline has passed: `timeout` in the gateway's configuration, 5 s by default."""


class BodyTooLargeError(PluginError):
    """The body is longer than `max_body_bytes` of the worker or the gateway, 10 MiB by default. It is never cut.

    A handler that lets it through answers 413 for the request's body, 502 for the response's (SPEC 21.1).
    """


class SessionClosedError(PluginError):
    """The phase or session is over, or its socket closed: what was asked for cannot be had any more."""


class NotWebSocketError(PluginError):
    """The request is no WebSocket handshake (RFC 6455, 4.2.1). The response is still the handler's."""


class ShuttingDownError(PluginError):
    """The session was ended from outside: this worker's drain timeout is over, or its gateway is gone."""


class DecodingError(PluginError):
    """A configuration or payload does not fit the type that was asked for; the text names what, and where."""


class HttpError(Exception):
    """Raised by a handler to answer with a status: in a request filter instead of the service, in a response filter
    instead of its answer.

    The body is the gateway's usual JSON (`status`, `error`, `message`, `id`: SPEC 21.2); `message` is the status's
    phrase by default. `headers` are set beside those that the handler has set. In a body filter and in logging it is a
    failure as any other exception. Raises ValueError for a status outside 200 to 999.
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
        """The body of the answer, JSON in UTF-8, naming the request it is about."""
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
