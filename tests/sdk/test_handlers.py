"""Classes and functions as handlers, the phases they register, the state they keep."""

import asyncio
import functools
from collections.abc import Callable
from typing import Any

import pytest

from nylon import (
    LoggingContext,
    Phase,
    PhaseHandler,
    Plugin,
    RequestFilterContext,
    ResponseBodyFilterContext,
    ResponseFilterContext,
)
from nylon.sdk.handlers import describe

from .conftest import until
from .phases import Client


class Everything(PhaseHandler):
    made = 0

    def __init__(self) -> None:
        type(self).made += 1
        self.trace = ["init"]

    def request_filter(self, ctx: RequestFilterContext) -> None:
        self.trace.append("request")

    async def response_filter(self, ctx: ResponseFilterContext) -> None:
        await asyncio.sleep(0)
        self.trace.append("response")

    def response_body_filter(self, ctx: ResponseBodyFilterContext) -> None:
        self.trace.append("body")

    def logging(self, ctx: LoggingContext) -> None:
        self.trace.append("logging")
        ctx.payload["seen"].append(self.trace)


def test_state_lives_through_all_phases_of_a_session_only() -> None:
    plugin = Plugin()
    plugin.handler("all")(Everything)
    seen: list[list[str]] = []

    class Last(Everything):
        def logging(self, ctx: LoggingContext) -> None:
            seen.append(self.trace)

    plugin.handler("last")(Last)
    with Client(plugin) as client:
        for _ in range(2):
            session = client.session("last")
            session.request_filter()
            session.response_filter()
            session.response_body_filter(b"x")
            session.logging()
    assert seen == [["init", "request", "response", "body"]] * 2
    assert Last.made == 2


def test_masks() -> None:
    entry = describe("all", Everything)
    assert (entry.phases, entry.loop_phases) == (0b1111, 0b0010)

    class OnlyLogging(PhaseHandler):
        async def logging(self, ctx: LoggingContext) -> None: ...

    entry = describe("log", OnlyLogging)
    assert (entry.phases, entry.loop_phases) == (0b1000, 0b1000)


def test_the_function_form() -> None:
    plugin = Plugin()
    trace: list[object] = []

    @plugin.handler("fn")
    def entry(phase: Phase) -> None:
        user = f"user{phase.session_id}"

        @phase.request_filter
        def _(ctx: RequestFilterContext) -> None:
            trace.append((user, ctx.session_id == phase.session_id, ctx.session_uid == phase.session_uid))

        @phase.response_filter
        async def _(ctx: ResponseFilterContext) -> None:
            await asyncio.sleep(0)
            trace.append(user)

        phase.logging(None)

    assert (describe("fn", entry).phases, describe("fn", entry).loop_phases) == (0b0011, 0b0010)
    with Client(plugin) as client:
        session = client.session("fn")
        session.request_filter()
        session.response_filter()
    assert trace[0] == (trace[1], True, True)
    assert trace[1] != "user0"


def test_a_coroutine_reads_a_response_body_that_is_at_hand() -> None:
    plugin = Plugin()

    @plugin.handler("upper")
    class _(PhaseHandler):
        async def response_body_filter(self, ctx: ResponseBodyFilterContext) -> None:
            body = await ctx.response.read_body()
            assert body == await ctx.response.read_body()
            ctx.response.body_raw(body.upper())

    with Client(plugin) as client:
        assert client.session("upper").response_body_filter(b"hello").operations == [(103, b"HELLO")]


class WithArguments(PhaseHandler):
    def __init__(self, argument: int) -> None: ...

    def logging(self, ctx: LoggingContext) -> None: ...


def registers_nothing(phase: Phase) -> None: ...


@pytest.mark.parametrize(
    ("handler", "text"),
    [
        (type("Nothing", (), {}), "has none of request_filter"),
        (registers_nothing, "registers none of"),
        (lambda: None, "takes the phase and nothing else"),
        ("text", "expected a class or a function"),
        (WithArguments, "without arguments"),
        (type("Text", (), {"logging": "text"}), "no method that can be called"),
    ],
)
def test_what_cannot_be_a_handler_is_refused(handler: Any, text: str) -> None:
    with pytest.raises(TypeError, match=text):
        describe("entry", handler)


def test_an_async_function_is_refused_where_it_is_registered() -> None:
    async def register(phase: Phase) -> None: ...

    with pytest.raises(TypeError, match="must be `def`"):
        Plugin().handler("entry")(register)


def test_other_ways_to_write_a_method() -> None:
    def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*arguments: Any) -> Any:
            return function(*arguments)

        return call

    seen: list[str] = []

    class Handler:
        @staticmethod
        def request_filter(ctx: RequestFilterContext) -> None:
            seen.append("static")

        @classmethod
        def response_filter(cls, ctx: ResponseFilterContext) -> None:
            seen.append(cls.__name__)

        @decorated
        async def logging(self, ctx: LoggingContext) -> None:
            await asyncio.sleep(0)
            seen.append("decorated")

    plugin = Plugin()
    plugin.handler("h")(Handler)
    with Client(plugin) as client:
        session = client.session("h")
        session.request_filter()
        session.response_filter()
        session.logging()
    assert seen == ["static", "Handler", "decorated"]


def test_nothing_is_kept_of_a_session_that_is_over() -> None:
    import gc
    import weakref

    alive: list[weakref.ref[object]] = []

    class Handler(PhaseHandler):
        def request_filter(self, ctx: RequestFilterContext) -> None:
            self.ctx, self.request = ctx, ctx.request  # keeping them must not make a circle
            alive.append(weakref.ref(self))

        async def response_filter(self, ctx: ResponseFilterContext) -> None:
            self.response = ctx.response

    plugin = Plugin()
    plugin.handler("h")(Handler)
    with Client(plugin) as client:
        for _ in range(10):
            session = client.session("h")
            session.request_filter()
            session.response_filter()
            del session
        gc.collect()
        until(lambda: not any(reference() for reference in alive), "the handlers to be freed")


def test_a_callback_that_uses_its_phase_is_not_kept_either() -> None:
    import gc
    import weakref

    alive: list[weakref.ref[object]] = []

    def handler(phase: Phase) -> None:
        @phase.request_filter
        def _(ctx: RequestFilterContext) -> None:
            assert phase.session_id == ctx.session_id
            phase.logging(print)  # too late

        def logging(ctx: LoggingContext) -> None:
            assert phase.session_id == ctx.session_id

        phase.logging(logging)
        alive.append(weakref.ref(logging))

    plugin = Plugin()
    plugin.handler("h")(handler)
    with Client(plugin) as client:
        session = client.session("h")
        session.request_filter()
        assert len([reference for reference in alive if reference()]) == 1
        session.logging()
        client.session("h").request_filter()  # and one that has no later phase
        del session
        gc.collect()
        assert not any(reference() for reference in alive)
