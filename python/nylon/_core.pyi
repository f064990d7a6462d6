"""The compiled half of Nylon; `.ci/run stub` compares this page with the module."""

from asyncio import AbstractEventLoop
from collections.abc import Awaitable, Callable, Generator, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, Self, TypeVar, final, overload

from typing_extensions import disjoint_base

_T = TypeVar("_T")
_Callback = TypeVar("_Callback", bound=Callable[..., object] | None)
_Bytes = bytes | bytearray | memoryview

__version__: str

def init_logging(level: Literal["debug", "info", "warn", "error"], format: Literal["text", "json"]) -> None:
    """Write the log lines of the Rust half to stderr, from `level` upwards. Only the first call counts."""

def current_request_id() -> str | None:
    """Return the id of the request whose `def` handler runs in this thread."""

def template_problem(text: str) -> str | None:
    """Return what is wrong with the `${…}` in a text, or None."""

def modifier_problem(name: str, payload: str) -> str | None:
    """Return where and why a payload, JSON text, is none of the built-in of that name, or None."""

class _Body(bytes):
    """`bytes` in plain code; where an event loop runs, an awaitable of `bytes`."""

    def __await__(self) -> Generator[Any, Any, bytes]: ...

@final
class Headers(Mapping[str, str]):
    """The request's headers as `Request.headers` has them: a view, so that a change shows.

    Looked up without regard to case, names in lower case; repeats joined (cookies `; `, others `, `: RFC 9110, 5.3).
    Values are UTF-8, or else Latin-1. A name that is absent raises KeyError.
    """

    def __getitem__(self, name: str, /) -> str: ...
    def __contains__(self, name: object, /) -> bool: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[str]: ...
    @overload
    def get(self, name: str, default: None = None) -> str | None: ...
    @overload
    def get(self, name: str, default: str) -> str: ...
    @overload
    def get(self, name: str, default: _T) -> str | _T: ...
    def keys(self) -> list[str]: ...  # type: ignore[override]  # pyright: ignore
    def values(self) -> list[str]: ...  # type: ignore[override]  # pyright: ignore
    def items(self) -> list[tuple[str, str]]: ...  # type: ignore[override]  # pyright: ignore
    def get_all(self, name: str) -> list[str]:
        """Every value of the name, in order; none if it is absent."""

    def multi_items(self) -> list[tuple[str, str]]:
        """Every pair in order, repeats kept."""

@final
class ResponseHeaders(Mapping[str, str]):
    """The response's headers as they stand: a view, otherwise as `Headers`.

    `headers[name] = value` is `Response.set_header`, `del headers[name]` is `remove_header`, but raises KeyError if the
    name is absent.
    """

    def __getitem__(self, name: str, /) -> str: ...
    def __contains__(self, name: object, /) -> bool: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[str]: ...
    @overload
    def get(self, name: str, default: None = None) -> str | None: ...
    @overload
    def get(self, name: str, default: str) -> str: ...
    @overload
    def get(self, name: str, default: _T) -> str | _T: ...
    def keys(self) -> list[str]: ...  # type: ignore[override]  # pyright: ignore
    def values(self) -> list[str]: ...  # type: ignore[override]  # pyright: ignore
    def items(self) -> list[tuple[str, str]]: ...  # type: ignore[override]  # pyright: ignore
    def get_all(self, name: str) -> list[str]:
        """Every value of the name, in order; none if it is absent."""

    def multi_items(self) -> list[tuple[str, str]]:
        """Every pair in order, repeats kept."""

    def __setitem__(self, name: str, value: str, /) -> None: ...
    def __delitem__(self, name: str, /) -> None: ...

