"""`TestPlugin`: what a test of a plugin sees of it, in memory and through a real nats-server."""

import asyncio
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nylon import (
    LoggingContext,
    PhaseHandler,
    Plugin,
    RequestFilterContext,
    ResponseBodyFilterContext,
    ResponseFilterContext,
)
from nylon.testing import TestPlugin, UpstreamAnswer, UpstreamRequest
from nylon.testing.fixtures import Start


class Everything:
    """A plugin with all phases, and what it has seen."""

    def __init__(self) -> None:
        self.plugin = Plugin()
        self.configs: list[Any] = []
        self.logged: list[tuple[int | None, int]] = []
        self.loops: list[asyncio.AbstractEventLoop] = []
        self.closed = False
        self.plugin.on_initialize(self.initialize)
        self.plugin.on_shutdown(self.shutdown)
        outer = self

        @self.plugin.handler("filter")
        class Filter(PhaseHandler):  # pyright: ignore[reportUnusedClass]
            def request_filter(self, ctx: RequestFilterContext) -> None:
                if ctx.request.header("x-raise"):
                    raise ValueError("asked to")
                ctx.request.set_header("X-Payload", str(ctx.payload.get("n")))

            def response_filter(self, ctx: ResponseFilterContext) -> None:
                ctx.response.set_header("X-Seen", str(ctx.response.status))

            def response_body_filter(self, ctx: ResponseBodyFilterContext) -> None:
                ctx.response.body_raw(ctx.response.read_body().upper())

            def logging(self, ctx: LoggingContext) -> None:
                outer.logged.append((ctx.response.status, ctx.response.bytes_sent))

        @self.plugin.handler("page")
        class Page(PhaseHandler):  # pyright: ignore[reportUnusedClass]
            async def request_filter(self, ctx: RequestFilterContext) -> None:
                outer.loops.append(asyncio.get_running_loop())
                body = await ctx.request.body()
                answer = {"params": dict(ctx.request.params), "body": body.decode(), "method": ctx.request.method}
                ctx.response.body_json(answer)
                return ctx.end()

    def initialize(self, config: dict[str, Any]) -> None:
        self.configs.append(config)

    def shutdown(self) -> None:
        self.closed = True


@pytest.fixture
def every() -> Iterator[Everything]:
    every = Everything()
    before = threading.active_count()
    yield every
    assert threading.active_count() <= before + 1, threading.enumerate()


@pytest.mark.parametrize("real", [False, True], ids=["memory", "nats"])
def test_all_phases(every: Everything, real: bool) -> None:
    def answer(request: UpstreamRequest) -> UpstreamAnswer:
        return UpstreamAnswer(201, {"X-Upstream": request.method}, b"hello " + request.body)

    options: Any = {"entries": ["filter"], "config": {"a": 1}, "payload": {"n": 7}, "upstream": answer, "real": real}
    with TestPlugin(every.plugin, **options) as t:
        got = t.post("/a?b=c", body="you", headers=[("X-One", "1"), ("X-One", "2")])
        assert (got.status, got.text) == (201, "HELLO YOU")
        assert (got.headers["x-seen"], got.headers["x-upstream"]) == ("201", "POST")
        (seen,) = t.upstream.seen
        assert (seen.method, seen.target, seen.body) == ("POST", "/a?b=c", b"you")
        assert (seen.headers["X-Payload"], seen.headers.get_all("x-one")) == ("7", ["1", "2"])
    assert every.logged == [(201, 9)]
    assert every.configs == [{"a": 1}]
    assert every.closed


def test_what_a_failure_does(every: Everything, caplog: pytest.LogCaptureFixture) -> None:
    with TestPlugin(every.plugin, entries=["filter"]) as t:
        got = t.get("/", headers={"X-Raise": "1"})
        assert (got.status, got.json()["error"]) == (500, "PLUGIN_ERROR")
        assert t.upstream.seen == []
    assert "asked to" in caplog.text
    with TestPlugin(every.plugin, entries=["filter"], on_error="continue") as t:
        assert t.get("/", headers={"X-Raise": "1"}).status == 200


def test_coroutines_run_in_the_loop_of_the_test(every: Everything) -> None:
    async def ask() -> None:
        async with TestPlugin(every.plugin, service="page", path=["/p/{name}"]) as t:
            answers = await asyncio.gather(*(t.put(f"/p/{n}", json={"n": n}) for n in range(20)))
            for number, answer in enumerate(answers):
                assert answer.json() == {
                    "params": {"name": str(number)},
                    "body": f'{{"n": {number}}}',
                    "method": "PUT",
                }
            assert (await t.delete("/p/x")).json()["method"] == "DELETE"
            assert (await t.get("/elsewhere")).status == 404
            assert set(every.loops) == {asyncio.get_running_loop()}

    asyncio.run(ask())
    assert every.closed


def test_coroutines_run_without_a_loop_of_the_test(every: Everything) -> None:
    with TestPlugin(every.plugin, service="page") as t:
        assert t.post("/x", body=b"1234").json()["body"] == "1234"


def test_a_deadline(every: Everything) -> None:
    plugin = Plugin()

    @plugin.handler("slow")
    class Slow(PhaseHandler):  # pyright: ignore[reportUnusedClass]
        async def request_filter(self, ctx: RequestFilterContext) -> None:
            await asyncio.Event().wait()

    with TestPlugin(plugin, timeout=0.2) as t:
        assert t.get("/").json()["error"] == "PLUGIN_TIMEOUT"
        assert t.upstream.seen == []


def test_a_handler_that_never_returns_fails_the_test() -> None:
    plugin, free = Plugin(drain_timeout=0.1), threading.Event()

    @plugin.handler("stuck")
    class Stuck(PhaseHandler):  # pyright: ignore[reportUnusedClass]
        def request_filter(self, ctx: RequestFilterContext) -> None:
            free.wait()

    with pytest.raises(RuntimeError, match="still runs"), TestPlugin(plugin, timeout=0.2) as t:
        assert t.get("/").status == 504
    free.set()


def test_the_fixture_takes_several(every: Everything, nylon_plugin: Start) -> None:
    first = nylon_plugin(every.plugin, entries=["filter"])
    second = nylon_plugin(Everything().plugin, service="page")
    assert first.get("/").status == second.get("/").status == 200
    assert first.address != second.address


def test_options_that_make_no_sense(every: Everything) -> None:
    with pytest.raises(ValueError, match=r"say which of its entries.*it has: filter, page"):
        TestPlugin(every.plugin)
    with pytest.raises(ValueError, match="no entry 'guard'"):
        TestPlugin(every.plugin, entries=["guard"])
    with pytest.raises(TypeError, match="unknown option entry"):
        TestPlugin(every.plugin, entry="filter")  # pyright: ignore[reportCallIssue]


def test_what_cannot_start_leaves_nothing(every: Everything, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "nats-server"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setitem(os.environ, "NYLON_NATS_SERVER", str(broken))
    with pytest.raises(Exception, match="starting nats-server"), TestPlugin(every.plugin, service="page", real=True):
        pass
