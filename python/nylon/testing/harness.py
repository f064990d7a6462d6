"""`TestPlugin`: a plugin behind a gateway of its own in this process, asked over HTTP."""

import asyncio
import itertools
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType
from typing import Any, TypedDict, Unpack

from nylon._core import Gateway
from nylon.config import RuntimeFile, Server, compile
from nylon.control.nats import EmbeddedNats
from nylon.sdk.plugin import Plugin
from nylon.sdk.serving import Serving
from nylon.testing.requests import AsyncClient, SyncClient
from nylon.testing.upstream import Upstream, UpstreamAnswer, UpstreamHandler

_NAME = "tested"
_START_SECONDS = 15.0
_END_SECONDS = 5.0

_numbers = itertools.count(1)


class Options(TypedDict, total=False):
    """How the plugin is used; every key may be left out."""

    entries: Sequence[str]
    """Entries in front of the upstream, in order. Default: the only entry, unless it is the `service`."""
    service: str
    """The entry that answers by itself, in place of the upstream."""
    path: str | Sequence[str]
    """Path patterns, as in the configuration: `/users/{id}`; others are 404. Default: every path."""
    upstream: UpstreamAnswer | UpstreamHandler
    """What the upstream answers, or a function that does, called in threads of its own. Default: 200 without a body."""
    config: Any
    """For the plugin's `on_initialize`, of JSON values. Default: none, so that it gets an empty object."""
    payload: Any
    """For every entry: `ctx.payload`, of JSON values, which may have templates. Default: none."""
    timeout: float
    """Seconds that a phase may take, beyond which it is 504 (default 10)."""
    on_error: str | Mapping[str, str]
    """What a failure does, as `on_error` of middleware. Default: that of middleware."""
    real: bool
    """Through a nats-server of our own, as in production, in place of memory (default false)."""