@final
class QueryParams(Mapping[str, str]):
    """The parameters of the query, decoded (`+` is a space); of repeats the first counts, `get_all` has all.

    Names are case-sensitive. Bytes that are no UTF-8 become U+FFFD, a `%` that begins no byte stays as it is.
    """

    def __getitem__(self, name: str, /) -> str: ...
    def __contains__(self, name: object, /) -> bool: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[str]: ...
    @overload
    def get(self, name: str, default: None = None) -> str | None: ...
    @overload
    def get(self, name: str, default: str) -> str: ...
    @overload
    def get(self, name: str, default: _T) -> str | _T: ...
    def keys(self) -> list[str]: ...  # type: ignore[override]  # pyright: ignore
    def values(self) -> list[str]: ...  # type: ignore[override]  # pyright: ignore
    def items(self) -> list[tuple[str, str]]: ...  # type: ignore[override]  # pyright: ignore
    def get_all(self, name: str) -> list[str]:
        """Every value of the name, in order; none if it is absent."""

    def multi_items(self) -> list[tuple[str, str]]:
        """Every pair in order, repeats kept."""

class _Done:
    """Nothing in plain code; where an event loop runs, an awaitable."""

    def __await__(self) -> Generator[Any, Any]: ...

@final
class ResponseStream:
    """A body on its way to the client: of `Response.stream`, or what `response_body_stream` writes to.

    An exception inside its block cuts it short, so that it never looks whole: the client's connection is reset (SPEC
    14.2). It has no deadline, but 5 minutes in which nothing moves cut it. Any thread may use it.
    """

    def __enter__(self) -> Self: ...
    def __exit__(self, error: object, value: object, trace: object, /) -> bool: ...
    def __aenter__(self) -> Awaitable[Self]: ...
    def __aexit__(self, error: object, value: object, trace: object, /) -> Awaitable[None]: ...
    def write(self, data: _Bytes | str) -> _Done:
        """Send these bytes now; wait while the client does not take them. In an `async def` handler await it.

        Text goes as UTF-8. Raises ClientGoneError when the client has left, PluginError behind `end`, RuntimeError
        before the block, and what else has ended the session: ShuttingDownError, SessionClosedError.
        """

    def end(self) -> _Done:
        """End the body. The end of the block does it as well; a second time does nothing.

        Raises as `write`, because then nobody gets the end.
        """

@final
class BodyReader:
    """A body on its way to the handler: iterate over its pieces, with `async for` in an `async def` handler.

    Pieces are cut anywhere; they come no faster than they are read, one read at a time. A body that breaks off raises
    PluginError, which is ClientGoneError where the client has left, and never just ends; behind its phase it raises
    SessionClosedError.
    """

    def read(self, n: int) -> _Body:
        """Return up to `n` bytes as soon as there are any, none at the end. In an `async def` handler await it.

        Raises ValueError for less than 1.
        """

    def __iter__(self) -> Self: ...
    def __next__(self) -> bytes: ...
    def __aiter__(self) -> Self: ...
    def __anext__(self) -> Awaitable[bytes]: ...

class _Received:
    """Where an event loop runs, an awaitable of a message or None; in plain code iterate instead."""

    def __await__(self) -> Generator[Any, Any, str | bytes | None]: ...

