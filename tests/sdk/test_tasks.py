"""`async def` handlers as tasks of asyncio, cancellation, and the id of the request in everything they start."""

import asyncio
import contextvars
import logging
import threading
from collections.abc import Callable, Generator
from typing import Any

import pytest

from nylon import (
    ClientGoneError,
    PhaseHandler,
    Plugin,
    RequestFilterContext,
    ResponseFilterContext,
    request_id,
)
from nylon.sdk.running import taken

from .conftest import until
from .phases import Client, PhaseFailed


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
            until(lambda: trace, "the handler to start")
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
            until(lambda: ctx.cancelled, "the cancellation")
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


def test_a_wait_that_is_cancelled_as_it_ends_takes_nothing() -> None:
    """What came is then there for the next read."""
    got: list[int] = []

    async def main() -> None:
        ready: asyncio.Future[Callable[[], None]] = asyncio.get_running_loop().create_future()
        waits = asyncio.create_task(taken(ready))
        await asyncio.sleep(0)
        ready.set_result(lambda: got.append(1))
        waits.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waits

    asyncio.run(main())
    assert got == []
