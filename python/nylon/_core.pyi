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
    """The request's headers, looked up without regard to case; repeats joined (cookies `; `, others `, `)."""

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
        """Every value of the name, in order."""

    def multi_items(self) -> list[tuple[str, str]]:
        """Every pair in order, repeats kept."""

@final
class ResponseHeaders(Mapping[str, str]):
    """The response's headers as they stand. Setting and deleting ask the gateway for it."""

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
        """Every value of the name, in order."""

    def multi_items(self) -> list[tuple[str, str]]:
        """Every pair in order, repeats kept."""

    def __setitem__(self, name: str, value: str, /) -> None: ...
    def __delitem__(self, name: str, /) -> None: ...

@final
class QueryParams(Mapping[str, str]):
    """The parameters of the query, decoded; of repeats the first counts."""

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
        """Every value of the name, in order."""

    def multi_items(self) -> list[tuple[str, str]]:
        """Every pair in order, repeats kept."""

class _Done:
    """Nothing in plain code; where an event loop runs, an awaitable."""

    def __await__(self) -> Generator[Any, Any]: ...

@final
class ResponseStream:
    """A body on its way to the client. An exception inside its block cuts it short, so that it never looks whole."""

    def __enter__(self) -> Self: ...
    def __exit__(self, error: object, value: object, trace: object, /) -> bool: ...
    def __aenter__(self) -> Awaitable[Self]: ...
    def __aexit__(self, error: object, value: object, trace: object, /) -> Awaitable[None]: ...
    def write(self, data: _Bytes | str) -> _Done:
        """Send these bytes now; wait while the client does not take them. In an `async def` handler await it.

        Raises ClientGoneError when the client has left.
        """

    def end(self) -> _Done:
        """End the body. The end of the block does it as well."""

@final
class BodyReader:
    """A body on its way to the handler: iterate over its pieces, with `async for` in an `async def` handler."""

    def read(self, n: int) -> _Body:
        """Return up to `n` bytes as soon as there are any, none at the end. In an `async def` handler await it."""

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
    handler's return closes the socket with 1000, an exception with 1011.
    """

    @property
    def subprotocol(self) -> str | None:
        """The sub-protocol that was chosen."""

    @property
    def close_code(self) -> int | None:
        """The code that it was closed with, once it is; 1006 if the client has just gone."""

    @property
    def close_reason(self) -> str | None:
        """The reason that the close frame gave."""

    @property
    def error(self) -> str | None:
        """What went wrong, if it was no orderly close."""

    def __enter__(self) -> Self: ...
    def __exit__(self, error: object, value: object, trace: object, /) -> bool: ...
    def __aenter__(self) -> Awaitable[Self]: ...
    def __aexit__(self, error: object, value: object, trace: object, /) -> Awaitable[None]: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> str | bytes: ...
    def __aiter__(self) -> Self: ...
    def __anext__(self) -> Awaitable[str | bytes]: ...
    def receive(self) -> _Received:
        """Return the next message; None when the socket is closed."""

    def send(self, data: str | _Bytes) -> _Done:
        """Send text as text, bytes as binary; wait while the client does not take it.

        Raises ClientGoneError when the client has closed the socket or has gone.
        """

    def send_text(self, text: str) -> _Done:
        """Send a text message."""

    def send_binary(self, data: _Bytes) -> _Done:
        """Send a binary message."""

    def close(self, code: int = 1000, reason: str = "") -> _Done:
        """Close it behind what was sent. The first close counts."""

    def join(self, room: str) -> _Done:
        """Join a room; from then on its messages go to the client. Leaving is automatic when the socket closes."""

    def leave(self, room: str) -> _Done:
        """Leave a room."""

    def broadcast(self, room: str, data: str | _Bytes) -> _Done:
        """Send a message to every member of the room, this socket included if it has joined, on all gateways."""

    def broadcast_text(self, room: str, text: str) -> _Done:
        """Send a text message to every member of the room."""

    def broadcast_binary(self, room: str, data: _Bytes) -> _Done:
        """Send a binary message to every member of the room."""

class _Upgrade(WebSocket):
    """The WebSocket in plain code; where an event loop runs, an awaitable of it."""

    def __await__(self) -> Generator[Any, Any, WebSocket]: ...

@final
class Request:
    """The request. Everything but the body is answered from memory."""

    @property
    def id(self) -> str:
        """The gateway's id of the request."""

    @property
    def method(self) -> str:
        """The method as received."""

    @property
    def scheme(self) -> str:
        """`https` if the client's connection is TLS, else `http`."""

    @property
    def url(self) -> str:
        """Scheme, host, port (left out if 80 or 443), path and query."""

    @property
    def path(self) -> str:
        """The path without query, not decoded."""

    @property
    def query(self) -> str:
        """The query without `?`, not decoded."""

    @property
    def query_params(self) -> QueryParams:
        """The query, decoded."""

    @property
    def params(self) -> dict[str, str]:
        """The route's variables; a copy."""

    @property
    def host(self) -> str:
        """The host without port; IPv6 literals in brackets."""

    @property
    def port(self) -> int | None:
        """The port that the client named."""

    @property
    def client_ip(self) -> str:
        """Address of the client, or what a trusted proxy says it is."""

    @property
    def is_websocket(self) -> bool:
        """Whether the client asks for a WebSocket."""

    @overload
    def header(self, name: str, default: None = None) -> str | None:
        """Return the first value of a header, whatever its case."""
    @overload
    def header(self, name: str, default: str) -> str: ...
    @overload
    def header(self, name: str, default: _T) -> str | _T: ...
    @property
    def headers(self) -> Headers:
        """All headers, with what this entry has changed."""

    @property
    def content_length(self) -> int:
        """The `Content-Length`; 0 if there is none."""

    @property
    def timestamp_ms(self) -> int:
        """Arrival, Unix milliseconds."""

    @property
    def received_at(self) -> datetime:
        """Arrival, in UTC."""

    def body(self) -> _Body:
        """Return the complete body; in an `async def` handler await it.

        Raises BodyTooLargeError, ClientGoneError, PhaseTimeoutError.
        """

    def stream(self) -> BodyReader:
        """Return a reader of the body as it comes, of any length.

        It takes the body: use it in a service or before `ctx.end()`; nobody behind this handler can have it.
        """

    def set_header(self, name: str, value: str) -> Self:
        """Set a header for the service: every spelling and repeat is replaced."""

    def add_header(self, name: str, value: str) -> Self:
        """Add a header for the service beside what is there."""

    def remove_header(self, name: str) -> Self:
        """Remove a header before the service sees it."""