@disjoint_base
class WebSocket:
    """A WebSocket of a client: iterate over its messages, `str` or `bytes`, with `async for` in an `async def` handler.

    What is to be awaited in an `async def` handler waits by itself in a `def` handler, whose thread it keeps. The
    handler's return closes the socket with 1000, an exception with 1011, and so does the end of a `with` block. There
    is no deadline; the gateway pings and answers pings (SPEC 14.11). The iteration ends when the socket is closed, and
    raises ShuttingDownError or SessionClosedError when the session is lost.
    """

    @property
    def subprotocol(self) -> str | None:
        """The sub-protocol that was chosen; None if none was."""

    @property
    def close_code(self) -> int | None:
        """The code that it was closed with, once it is: 1005 without one, 1006 if the client has just gone.

        RFC 6455, 7.4.1.
        """

    @property
    def close_reason(self) -> str | None:
        """The reason that the close frame gave, maybe empty; None until it is closed."""

    @property
    def error(self) -> str | None:
        """What went wrong, for people, if it was no orderly close; else None."""

    def __enter__(self) -> Self: ...
    def __exit__(self, error: object, value: object, trace: object, /) -> bool: ...
    def __aenter__(self) -> Awaitable[Self]: ...
    def __aexit__(self, error: object, value: object, trace: object, /) -> Awaitable[None]: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> str | bytes: ...
    def __aiter__(self) -> Self: ...
    def __anext__(self) -> Awaitable[str | bytes]: ...
    def receive(self) -> _Received:
        """Return the next message; None when the socket is closed.

        One at a time: a second call ends the first with PluginError.
        """

    def send(self, data: str | _Bytes) -> _Done:
        """Send text as text, bytes as binary; wait while the client does not take it.

        That it returns does not mean that the message has arrived. Raises ClientGoneError when the client has closed
        the socket or has gone, SessionClosedError behind `close`.
        """

    def send_text(self, text: str) -> _Done:
        """Send a text message, as `send`."""

    def send_binary(self, data: _Bytes) -> _Done:
        """Send a binary message, as `send`. Raises TypeError for text."""

    def close(self, code: int = 1000, reason: str = "") -> _Done:
        """Close it behind what was sent, without waiting for the client. The first close counts, later ones do nothing.

        Raises ValueError for a code that may not be sent (RFC 6455, 7.4: 1000 to 1003, 1007 to 1014, 3000 to 4999 may)
        and a reason of more than 123 bytes.
        """

    def join(self, room: str) -> _Done:
        """Join a room of the plugin; once it returns, its messages go to the client. Twice is once (SPEC 14.12).

        Leaving is automatic when the socket closes. Raises ValueError for a name that is empty or has a NUL,
        PluginError beyond 1,024 rooms and for a name that is too long (a NATS subject of more than 1,024 bytes), and as
        `send` when the socket is closed.
        """

    def leave(self, room: str) -> _Done:
        """Leave a room, without waiting; nothing happens if it was not joined. Raises ValueError as `join`."""

    def broadcast(self, room: str, data: str | _Bytes) -> _Done:
        """Send a message to every member of the room, this socket included if it has joined, on all gateways.

        It returns when the gateway has handed it on; there is no word from the members. Also possible once the socket
        is closed, until the handler returns. Raises PluginError for one of 128 KiB or more, ValueError as `join`.
        """

    def broadcast_text(self, room: str, text: str) -> _Done:
        """Send a text message to every member of the room, as `broadcast`."""

    def broadcast_binary(self, room: str, data: _Bytes) -> _Done:
        """Send a binary message to every member of the room, as `broadcast`. Raises TypeError for text."""

class _Upgrade(WebSocket):
    """The WebSocket in plain code; where an event loop runs, an awaitable of it."""

    def __await__(self) -> Generator[Any, Any, WebSocket]: ...

