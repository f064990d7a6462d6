"""Classes and functions as handlers, `def` and `async def`, state, errors, cancellation."""

import asyncio
import contextvars
import functools
import logging
import threading
import time
from collections.abc import Callable, Generator
from typing import Any

import pytest

from nylon import (
    ClientGoneError,
    HttpError,
    LoggingContext,
    Phase,
    PhaseHandler,
    Plugin,
    RequestFilterContext,
    ResponseBodyFilterContext,
    ResponseFilterContext,
    request_id,
)
from nylon.sdk.handlers import describe

from .phases import Client, PhaseFailed


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


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


class TestErrors:
    def plugin(self, error: BaseException, *, asynchronous: bool, phase: str = "request_filter") -> Plugin:
        def sync(self: Any, ctx: Any) -> None:
            ctx.response.body_text("before")
            raise error

        async def later(self: Any, ctx: Any) -> None:
            await asyncio.sleep(0)
            sync(self, ctx)

        plugin = Plugin()
        plugin.handler("h")(type("Handler", (), {phase: later if asynchronous else sync}))
        return plugin

    @pytest.mark.parametrize("asynchronous", [False, True])
    def test_http_error_answers(self, asynchronous: bool) -> None:
        error = HttpError(401, "unauthorized", headers={"WWW-Authenticate": "Bearer"})
        with Client(self.plugin(error, asynchronous=asynchronous)) as client:
            result = client.session("h").request_filter()
        assert (result.action, result.status) == ("end", 401)
        assert result.headers["www-authenticate"] == "Bearer"
        assert result.headers["content-type"] == "application/json"
        body = result.json()
        assert body == {"status": 401, "error": "UNAUTHORIZED", "message": "unauthorized", "id": body["id"]}
        assert result.headers["x-request-id"] == body["id"]
        assert len([operation for operation in result.operations if operation[0] == 103]) == 1

    def test_http_error_in_a_response_filter_replaces_the_answer(self) -> None:
        with Client(self.plugin(HttpError(502), asynchronous=False, phase="response_filter")) as client:
            result = client.session("h").response_filter()
        assert (result.action, result.status, result.json()["message"]) == ("next", 502, "Bad Gateway")

    def test_http_error_is_a_failure_where_nothing_can_be_answered(self) -> None:
        plugin = self.plugin(HttpError(502), asynchronous=False, phase="response_body_filter")
        with Client(plugin) as client, pytest.raises(PhaseFailed, match="HttpError: 502 Bad Gateway"):
            client.session("h").response_body_filter(b"")

    @pytest.mark.parametrize("asynchronous", [False, True])
    @pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), asyncio.CancelledError(), GeneratorExit()])
    def test_everything_else_is_contained_and_logged_with_the_id(
        self, error: BaseException, asynchronous: bool, caplog: pytest.LogCaptureFixture
    ) -> None:
        with Client(self.plugin(error, asynchronous=asynchronous)) as client:
            for _ in range(2):  # the second one works like the first
                with pytest.raises(PhaseFailed) as failed:
                    client.session("h").request_filter()
                assert failed.value.code == "handler_error"
                assert type(error).__name__ in failed.value.text
        lines = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
        assert len(lines) == 2
        assert "handler raised entry=h phase=request_filter id=test-" in lines[0]

    def test_a_keyboard_interrupt_reaches_the_caller_and_fails_the_phase(self) -> None:
        with Client(self.plugin(KeyboardInterrupt(), asynchronous=False)) as client, pytest.raises(KeyboardInterrupt):
            client.session("h").request_filter()

    def test_a_constructor_that_raises_fails_the_phase(self) -> None:
        class Handler(PhaseHandler):
            def __init__(self) -> None:
                raise ValueError("no database")

            def request_filter(self, ctx: RequestFilterContext) -> None: ...

        plugin = Plugin()
        plugin.handler("h")(Handler)
        with Client(plugin) as client, pytest.raises(PhaseFailed, match="no database"):
            client.session("h").request_filter()

    def test_an_exception_after_end_still_refuses(self) -> None:
        class Handler(PhaseHandler):
            def request_filter(self, ctx: RequestFilterContext) -> None:
                ctx.next()
                raise ValueError("afterwards")

        plugin = Plugin()
        plugin.handler("h")(Handler)
        with Client(plugin) as client, pytest.raises(PhaseFailed, match="afterwards"):
            client.session("h").request_filter()

    @pytest.mark.parametrize("status", [0, 99, 1000])
    def test_a_status_that_is_none(self, status: int) -> None:
        with pytest.raises(ValueError, match="is no status"):
            HttpError(status)


