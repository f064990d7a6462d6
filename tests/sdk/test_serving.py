"""Plugins served as workers on a real nats-server, asked through a real gateway."""

import asyncio
import concurrent.futures
import logging
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import pytest

from nylon import BodyTooLargeError, HttpError, LoggingContext, Phase, PhaseHandler, Plugin, RequestFilterContext

from .conftest import Bench, until


class Hello(PhaseHandler):
    def request_filter(self, ctx: RequestFilterContext) -> None:
        ctx.response.body_text(f"hello {threading.current_thread().name}")
        ctx.end()


def test_with(bench: Bench) -> None:
    plugin = bench.plugin()
    plugin.handler("hello")(Hello)
    with plugin, bench.gateway(plugin) as gateway:
        assert gateway.get("/hello").body.startswith(b"hello nylon-worker-")
        assert plugin.running is not None
        worker = plugin.running.worker
        assert (worker.connection, worker.config_state, worker.ready) == ("connected", "ready", True)
        until(lambda: worker.stats()["results"] == 1, "the result to be counted")
    assert plugin.running is None
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("nylon-")]


def test_start_and_close_in_the_users_loop(bench: Bench) -> None:
    plugin = bench.plugin()
    loops: list[object] = []

    @plugin.handler("hello")
    class _(PhaseHandler):
        async def request_filter(self, ctx: RequestFilterContext) -> None:
            loops.append(asyncio.get_running_loop())
            body = await ctx.request.body()
            ctx.response.body_raw(body)
            ctx.end()

    async def main() -> None:
        async with plugin:
            with pytest.raises(RuntimeError, match="running already"):
                await plugin.start()
            with bench.gateway(plugin) as gateway:
                answer = await asyncio.to_thread(gateway.get, "/hello", b"x" * 100_000)
                assert answer.body == b"x" * 100_000
        assert loops == [asyncio.get_running_loop()]
        await plugin.close()  # a second time does nothing

    asyncio.run(main())
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("nylon-")]


def test_serve_ends_when_it_is_cancelled(bench: Bench) -> None:
    plugin = bench.plugin()
    ended: list[str] = []
    plugin.handler("hello")(Hello)

    @plugin.on_shutdown
    async def _() -> None:
        await asyncio.sleep(0)
        ended.append("shutdown")

    async def main() -> None:
        serving = asyncio.create_task(plugin.serve())
        with bench.gateway(plugin) as gateway:
            assert (await asyncio.to_thread(gateway.get, "/hello")).status == 200
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving

    asyncio.run(main())
    assert ended == ["shutdown"]


def test_def_and_async_def_and_functions_side_by_side(bench: Bench) -> None:
    plugin = bench.plugin()
    plugin.handler("sync")(Hello)

    @plugin.handler("asynchronous")
    class _(PhaseHandler):
        async def request_filter(self, ctx: RequestFilterContext) -> None:
            await asyncio.sleep(0.001)
            ctx.response.body_text(threading.current_thread().name)
            ctx.end()

    @plugin.handler("function")
    def _(phase: Phase) -> None:
        @phase.request_filter
        async def _(ctx: RequestFilterContext) -> None:
            await asyncio.sleep(0)
            ctx.response.set_status(202)
            ctx.end()

    with plugin, bench.gateway(plugin) as gateway:
        assert gateway.get("/sync").status == 200
        assert gateway.get("/asynchronous").body == b"nylon-loop"
        assert gateway.get("/function").status == 202


def test_a_slow_def_handler_holds_up_nobody(bench: Bench) -> None:
    plugin = bench.plugin(max_threads=8)
    release = threading.Event()
    blocked = threading.Semaphore(0)

    @plugin.handler("slow")
    class Slow(PhaseHandler):  # pyright: ignore[reportUnusedClass]
        def request_filter(self, ctx: RequestFilterContext) -> None:
            blocked.release()
            release.wait(10)
            ctx.end()

    plugin.handler("hello")(Hello)
    with plugin, bench.gateway(plugin) as gateway, concurrent.futures.ThreadPoolExecutor() as pool:
        slow = [pool.submit(gateway.get, "/slow") for _ in range(5)]
        for _ in slow:
            assert blocked.acquire(timeout=5)
        began = time.monotonic()
        for _ in range(20):
            assert gateway.get("/hello").status == 200
        assert time.monotonic() - began < 4
        assert sum(thread.name.startswith("nylon-worker-") for thread in threading.enumerate()) <= 8
        release.set()
        assert [answer.result().status for answer in slow] == [200] * 5