@final
class Request:
    """The request, with what the entries before this one have changed. All but the body is answered from memory.

    Readers show what this entry has changed. Setters count in a request filter, until it ends or streams; elsewhere
    they do nothing, and the log says so once. A name or value that HTTP does not allow fails the phase with 502,
    hop-by-hop and framing headers are ignored (SPEC 7.4).
    """

    @property
    def id(self) -> str:
        """The gateway's id of the request: in its log, its error bodies and `x-request-id`."""

    @property
    def method(self) -> str:
        """The method as received; methods are case-sensitive (RFC 9110, 9.1)."""

    @property
    def scheme(self) -> str:
        """`https` if the client's connection is TLS, else `http`."""

    @property
    def url(self) -> str:
        """Scheme, host, port (left out if 80 or 443), path and query."""

    @property
    def path(self) -> str:
        """The path without query, not decoded; `/` at least."""

    @property
    def query(self) -> str:
        """The query without `?`, not decoded; empty if there is none."""

    @property
    def query_params(self) -> QueryParams:
        """The query, decoded; read anew at each access."""

    @property
    def params(self) -> dict[str, str]:
        """The route's variables by name, not decoded, a catch-all without its star; a copy."""

    @property
    def host(self) -> str:
        """The host without port; IPv6 literals in brackets."""

    @property
    def port(self) -> int | None:
        """The port that the client named; None if it named none."""

    @property
    def client_ip(self) -> str:
        """Address of the client without port, or what one of the gateway's `trusted_proxies` says it is."""

    @property
    def is_websocket(self) -> bool:
        """Whether the client asks for a WebSocket; `websocket_upgrade` may still find that its handshake is none."""

    @overload
    def header(self, name: str, default: None = None) -> str | None:
        """Return the first value of a header, whatever the case of its name; `default` if it is absent."""
    @overload
    def header(self, name: str, default: str) -> str: ...
    @overload
    def header(self, name: str, default: _T) -> str | _T: ...
    @property
    def headers(self) -> Headers:
        """All headers, with what this entry has changed."""

    @property
    def content_length(self) -> int:
        """The `Content-Length` in bytes; 0 if there is none, though a chunked body may follow."""

    @property
    def timestamp_ms(self) -> int:
        """Arrival, Unix milliseconds."""

    @property
    def received_at(self) -> datetime:
        """Arrival, aware, in UTC."""

    def body(self) -> _Body:
        """Return the complete body, once it has come; in an `async def` handler await it.

        A second call is answered from memory. Raises BodyTooLargeError beyond `max_body_bytes` (10 MiB; the gateway has
        answered 413 by then), ClientGoneError, PhaseTimeoutError, SessionClosedError in logging and behind the phase,
        PluginError if it has been taken: by `stream`, or by an upstream that got more than 32 KiB as they came.
        """

    def stream(self) -> BodyReader:
        """Return a reader of the body as it comes, of any length, in a request filter.

        It takes a body longer than 32 KiB, or `prefetch_body_bytes` (SPEC 14.7): answer yourself then, nobody else can
        have it, and a second read raises PluginError. A shorter one stays whole. While it waits for the client the
        phase's deadline does not run (SPEC 14.13). Raises SessionClosedError behind the phase.
        """

    def set_header(self, name: str, value: str) -> Self:
        """Set a header for the service: every spelling and repeat is replaced."""

    def add_header(self, name: str, value: str) -> Self:
        """Add a header for the service beside what is there; names repeat."""

    def remove_header(self, name: str) -> Self:
        """Remove a header before the service sees it: every spelling and repeat."""

@final
class Response:
    """The response as it stands: in a request filter what `ctx.end()` sends, later what the client gets.

    Writers collect; one answer carries all of it, and all of it acts or none (SPEC 13.2). One that comes too late does
    nothing, and the log says so once: behind the end of its phase, status and headers in a body filter, anything in
    logging. What HTTP does not allow fails the phase with 502 (SPEC 7.4); hop-by-hop and framing headers are ignored.
    Of what a request filter sets before it goes on only the headers count, for the service's answer.
    """

    @property
    def status(self) -> int:
        """The effective status; 200 before there is one."""
    @status.setter
    def status(self, value: int) -> None: ...
    def set_status(self, status: int) -> Self:
        """Set the status: 200 to 999, any other fails the phase. Raises OverflowError beyond 65535."""

    @property
    def headers(self) -> ResponseHeaders:
        """The effective headers; in a request filter those that were set."""

    @overload
    def header(self, name: str, default: None = None) -> str | None:
        """Return the first value of a header, whatever the case of its name; `default` if it is absent."""
    @overload
    def header(self, name: str, default: str) -> str: ...
    @overload
    def header(self, name: str, default: _T) -> str | _T: ...
    def set_header(self, name: str, value: str) -> Self:
        """Set a header: every spelling and repeat is replaced."""

    def add_header(self, name: str, value: str) -> Self:
        """Add a header beside what is there, as two `Set-Cookie` need."""

    def remove_header(self, name: str) -> Self:
        """Remove a header: every spelling and repeat."""

    def body_raw(self, body: _Bytes) -> Self:
        """Replace the body by a copy; no header is touched, the length is the gateway's business.

        The last body counts. One that is longer than `max_body_bytes` and does not fit into one message (128 KiB) fails
        the phase. Raises TypeError for what has no bytes.
        """

    def body_text(self, text: str) -> Self:
        """Replace the body by plain text in UTF-8; sets the content type, except in a body filter."""

    def body_html(self, html: str) -> Self:
        """Replace the body by HTML in UTF-8; sets the content type, except in a body filter."""

    def body_json(self, value: object) -> Self:
        """Replace the body by compact JSON; sets the content type, except in a body filter.

        Raises TypeError or ValueError, and changes nothing, if the value has no JSON form; NaN has none.
        """

    def redirect(self, url: str, code: int = 302) -> Self:
        """Set status and `Location` and an empty body (RFC 9110, 15.4). `ctx.end()` must follow."""

    def stream(self) -> ResponseStream:
        """Answer with a body that is sent while it is made, in a request filter.

        `async with ctx.response.stream() as stream:` (plain `with` in a `def` handler) sends status and headers. A body
        that was set before is dropped. The block raises PluginError in another phase, for a second stream and behind
        `ctx.end()`, SessionClosedError behind the phase.
        """

    def read_body(self) -> _Body:
        """Return what this phase has set, else the complete body in a response body filter, else nothing.

        In an `async def` handler await it. Raises BodyTooLargeError beyond `max_body_bytes`, ClientGoneError,
        PhaseTimeoutError, SessionClosedError behind the phase, and PluginError in a `response_body_stream`, which gets
        no whole body.
        """

    @property
    def bytes_sent(self) -> int:
        """Length of the body in a body filter, bytes of it that were sent to the client in logging; before that 0."""

    @property
    def duration_ms(self) -> int:
        """Milliseconds since the request arrived; in logging to its completion."""

    @property
    def duration(self) -> timedelta:
        """The same as a timedelta."""

    @property
    def error(self) -> str | None:
        """What went wrong, for people, if the gateway made this answer or the client left; else None."""