class TestAsync:
    def run(self, handler: Callable[[Any], Any], **request: Any) -> Any:
        plugin = Plugin()

        async def method(self: Any, ctx: Any) -> None:
            await handler(ctx)

        plugin.handler("h")(type("Handler", (), {"request_filter": method}))
        with Client(plugin) as client:
            return client.session("h", **request).request_filter()

    def test_it_is_a_real_task(self) -> None:
        variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")

        async def handler(ctx: RequestFilterContext) -> None:
            variable.set("mine")
            assert asyncio.current_task() is not None
            async with asyncio.timeout(5), asyncio.TaskGroup() as group:
                child = group.create_task(asyncio.sleep(0, "done"))
            assert child.result() == "done"
            assert variable.get() == "mine"
            assert request_id() == ctx.request_id
            ctx.response.set_header("x", "y")

        assert self.run(handler).headers == {"x": "y"}

    def test_a_timeout_of_its_own(self) -> None:
        async def handler(ctx: RequestFilterContext) -> None:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await asyncio.Event().wait()

        assert self.run(handler).action == "next"

    def test_bodies_are_awaited(self) -> None:
        async def handler(ctx: RequestFilterContext) -> None:
            first = await ctx.request.body()
            second = await asyncio.wait_for(ctx.request.body(), 1)
            in_thread = await asyncio.to_thread(ctx.request.body)
            ctx.response.body_raw(first + second + in_thread)
            assert await ctx.response.read_body() == b"ababab"

        assert self.run(handler, body=b"ab").body == b"ababab"

    def test_a_loop_of_the_users_own(self) -> None:
        seen: list[bytes] = []

        class Handler(PhaseHandler):
            def request_filter(self, ctx: RequestFilterContext) -> None:
                async def read() -> None:
                    seen.append(await ctx.request.body())

                asyncio.run(read())

        plugin = Plugin()
        plugin.handler("h")(Handler)
        with Client(plugin) as client:
            client.session("h", body=b"own").request_filter()
        assert seen == [b"own"]

    def test_a_thousand_at_once(self) -> None:
        gate = threading.Event()

        class Handler(PhaseHandler):
            async def request_filter(self, ctx: RequestFilterContext) -> None:
                await asyncio.to_thread(gate.wait)
                ctx.response.set_header("path", ctx.request.path)

        plugin = Plugin()
        plugin.handler("h")(Handler)
        with Client(plugin) as client:
            runs = [client.session("h", path=f"/{number}").begin(1) for number in range(1000)]
            gate.set()
            outcomes = [run.wait(10) for run in runs]
        assert outcomes == [(1, [(100, "path", f"/{number}".encode())]) for number in range(1000)]

    def test_cancellation_reaches_the_task(self, caplog: pytest.LogCaptureFixture) -> None:
        trace: list[str] = []

        class Handler(PhaseHandler):
            async def request_filter(self, ctx: RequestFilterContext) -> None:
                trace.append("started")
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    trace.append(f"cancelled {ctx.cancelled}")
                    raise

        plugin = Plugin()
        plugin.handler("h")(Handler)
        with Client(plugin) as client:
            session = client.session("h")
            run = session.begin(1)
            until(lambda: trace)
            session.cancel()
            assert run.wait(5)[1] == "cancelled"
        assert trace == ["started", "cancelled True"]
        assert not [record for record in caplog.records if record.levelno >= logging.ERROR]

    def test_cancellation_before_it_starts(self) -> None:
        class Handler(PhaseHandler):
            async def request_filter(self, ctx: RequestFilterContext) -> None:
                await asyncio.Event().wait()

        plugin = Plugin()
        plugin.handler("h")(Handler)
        with Client(plugin) as client:
            session = client.session("h")
            run = session.begin(1)
            session.cancel()
            assert run.wait(5)[0] == "handler_error"