@final
class Response:
    """The response as it stands. Writers collect; one answer carries all of it."""

    @property
    def status(self) -> int:
        """The effective status; 200 before there is one."""
    @status.setter
    def status(self, value: int) -> None: ...
    def set_status(self, status: int) -> Self:
        """Set the status (200 to 999)."""

    @property
    def headers(self) -> ResponseHeaders:
        """The effective headers."""

    @overload
    def header(self, name: str, default: None = None) -> str | None:
        """Return the first value of a header, whatever its case."""
    @overload
    def header(self, name: str, default: str) -> str: ...
    @overload
    def header(self, name: str, default: _T) -> str | _T: ...
    def set_header(self, name: str, value: str) -> Self:
        """Set a header: every spelling and repeat is replaced."""

    def add_header(self, name: str, value: str) -> Self:
        """Add a header beside what is there, as two `Set-Cookie` need."""

    def remove_header(self, name: str) -> Self:
        """Remove a header."""

    def body_raw(self, body: _Bytes) -> Self:
        """Replace the body; no header is touched, the length is the gateway's business."""

    def body_text(self, text: str) -> Self:
        """Replace the body by plain text."""

    def body_html(self, html: str) -> Self:
        """Replace the body by HTML."""

    def body_json(self, value: object) -> Self:
        """Replace the body by JSON. Raises TypeError or ValueError if the value has no JSON form."""

    def redirect(self, url: str, code: int = 302) -> Self:
        """Set status and `Location` and an empty body. `ctx.end()` must follow."""

    def stream(self) -> ResponseStream:
        """Answer with a body that is sent while it is made, in a request filter.

        `async with ctx.response.stream() as stream:` (plain `with` in a `def` handler) sends status and headers.
        """

    def read_body(self) -> _Body:
        """Return the complete body in a response body filter, else what was set; in `async def` await it."""

    @property
    def bytes_sent(self) -> int:
        """Length of the body in a body filter; bytes sent to the client in logging; before that 0."""

    @property
    def duration_ms(self) -> int:
        """Milliseconds since the request arrived; in logging to its completion."""

    @property
    def duration(self) -> timedelta:
        """The same as a timedelta."""

    @property
    def error(self) -> str | None:
        """What went wrong, if the gateway made this answer or the client left."""

