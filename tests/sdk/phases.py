"""Single phases of a plugin, without a gateway: what a handler asked for, as on the wire."""

import asyncio
import inspect
import itertools
import json
import time
from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Self, cast

from nylon._core import Dispatcher, MemoryRun, MemorySession
from nylon.sdk.decoding import decode
from nylon.sdk.plugin import Plugin
from nylon.sdk.running import LoopThread

Headers = Mapping[str, str] | Iterable[tuple[str, str]]

_numbers = itertools.count(1)


class PhaseFailed(Exception):
    """A handler raised; the gateway would answer with its policy for that."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text


@dataclass
class Result:
    """What a phase asked for."""

    action: Literal["next", "end"]
    operations: list[tuple[Any, ...]]
    """Numbers and arguments as on the wire, in call order."""
    status: int | None = None
    """Status set by the handler."""
    body: bytes | None = None
    """Body set by the handler."""
    headers: dict[str, str] = field(default_factory=dict[str, str])
    """Response headers set or added, names in lower case; the last one of a name."""
    removed: set[str] = field(default_factory=set[str])
    """Response headers removed."""
    request_headers: dict[str, str] = field(default_factory=dict[str, str])
    """Request headers set or added for the service."""
    removed_request_headers: set[str] = field(default_factory=set[str])
    """Request headers removed for the service."""

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body or b"null")


class Client:
    """Runs sessions of a plugin. `config` goes to its on_initialize."""

    def __init__(self, plugin: Plugin, *, config: Any = None, timeout: float = 10.0) -> None:
        self._timeout = timeout
        self._loop: LoopThread | None = None
        self._dispatcher = Dispatcher([entry.compiled for entry in plugin.describe()], self._need_loop)
        initialize, wanted = plugin.initializer
        if initialize is not None:
            self._wait(initialize(decode(wanted, config, "the configuration")))

    def session(
        self,
        entry: str,
        *,
        method: str = "GET",
        path: str = "/",
        query: str = "",
        headers: Headers = (),
        body: bytes = b"",
        params: Mapping[str, str] | None = None,
        scheme: Literal["http", "https"] = "http",
        host: str = "localhost",
        port: int = 0,
        client_ip: str = "127.0.0.1",
        websocket: bool = False,
        max_body_bytes: int = 10 << 20,
    ) -> "Session":
        """A new request that one entry sees."""
        return Session(
            self._dispatcher,
            MemorySession(
                entry,
                method=method,
                scheme=scheme,
                host=host,
                port=port,
                path=path,
                query=query,
                params=list((params or {}).items()),
                headers=_pairs(headers),
                client_ip=client_ip,
                timestamp_ms=time.time_ns() // 1_000_000,
                content_length=len(body) if body else None,
                websocket=websocket,
                request_id=f"test-{next(_numbers)}",
                body=body,
                max_body=max_body_bytes,
            ),
            self._timeout,
        )

    def close(self) -> None:
        """Ends the event loop of `async def` handlers, if there was one."""
        loop, self._loop = self._loop, None
        if loop is not None:
            loop.stop(self._timeout)

    def __enter__(self) -> Self:
        """Nothing more than the client."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes."""
        self.close()

    def _need_loop(self) -> None:
        if self._loop is None:
            self._loop = LoopThread(self._dispatcher)

    def _wait(self, result: object) -> None:
        if not inspect.isawaitable(result):
            return
        self._need_loop()
        loop = cast("LoopThread", self._loop).loop
        asyncio.run_coroutine_threadsafe(cast("Coroutine[Any, Any, object]", result), loop).result(self._timeout)


class Session:
    """One request as one entry sees it. State in the handler lives as long as this."""

    def __init__(self, dispatcher: Dispatcher, session: MemorySession, timeout: float) -> None:
        self._dispatcher = dispatcher
        self._session = session
        self._timeout = timeout

    def request_filter(self, *, payload: Any = None) -> Result:
        """Runs the request filter. Raises PhaseFailed."""
        return self._outcome(self.begin(1, payload=payload))

    def response_filter(
        self, *, status: int = 200, headers: Headers = (), error: str | None = None, payload: Any = None
    ) -> Result:
        """Runs the response filter on such an answer of the service. Raises PhaseFailed."""
        return self._outcome(self.begin(2, payload=payload, status=status, headers=headers, error=error))

    def response_body_filter(
        self, body: bytes, *, status: int = 200, headers: Headers = (), payload: Any = None
    ) -> Result:
        """Runs the response body filter on such a body. Raises PhaseFailed."""
        return self._outcome(self.begin(3, payload=payload, status=status, headers=headers, body=body))

    def logging(
        self,
        *,
        status: int = 200,
        headers: Headers = (),
        bytes_sent: int = 0,
        duration_ms: int = 0,
        error: str | None = None,
        payload: Any = None,
    ) -> Result:
        """Runs the logging phase. Raises PhaseFailed."""
        run = self.begin(
            4,
            payload=payload,
            status=status,
            headers=headers,
            bytes_sent=bytes_sent,
            duration_ms=duration_ms,
            error=error,
        )
        return self._outcome(run)

    def cancel(self) -> None:
        """Lets the client leave while a phase runs."""
        self._session.cancel()

    def begin(
        self,
        phase: int,
        *,
        payload: Any = None,
        status: int | None = None,
        headers: Headers = (),
        bytes_sent: int = 0,
        duration_ms: int = 0,
        error: str | None = None,
        body: bytes = b"",
    ) -> MemoryRun:
        """Begins a phase; with an `async def` handler it runs on, to be cancelled or looked at meanwhile."""
        return self._session.run(
            self._dispatcher,
            phase,
            payload=None if payload is None else json.dumps(payload).encode(),
            response=None if status is None else (status, _pairs(headers), bytes_sent, duration_ms, error),
            body=body,
        )

    def _outcome(self, run: MemoryRun) -> Result:
        answer = run.wait(self._timeout)
        if len(answer) == 3:
            raise PhaseFailed(answer[0], answer[1])
        number, operations = answer
        result = Result("end" if number == 2 else "next", operations)
        for operation in operations:
            _apply(result, *operation)
        return result


def _apply(result: Result, number: int, *arguments: Any) -> None:
    match number, arguments:
        case ((100 | 410), (name, value)):
            result.headers[name.lower()] = value.decode()
            result.removed.discard(name.lower())
        case 101, (name,):
            result.headers.pop(name.lower(), None)
            result.removed.add(name.lower())
        case 102, (status,):
            result.status = status
        case 103, (body,):
            result.body = body
        case ((400 | 402), (name, value)):
            result.request_headers[name.lower()] = value.decode()
            result.removed_request_headers.discard(name.lower())
        case 401, (name,):
            result.request_headers.pop(name.lower(), None)
            result.removed_request_headers.add(name.lower())
        case _:
            raise AssertionError(f"reading an operation: {number} is none")


def _pairs(headers: Headers) -> list[tuple[str, bytes]]:
    pairs = cast("Mapping[str, str]", headers).items() if isinstance(headers, Mapping) else headers
    return [(name.lower(), value.encode()) for name, value in pairs]