@disjoint_base
class PhaseContext:
    """What the contexts of all phases have. Any thread may use one; behind its phase it can still be read."""

    @property
    def request(self) -> Request:
        """The request; each access gives the same object. May be kept beyond the phase."""

    @property
    def response(self) -> Response:
        """The response as it stands; each access gives the same object. May be kept beyond the phase."""

    @property
    def payload(self) -> dict[str, Any]:
        """The middleware's payload; empty if there is none or it is no object. Each access gives the same dict."""

    def payload_as(self, type: type[_T]) -> _T:
        """The payload as a dataclass, TypedDict, pydantic model or what else JSON fits; made anew at each call.

        Raises DecodingError, which names what is missing, unknown or of another type, and where.
        """

    @property
    def entry(self) -> str:
        """Name of the entry."""

    @property
    def phase(self) -> str:
        """Name of the phase: `request_filter`, `response_filter`, `response_body_filter` or `logging`."""

    @property
    def request_id(self) -> str:
        """The gateway's id of the request: in its log, its error bodies and `x-request-id`."""

    @property
    def session_id(self) -> int:
        """Counts this process's sessions, from 1."""

    @property
    def session_uid(self) -> str:
        """The session's global id, 32 hex digits; it is in the logs of gateway and worker."""

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits for this phase any more: client or gateway gone, deadline passed, drain timeout over.

        A `def` handler that takes long has to look; an `async def` handler is cancelled by itself.
        """

    def next(self) -> None:
        """Go on, once the handler returns: the same as returning at once, but what is written after it is ignored.

        The first of `next` and `end` counts; a later one does nothing, and the log says so.
        """

@final
class RequestFilterContext(PhaseContext):
    """Before the service is asked."""

    def end(self) -> None:
        """Answer with what the response holds, 200 without a body if nothing was set; return after it.

        The answer leaves when the handler returns. What is written after it, and a later `next` or `end`, is ignored.
        """

    def websocket_upgrade(
        self,
        *,
        subprotocols: Sequence[str] = (),
        max_message_bytes: int = 1048576,
        on_open: Callable[[WebSocket], object] | None = None,
        on_message_text: Callable[[WebSocket, str], object] | None = None,
        on_message_binary: Callable[[WebSocket, bytes], object] | None = None,
        on_close: Callable[[WebSocket], object] | None = None,
        on_error: Callable[[WebSocket, str], object] | None = None,
    ) -> _Upgrade:
        """Make the request a WebSocket; in an `async def` handler await it. Headers of the response are in the 101.

        The first of `subprotocols` that the client offers is chosen. A message of the client that is longer than
        `max_message_bytes` (1 MiB) closes with 1009. Raises NotWebSocketError if the request is no handshake (RFC 6455,
        4.2.1; SPEC 14.3); the response is still this handler's then. Raises PluginError behind `end` or in a stream,
        SessionClosedError behind the phase.

        With a callback it drives them, one at a time, and returns None when the socket is closed. `on_error` comes with
        a text before `on_close` if it was no orderly close. `on_close` comes exactly once and last; rooms can still be
        spoken to in it. What a callback raises closes with 1011, and is the handler's failure.
        """

@final
class ResponseFilterContext(PhaseContext):
    """When status and headers of the answer are known, before they go out; errors of the gateway, too (SPEC 20.1)."""

@final
class ResponseBodyFilterContext(PhaseContext):
    """When the complete body of the answer is known, or comes to a `response_body_stream`. Only it can be changed."""

@final
class LoggingContext(PhaseContext):
    """After the last byte. Read-only."""

@final
class Phase:
    """What a handler function registers the callbacks of its session with; the last one of a phase counts.

    None removes it. What is registered after the function has returned does not count.
    """

    def __new__(cls) -> Self: ...
    @property
    def session_id(self) -> int:
        """Counts this process's sessions, from 1; 0 when the function is only asked for its phases."""

    @property
    def session_uid(self) -> str:
        """The session's global id, 32 hex digits; empty when the function is only asked for its phases."""

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits for the session's first phase any more; see `PhaseContext.cancelled`."""

    def request_filter(self, callback: _Callback) -> _Callback:
        """Register what runs before the service is asked."""

    def response_filter(self, callback: _Callback) -> _Callback:
        """Register what runs when status and headers of the answer are known."""

    def response_body_filter(self, callback: _Callback) -> _Callback:
        """Register what runs when the complete body of the answer is known."""

    def response_body_stream(self, callback: _Callback) -> _Callback:
        """Register what the body passes while it is on its way, instead of a response body filter (SPEC 14.8).

        It is called with the context, a BodyReader and a ResponseStream.
        """

    def _streams_body(self) -> bool: ...
    def logging(self, callback: _Callback) -> _Callback:
        """Register what runs after the last byte."""

    def _registered(self) -> list[Callable[..., object] | None]: ...