@dataclass
class Config:
    greeting: str
    names: list[str] = field(default_factory=list[str])


def test_configuration_is_typed_and_a_bad_one_keeps_the_old(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    plugin = bench.plugin()
    taken: list[Config] = []

    @plugin.on_initialize
    def _(config: Config) -> None:
        taken.append(config)

    @plugin.handler("hello")
    class _(PhaseHandler):
        def request_filter(self, ctx: RequestFilterContext) -> None:
            ctx.response.body_text(taken[-1].greeting)
            ctx.end()

    with plugin, bench.gateway(plugin) as gateway:
        gateway.reload({"greeting": "hi", "names": ["a"]})
        assert gateway.get("/hello").body == b"hi"
        assert taken[-1] == Config("hi", ["a"])
        gateway.reload({"greeting": 7})
        running = plugin.running
        assert running is not None

        def refused() -> bool:
            assert gateway.get("/hello").body == b"hi"
            return running.worker.config_state == "failed_keeping_old"

        until(refused, "the new configuration to be refused")
        gateway.reload({"greeting": "hello"})
        until(lambda: gateway.get("/hello").body == b"hello", "the third configuration")
    assert "expected str, found int" in caplog.text


def test_a_first_configuration_that_is_refused_is_no_worker(bench: Bench) -> None:
    plugin = bench.plugin(config={"greeting": 7})

    @plugin.on_initialize
    def _(config: Config) -> None: ...

    plugin.handler("hello")(Hello)
    with plugin:
        running = plugin.running
        assert running is not None
        until(lambda: running.worker.config_state == "failed", "the configuration to be refused")
        assert not running.worker.ready


def test_an_async_initializer_and_a_configuration_of_its_own(bench: Bench) -> None:
    plugin = bench.plugin(config={"greeting": "own"})
    taken: list[dict[str, Any]] = []

    @plugin.on_initialize
    async def _(config: dict[str, Any]) -> None:
        await asyncio.sleep(0)
        taken.append(config)

    plugin.handler("hello")(Hello)
    with plugin:
        until(lambda: taken == [{"greeting": "own"}], "the worker's own configuration")


def test_errors_have_the_id_that_the_client_got(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    plugin = bench.plugin(max_body_bytes=1000)

    @plugin.handler("raise")
    class _(PhaseHandler):
        def request_filter(self, ctx: RequestFilterContext) -> None:
            raise SystemExit("no")

    @plugin.handler("http")
    class _(PhaseHandler):
        async def request_filter(self, ctx: RequestFilterContext) -> None:
            raise HttpError(429, headers={"Retry-After": "7"})

    @plugin.handler("large")
    class _(PhaseHandler):
        def request_filter(self, ctx: RequestFilterContext) -> None:
            with pytest.raises(BodyTooLargeError):
                ctx.request.body()
            ctx.request.body()

    plugin.handler("hello")(Hello)
    with plugin, bench.gateway(plugin) as gateway:
        failed = gateway.get("/raise")
        assert (failed.status, failed.json()["error"]) == (500, "PLUGIN_ERROR")
        assert f"id={failed.json()['id']}" in caplog.text
        assert failed.headers["x-request-id"] == failed.json()["id"]
        answer = gateway.get("/http")
        assert (answer.status, answer.headers["retry-after"], answer.json()["error"]) == (429, "7", "TOO_MANY_REQUESTS")
        assert answer.headers["x-request-id"] == answer.json()["id"]
        assert gateway.get("/large", b"x" * 1001).status == 413
        assert gateway.get("/hello").status == 200


def test_draining_lets_running_handlers_finish_and_then_shuts_down(bench: Bench) -> None:
    plugin = bench.plugin()
    trace: list[str] = []
    started = threading.Event()

    @plugin.handler("slow")
    class _(PhaseHandler):
        def request_filter(self, ctx: RequestFilterContext) -> None:
            started.set()
            time.sleep(0.3)
            trace.append("handler")
            ctx.end()

        def logging(self, ctx: LoggingContext) -> None:
            trace.append(f"logging {ctx.response.status}")

    @plugin.on_shutdown
    def _() -> None:
        trace.append("shutdown")

    with bench.gateway(plugin) as gateway, concurrent.futures.ThreadPoolExecutor() as pool:
        with plugin:
            answer = pool.submit(gateway.get, "/slow")
            assert started.wait(10)
        assert answer.result().status == 200
    assert trace == ["handler", "logging 200", "shutdown"]


def test_five_thousand_sessions_leave_nothing_behind(bench: Bench) -> None:
    import gc

    plugin = bench.plugin()
    alive = 0

    class Counted(PhaseHandler):
        def __init__(self) -> None:
            nonlocal alive
            alive += 1

        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    @plugin.handler("sync")
    class _(Counted):
        def request_filter(self, ctx: RequestFilterContext) -> None:
            self.kept = ctx
            ctx.response.body_text("x")
            ctx.end()

        def logging(self, ctx: LoggingContext) -> None:
            self.again = ctx.request

    @plugin.handler("asynchronous")
    class _(Counted):
        async def request_filter(self, ctx: RequestFilterContext) -> None:
            self.kept = ctx
            await asyncio.sleep(0)
            ctx.end()

        async def logging(self, ctx: LoggingContext) -> None:
            self.again = ctx.response

    with plugin, bench.gateway(plugin) as gateway, concurrent.futures.ThreadPoolExecutor(8) as pool:
        paths = ["/sync", "/asynchronous"] * 500
        assert {answer.status for answer in pool.map(gateway.get, paths)} == {200}
        running = plugin.running
        assert running is not None
        until(lambda: running.worker.stats()["sessions"] == 0, "sessions to be gone")
        gateway.get("/sync")  # what other threads let go of is dropped when Python is entered again
        until(lambda: gc.collect() >= 0 and alive <= 1, f"handlers to be gone, {alive} are left")


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Plugin(group="g").serving(), "the plugin has no entry"),
        (lambda: Plugin().settings(), "no group is given"),
        (lambda: Plugin(group="g", max_threads=0).settings(), "max_threads must be at least 1"),
        (lambda: Plugin(group="g", grop="x"), "unknown option grop"),  # pyright: ignore
    ],
)
def test_what_cannot_be_served_says_why(make: Any, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NATS_GROUP", raising=False)
    with pytest.raises((ValueError, TypeError), match=text):
        make()


def test_settings_come_from_code_then_environment_then_defaults() -> None:
    from nylon.sdk.settings import resolve

    environment = {
        "NATS_SERVERS": "nats://a:1, nats://b:2",
        "NATS_GROUP": "env",
        "NATS_USER": "u",
        "NATS_PASSWORD": "p",
        "NYLON_PREFIX": "other",
        "NATS_CA_FILE": "/ca.pem",
        "NATS_TLS": "1",
    }
    settings = resolve(None, None, {}, environment)
    assert (settings.servers, settings.group, settings.prefix) == (["nats://a:1", "nats://b:2"], "env", "other")
    assert (settings.user, settings.password, settings.tls, settings.tls_ca_file) == ("u", "p", True, "/ca.pem")
    settings = resolve(["nats://c:3"], "code", {"token": "t", "prefix": "mine"}, environment)
    assert (settings.servers, settings.group, settings.prefix) == (["nats://c:3"], "code", "mine")
    assert (settings.token, settings.user) == ("t", None)
    assert resolve(None, "g", {}, {}).servers == ["nats://127.0.0.1:4222"]


def test_starting_tells_no_password(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "nylon.worker")
    plugin = Plugin("nats://who:secret@127.0.0.1:1", bench.group)
    plugin.handler("hello")(Hello)
    with plugin:
        pass
    assert "nats://127.0.0.1:1" in caplog.text
    assert "secret" not in caplog.text