@disjoint_base
class PhaseContext:
    """What the contexts of all phases have."""

    @property
    def request(self) -> Request:
        """The request. May be kept beyond the phase."""

    @property
    def response(self) -> Response:
        """The response as it stands. May be kept beyond the phase."""

    @property
    def payload(self) -> dict[str, Any]:
        """The middleware's payload; empty if there is none or it is no object."""

    def payload_as(self, type: type[_T]) -> _T:
        """The payload as a dataclass, TypedDict or pydantic model. Raises DecodingError."""

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
        """The session's global id, 32 hex digits."""

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits for this phase any more: the client left, or the deadline has passed."""

    def next(self) -> None:
        """Go on. The same as returning; what is written after it is ignored."""

@final
class RequestFilterContext(PhaseContext):
    """Before the service is asked."""

    def end(self) -> None:
        """Answer at once with what the response holds; return after it."""

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

        The first of `subprotocols` that the client offers is chosen. Raises NotWebSocketError if the request is no
        handshake; the response is still this handler's then.

        With a callback it drives them, one at a time, and returns None when the socket is closed. `on_close` comes
        exactly once and last; rooms can still be spoken to in it.
        """

@final
class ResponseFilterContext(PhaseContext):
    """When status and headers of the answer are known, before they go out."""

@final
class ResponseBodyFilterContext(PhaseContext):
    """When the complete body of the answer is known."""

@final
class LoggingContext(PhaseContext):
    """After the last byte. Read-only."""

@final
class Phase:
    """What a handler function registers the callbacks of its session with; the last one of a phase counts."""

    def __new__(cls) -> Self: ...
    @property
    def session_id(self) -> int:
        """Counts this process's sessions, from 1; 0 when the function is only asked for its phases."""

    @property
    def session_uid(self) -> str:
        """The session's global id."""

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits for the session any more."""

    def request_filter(self, callback: _Callback) -> _Callback:
        """Register what runs before the service is asked."""

    def response_filter(self, callback: _Callback) -> _Callback:
        """Register what runs when status and headers of the answer are known."""

    def response_body_filter(self, callback: _Callback) -> _Callback:
        """Register what runs when the complete body of the answer is known."""

    def response_body_stream(self, callback: _Callback) -> _Callback:
        """Register what the body passes while it is on its way, instead of a response body filter."""

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
    """The entries of a dispatcher as a worker of a group on NATS."""

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
        """State of the configuration."""

    @property
    def ready(self) -> bool:
        """Whether it takes sessions."""

    @property
    def drained(self) -> bool:
        """Whether it has ended."""

    def serve(self, grow: Callable[[], bool]) -> None:
        """Work in this thread until the worker has ended."""

    def attach(self, lane: EventLoopLane) -> None:
        """Give the jobs of `async def` handlers to an event loop."""

    def drain(self) -> None:
        """Begin to end."""

    def wait_drained(self, timeout: float | None = None) -> bool:
        """Wait for the end; return whether it has come within so many seconds."""

    def stats(self) -> dict[str, int]:
        """Return counters and gauges."""

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

    def start(self) -> None:
        """Open every listener, then serve. Raises OSError that names the address."""

    def addresses(self) -> dict[str, list[str]]:
        """Return where it listens, by listener: `http` and `admin`."""

    def reload(self, snapshot_json: bytes, starting: list[tuple[str, str, int]]) -> None:
        """Swap the snapshot. Raises ValueError with the reason, and the old one keeps serving.

        `starting` are workers that are on their way (messaging, group, how many), each group once: the swap waits for
        their first beats, 10 seconds at most.
        """

    def drain(self, timeout_ms: int) -> bool:
        """Take no new connections and wait for requests in flight; return whether all have ended."""

    def stop(self) -> None:
        """End at once, whatever is in flight. May be called again."""

    def metrics(self) -> str:
        """Return what `/metrics` answers."""

    def ready(self) -> bool:
        """Return what `/readyz` answers."""