@final
class Dispatcher:
    """Entries and how to call them: name, handler, is a class, phase mask, [(callable, plain)], streams its body."""

    def __new__(
        cls,
        entries: Sequence[tuple[str, Any, bool, int, Sequence[tuple[Any, bool]], bool]],
        need_loop: Callable[[], object],
    ) -> Self: ...

@final
class EventLoopLane:
    """The `async def` handlers of a dispatcher, in one event loop."""

    def __new__(cls, runtime: Dispatcher, event_loop: AbstractEventLoop) -> Self: ...
    def fileno(self) -> int:
        """Return what the loop has to watch for reading."""

    def pump(self) -> None:
        """Do what has come up; to be called in the loop."""

    def release(self) -> None:
        """Let go the results that were gathered in this turn of the loop."""

    def running(self) -> int:
        """Return how many tasks run."""

    def close(self) -> None:
        """Take nothing more."""

@final
class Worker:
    """The entries of a dispatcher as a worker of a group on NATS. Any thread may ask it."""

    def __new__(
        cls,
        dispatcher: Dispatcher,
        group: str,
        entries: Sequence[tuple[str, int, int, bool]],
        on_initialize: Callable[[bytes], object],
        on_shutdown: Callable[[], object],
        options: dict[str, Any],
    ) -> Self: ...
    @property
    def id(self) -> str:
        """Random, new at each start."""

    @property
    def connection(self) -> Literal["connecting", "connected", "disconnected", "closed"]:
        """State of the connection to NATS."""

    @property
    def config_state(self) -> Literal["ready", "initializing", "failed", "failed_keeping_old"]:
        """State of the configuration (SPEC 18.3); `ready` also before the first request, which brings it.

        `failed` serves nothing, `failed_keeping_old` serves with the one before.
        """

    @property
    def ready(self) -> bool:
        """Whether it takes sessions: connected, not draining, and its configuration neither failed nor on its way."""

    @property
    def drained(self) -> bool:
        """Whether it has ended: sessions and shutdown hook are done, and it is disconnected."""

    def serve(self, grow: Callable[[], bool]) -> None:
        """Work in this thread until the worker has ended."""

    def attach(self, lane: EventLoopLane) -> None:
        """Give the jobs of `async def` handlers to an event loop."""

    def drain(self) -> None:
        """Begin to end, and return: no new sessions (SPEC 9.10). Again it does nothing."""

    def wait_drained(self, timeout: float | None = None) -> bool:
        """Wait for the end, for ever without a timeout; return whether it has come within so many seconds.

        Not from a handler: it would wait for itself. Raises ValueError for a negative timeout.
        """

    def stats(self) -> dict[str, int]:
        """Return counters since the start; `sessions`, `active` (in handlers) and `queued` are of now."""