class TestPlugin:
    """Serves a plugin while in its block: `async with` gives a client to await, `with` one that does not need it.

    Any number may run at once; one is for one block. The handlers run in this process, as in production.

        async with TestPlugin(plugin, config={"tokens": {"secret": "ann"}}) as t:
            r = await t.get("/x", headers={"Authorization": "Bearer secret"})
            assert r.status == 200
            assert t.upstream.seen[0].headers["X-User"] == "ann"
    """

    __test__ = False  # not a class of tests, whatever its name says to pytest

    def __init__(self, plugin: Plugin, **options: Unpack[Options]) -> None:
        """Take a plugin; nothing is started yet.

        Raises TypeError for an option that it does not know, ValueError for an entry that there is not, and where it is
        not clear which one is meant. What else makes no sense is a ValueError of the block's start.
        """
        unknown = sorted(set(options) - set(Options.__annotations__))
        if unknown:
            raise TypeError(f"testing a plugin: unknown option {', '.join(unknown)}")
        self._plugin = plugin
        self._options = options
        self._chain = _chain(plugin, options)
        self._around = ExitStack()
        self._upstream: Upstream | None = None
        self._gateway: Gateway | None = None
        self._opened = False
        self._serving: Serving | None = None

    async def __aenter__(self) -> AsyncClient:
        """Start everything; `async def` handlers run in the running loop.

        Raises TimeoutError if the worker is not there within 15 s.
        """
        try:
            self._serving = await asyncio.to_thread(self._prepare)
            self._serving.start(asyncio.get_running_loop())
            return AsyncClient(await asyncio.to_thread(self._open))
        except BaseException:
            await self._leave()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End everything, within some seconds. Raises RuntimeError if a handler never returned."""
        _check(await self._leave(), error)

    def __enter__(self) -> SyncClient:
        """Start everything; `async def` handlers run in a loop of their own. Raises as `async with`."""
        try:
            self._serving = self._prepare()
            self._serving.start(None)
            return self._open()
        except BaseException:
            self._end()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End everything, within some seconds. Raises RuntimeError if a handler never returned."""
        _check(self._end(), error)

    def _prepare(self) -> Serving:
        """Start what stands around the gateway; return the worker, not started yet."""
        bus = f"test-{next(_numbers)}"
        embedded: dict[str, Server] = {}
        settings = self._plugin.settings_at(f"memory:{bus}", _NAME)
        if self._options.get("real", False):
            nats = EmbeddedNats()
            self._around.callback(nats.stop)
            server = embedded[_NAME] = nats.server
            settings = self._plugin.settings_at(server.url, _NAME, user=server.user, password=server.password)
        upstream = self._upstream = Upstream(self._options.get("upstream", UpstreamAnswer()))
        self._around.callback(upstream.close)
        config = RuntimeFile.model_validate(self._configuration(upstream.port, real=bool(embedded)))
        now = time.time_ns() // 1_000_000
        self._gateway = Gateway(compile(config, loaded_at_ms=now, embedded=embedded, bus=bus))
        return self._plugin.serving(replace(settings, drain_timeout=min(settings.drain_timeout, _END_SECONDS)))

    def _open(self) -> SyncClient:
        """Open the gateway and wait until it has heard of the worker."""
        assert self._gateway is not None and self._upstream is not None  # noqa: S101 (made by _prepare)
        self._gateway.start()
        self._opened = True
        end = time.monotonic() + _START_SECONDS
        while not re.search(r"^nylon_workers\{.*\} 1$", self._gateway.metrics(), re.MULTILINE):
            if time.monotonic() > end:
                raise TimeoutError(f"testing a plugin: its worker was not heard of within {_START_SECONDS:.0f} s")
            time.sleep(0.002)
        return SyncClient(self._gateway.addresses()["http"][0], self._upstream)

    async def _leave(self) -> bool:
        # Not in the loop: what the gateway waits for may be handlers that run there.
        await asyncio.to_thread(self._close_gateway)
        clean = self._serving is None or await self._serving.aclose()
        await asyncio.to_thread(self._around.close)
        return clean

    def _end(self) -> bool:
        self._close_gateway()
        clean = self._serving is None or self._serving.close()
        self._around.close()
        return clean

    def _close_gateway(self) -> None:
        if self._gateway is None:
            return
        if self._opened:
            self._gateway.drain(int(_END_SECONDS * 1_000))
        self._gateway.stop()

    def _configuration(self, port: int, *, real: bool) -> dict[str, Any]:
        options = self._options
        path = options.get("path", ["/", "/{*path}"])
        use: dict[str, Any] = {
            "payload": options.get("payload"),
            "timeout": _milliseconds(options.get("timeout", 10.0)),
        }
        if "on_error" in options:
            use["on_error"] = options["on_error"]
        service: dict[str, Any] = {
            "name": "service",
            "service_type": "http",
            "endpoints": [{"ip": "127.0.0.1", "port": port}],
        }
        if "service" in options:
            plugin = {"name": _NAME, "entry": options["service"], **use}
            service = {"name": "service", "service_type": "plugin", "plugin": plugin}
        transport = {"type": "messaging", "messaging": _NAME} if real else {"type": "python", "module": _NAME}
        return {
            "http": ["127.0.0.1:0"],
            "threads": 1,
            "messaging": [{"name": _NAME, "embedded": True}] if real else [],
            "plugins": [{"name": _NAME, "config": options.get("config"), **transport}],
            "services": [service],
            "routes": [
                {
                    "name": _NAME,
                    "route": {"type": "host", "value": "*"},
                    "middleware": [{"plugin": _NAME, "entry": entry, **use} for entry in self._chain],
                    "paths": [{"path": path if isinstance(path, str) else list(path), "service": {"name": "service"}}],
                }
            ],
        }


def _chain(plugin: Plugin, options: Options) -> list[str]:
    known = plugin.entries
    service = options.get("service")
    chain = options.get("entries")
    if chain is None:
        others = [entry for entry in known if entry != service]
        if service is None and len(others) != 1:
            names = ", ".join(known) or "none"
            raise ValueError(
                f"testing a plugin: say which of its entries: entries=[...] or service=...; it has: {names}"
            )
        chain = others if service is None else []
    for entry in (*chain, *([service] if service is not None else [])):
        if entry not in known:
            raise ValueError(f"testing a plugin: there is no entry {entry!r}; it has: {', '.join(known)}")
    return list(chain)


def _milliseconds(seconds: float) -> str:
    return f"{round(seconds * 1000)}ms"


def _check(clean: bool, error: BaseException | None) -> None:
    if not clean and error is None:
        raise RuntimeError("testing a plugin: a handler still runs after the test; it ignores ctx.cancelled")