def test_a_def_handler_sees_that_it_is_cancelled() -> None:
    started = threading.Event()
    seen: list[object] = []

    class Handler(PhaseHandler):
        def request_filter(self, ctx: RequestFilterContext) -> None:
            started.set()
            until(lambda: ctx.cancelled)
            try:
                ctx.request.body()
            except ClientGoneError as error:
                seen.append(error)
                raise

    plugin = Plugin()
    plugin.handler("h")(Handler)
    client = Client(plugin)
    session = client.session("h")
    held: list[Any] = []
    plugin_thread = threading.Thread(target=lambda: held.append(session.begin(1)))
    plugin_thread.start()
    started.wait(5)
    session.cancel()
    plugin_thread.join(5)
    assert held[0].wait(5) == ("handler_error", "cancelled", None)
    assert len(seen) == 1


def test_request_id_in_a_def_handler() -> None:
    seen: list[object] = []

    class Handler(PhaseHandler):
        def request_filter(self, ctx: RequestFilterContext) -> None:
            seen.append(request_id() == ctx.request_id)

    plugin = Plugin()
    plugin.handler("h")(Handler)
    Client(plugin).session("h").request_filter()
    assert seen == [True]
    assert request_id() is None


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
        until(lambda: not any(reference() for reference in alive))


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


class TestTasksToAsyncio:
    """A handler's task looks and behaves like any other."""

    def test_it_has_a_name_and_a_stack(self) -> None:
        seen: list[str] = []

        class Handler(PhaseHandler):
            async def request_filter(self, ctx: RequestFilterContext) -> None:
                await asyncio.sleep(0)
                task = asyncio.current_task()
                assert task is not None
                seen.append(repr(task))
                assert asyncio.iscoroutine(task.get_coro())

        plugin = Plugin()
        plugin.handler("h")(Handler)
        with Client(plugin) as client:
            client.session("h").request_filter()
        assert "Handler.request_filter" in seen[0]

    def test_any_awaitable_will_do(self) -> None:
        class Later:
            def __await__(self) -> Generator[Any, Any, None]:
                yield from asyncio.sleep(0).__await__()

        class Handler(PhaseHandler):
            def request_filter(self, ctx: RequestFilterContext) -> Any:
                return Later()

            def response_filter(self, ctx: ResponseFilterContext) -> Any:
                async def bad() -> bool:
                    return False

                return bad()

        plugin = Plugin()
        plugin.handler("h")(Handler)
        with Client(plugin) as client:
            session = client.session("h")
            assert session.request_filter().action == "next"
            with pytest.raises(PhaseFailed, match="returned a value of type bool"):
                session.response_filter()

    def test_a_cancellation_that_is_swallowed(self) -> None:
        class Handler(PhaseHandler):
            async def request_filter(self, ctx: RequestFilterContext) -> None:
                task = asyncio.current_task()
                assert task is not None
                asyncio.get_running_loop().call_soon(task.cancel)
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    task.uncancel()
                await asyncio.sleep(0)
                ctx.response.set_header("x", "after")

        plugin = Plugin()
        plugin.handler("h")(Handler)
        with Client(plugin) as client:
            assert client.session("h").request_filter().headers == {"x": "after"}

    def test_the_id_is_known_to_what_a_handler_starts_and_to_nobody_else(self) -> None:
        seen: list[bool] = []

        class Handler(PhaseHandler):
            async def request_filter(self, ctx: RequestFilterContext) -> None:
                async def child() -> None:
                    seen.append(request_id() == ctx.request_id)

                seen.append((await asyncio.gather(child(), asyncio.to_thread(request_id)))[1] == ctx.request_id)

        plugin = Plugin()
        plugin.handler("h")(Handler)
        with Client(plugin) as client:
            for _ in range(2):
                client.session("h").request_filter()
        assert seen == [True] * 4
        assert request_id() is None