@final
class MemorySession:
    """A session without a network."""

    def __new__(
        cls,
        entry: str,
        *,
        method: str,
        scheme: str,
        host: str,
        port: int,
        path: str,
        query: str,
        params: Sequence[tuple[str, str]],
        headers: Sequence[tuple[str, bytes]],
        client_ip: str,
        timestamp_ms: int,
        content_length: int | None,
        websocket: bool,
        request_id: str,
        body: bytes,
        max_body: int,
    ) -> Self: ...
    def cancel(self) -> None:
        """Let the client leave while a phase runs."""

    def run(
        self,
        dispatcher: Dispatcher,
        phase: int,
        *,
        payload: bytes | None = None,
        response: tuple[int, Sequence[tuple[str, bytes]], int, int, str | None] | None = None,
        body: bytes | None = None,
    ) -> MemoryRun:
        """Run a phase; a `def` handler has returned when this does."""

@final
class MemoryRun:
    """A phase that runs, or has run, in memory."""

    def wait(self, timeout: float) -> tuple[int, list[tuple[Any, ...]]] | tuple[str, str, str | None]:
        """Return action and operations, or code, text and log id of a failure. Raises TimeoutError."""

@final
class Gateway:
    """The data plane: listeners, threads, NATS connections. It takes no Python on the path of a request."""

    def __new__(cls, snapshot_json: bytes) -> Gateway:
        """Compile the snapshot. Raises ValueError with the reason if it cannot be used."""

    def start(self, starting: list[tuple[str, str, int]] = ..., expected: Callable[[], bool] | None = None) -> None:
        """Open every listener, then serve. Raises OSError that names the address.

        `starting` are workers that are on their way (messaging, group, how many), each group once: clients are not
        accepted before NATS is connected (5 seconds at most) and their first beats are heard (10 seconds at most), or
        `expected`, which is called again and again, says that waiting makes no sense.
        """

    def addresses(self) -> dict[str, list[str]]:
        """Return where it listens, by listener: `http` and `admin`."""

    def reload(
        self,
        snapshot_json: bytes,
        starting: list[tuple[str, str, int]] = ...,
        expected: Callable[[], bool] | None = None,
    ) -> None:
        """Swap the snapshot, which waits as `start` does.

        Raises ValueError with the reason, and the old one keeps serving.
        """

    def drain(self, timeout_ms: int) -> bool:
        """Take no new connections and wait for requests in flight; return whether all have ended."""

    def stop(self) -> None:
        """End at once, whatever is in flight. May be called again."""

    def metrics(self) -> str:
        """Return what `/metrics` answers."""

    def ready(self) -> bool:
        """Return what `/readyz` answers."""
