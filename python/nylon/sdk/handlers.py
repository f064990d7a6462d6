"""Handlers: the class to derive from, and what a class or function tells about its phases."""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, cast

from nylon._core import (
    BodyReader,
    LoggingContext,
    Phase,
    RequestFilterContext,
    ResponseBodyFilterContext,
    ResponseFilterContext,
    ResponseStream,
)

PHASES = ("request_filter", "response_filter", "response_body_filter", "logging")


class PhaseHandler:
    """Handler of one entry: one instance per request, its attributes live through all phases.

    Override what you need, as `def` or `async def`; phases that are not overridden cost nothing. It is made without
    arguments before its first phase. Phases of one request never overlap, those of different requests do. Returning
    means "go on"; `ctx.end()` in a request filter answers at once. Returning a value, or raising anything but
    HttpError, fails the phase: 500, or what `on_error` says. A handler over the phase's `timeout` is 504 (SPEC 21.1);
    `async def` is cancelled then, and when the client leaves.
    """

    def request_filter(self, ctx: RequestFilterContext) -> Awaitable[None] | None:
        """Before the service is asked. In a plugin service it has to answer."""

    def response_filter(self, ctx: ResponseFilterContext) -> Awaitable[None] | None:
        """When status and headers of the answer are known, before they go out.

        On errors of the gateway, too (SPEC 20.1). If it fails the answer goes on, unless `on_error` says otherwise.
        """

    def response_body_filter(self, ctx: ResponseBodyFilterContext) -> Awaitable[None] | None:
        """When the complete body of the answer is known; the head is held back until it returns.

        Not for streams of plugins. A body beyond `max_body_bytes` (10 MiB) fails the phase.
        """

    def response_body_stream(
        self, ctx: ResponseBodyFilterContext, body: BodyReader, out: ResponseStream
    ) -> Awaitable[None] | None:
        """In place of `response_body_filter`, while the body is on its way: read from `body`, write to `out`.

        The head is out by then (SPEC 14.8): returning completes the body, a failure resets the client's connection.
        There is no deadline.
        """

    def logging(self, ctx: LoggingContext) -> Awaitable[None] | None:
        """After the last byte, whatever came of the request. Read-only; nobody waits for it."""


@dataclass(frozen=True)
class Entry:
    """What is known about an entry before its first request."""

    name: str
    handler: Any
    is_class: bool
    phases: int
    """Bit `1 << (phase - 1)` for each phase it has."""
    loop_phases: int
    """Those of them that are `async def`."""
    methods: list[tuple[Any, bool]]
    """Per phase what to call, and whether it is a plain function of the class."""
    streams_body: bool = False
    """Whether its body filter takes the body piece by piece."""

    @property
    def compiled(self) -> tuple[str, Any, bool, int, list[tuple[Any, bool]], bool]:
        """As the dispatcher wants it."""
        return (self.name, self.handler, self.is_class, self.phases, self.methods, self.streams_body)


def check(name: str, handler: Any) -> None:
    """Raises TypeError for what cannot be the handler of an entry, as far as that can be told without running it."""
    if not name:
        raise TypeError("registering a handler: an entry needs a name")
    if isinstance(handler, type):
        _describe_class(name, cast("type[Any]", handler))
        return
    if not callable(handler):
        raise TypeError(f"registering entry {name!r}: expected a class or a function, found {handler!r}")
    if _is_async(handler):
        raise TypeError(
            f"registering entry {name!r}: the function that registers phases must be `def`; its callbacks may be async"
        )
    _check_call(name, handler, 1, "its function takes the phase and nothing else")


def describe(name: str, handler: Any) -> Entry:
    """Looks at a class, runs a function once. Raises TypeError when it cannot be the handler of an entry."""
    check(name, handler)
    if isinstance(handler, type):
        return _describe_class(name, cast("type[Any]", handler))
    return _describe_function(name, handler)


def _describe_class(name: str, handler: type[Any]) -> Entry:
    phases = loop_phases = 0
    methods: list[tuple[Any, bool]] = []
    streams_body = _has(handler, "response_body_stream")
    if streams_body and _has(handler, "response_body_filter"):
        both = "response_body_filter and response_body_stream"
        raise TypeError(f"registering entry {name!r}: {handler.__name__} has {both}; it can have one of them")
    for index, name_of in enumerate(PHASES):
        phase = "response_body_stream" if streams_body and name_of == "response_body_filter" else name_of
        method = getattr(handler, phase, None)
        if method is None or method is getattr(PhaseHandler, phase):
            methods.append((None, False))
            continue
        if not callable(method) or inspect.isasyncgenfunction(method) or inspect.isgeneratorfunction(method):
            raise TypeError(f"registering entry {name!r}: {handler.__name__}.{phase} is no method that can be called")
        phases |= 1 << index
        if _is_async(method):
            loop_phases |= 1 << index
        methods.append((method, inspect.isfunction(inspect.getattr_static(handler, phase))))
    if not phases:
        raise TypeError(f"registering entry {name!r}: {handler.__name__} has none of {', '.join(PHASES)}")
    _check_call(name, handler, 0, "its class must be made without arguments: one instance serves one request")
    return Entry(
        name, handler, is_class=True, phases=phases, loop_phases=loop_phases, methods=methods, streams_body=streams_body
    )


def _has(handler: type[Any], phase: str) -> bool:
    method = getattr(handler, phase, None)
    return method is not None and method is not getattr(PhaseHandler, phase)


def _describe_function(name: str, handler: Callable[[Phase], object]) -> Entry:
    """Runs the function once outside a session: that tells which phases it registers."""
    probe = Phase()
    handler(probe)
    phases = loop_phases = 0
    for index, callback in enumerate(probe._registered()):  # pyright: ignore[reportPrivateUsage]
        if callback is not None:
            phases |= 1 << index
            loop_phases |= (1 << index) if _is_async(callback) else 0
    if not phases:
        raise TypeError(f"registering entry {name!r}: its function registers none of {', '.join(PHASES)}")
    streams_body = probe._streams_body()  # pyright: ignore[reportPrivateUsage]
    return Entry(
        name, handler, is_class=False, phases=phases, loop_phases=loop_phases, methods=[], streams_body=streams_body
    )


def _check_call(name: str, handler: Callable[..., object], arguments: int, rule: str) -> None:
    try:
        signature = inspect.signature(handler)
    except (ValueError, TypeError):
        return  # written in C: the first request will tell
    try:
        signature.bind(*range(arguments))
    except TypeError as error:
        raise TypeError(f"registering entry {name!r}: {rule} ({error})") from None


def _is_async(function: Any) -> bool:
    call = getattr(function, "__call__", None)  # noqa: B004 - an object with an async __call__ counts
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)
