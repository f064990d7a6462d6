"""Handlers that misbehave on request, for the scenarios."""

import asyncio
import mmap
import os
import time
from pathlib import Path

from nylon import HttpError, PhaseHandler, Plugin, RequestFilterContext

plugin = Plugin()
TOKEN = "Bearer secret"
PAUSE = float(os.environ.get("BENCH_PAUSE_MS", "10")) / 1e3
BURN = float(os.environ.get("BENCH_BURN_US", "300")) / 1e6


def _counter() -> mmap.mmap:
    """A counter that outlives kill -9: handlers at work in this process, readable from outside."""
    folder = Path(os.environ.get("BENCH_COUNTERS", "."))
    with (folder / f"in-flight-{os.getpid()}").open("w+b") as file:
        file.write(bytes(8))
        file.flush()
        return mmap.mmap(file.fileno(), 8)


def _allow(ctx: RequestFilterContext) -> None:
    if ctx.request.header("Authorization") != TOKEN:
        raise HttpError(401, "unauthorized")
    ctx.request.set_header("X-Auth-User", "alice")


@plugin.handler("sometimes_slow")
class SometimesSlow(PhaseHandler):
    """Blocks for 100 ms on /slow."""

    def request_filter(self, ctx: RequestFilterContext) -> None:
        if ctx.request.path == "/slow":
            time.sleep(0.1)
        _allow(ctx)


@plugin.handler("burn")
class Burn(PhaseHandler):
    """Costs CPU, so that the worker and not the machine is the bottleneck."""

    def request_filter(self, ctx: RequestFilterContext) -> None:
        until = time.thread_time() + BURN
        while time.thread_time() < until:
            pass
        _allow(ctx)


@plugin.handler("pause")
class Pause(PhaseHandler):
    """Waits without blocking."""

    async def request_filter(self, ctx: RequestFilterContext) -> None:
        await asyncio.sleep(PAUSE)
        _allow(ctx)


class _Count:
    in_flight: mmap.mmap | None = None

    def add(self, number: int) -> None:
        if self.in_flight is None:
            self.in_flight = _counter()
        now = int.from_bytes(self.in_flight[:8], "little") + number
        self.in_flight[:8] = now.to_bytes(8, "little")


count = _Count()


@plugin.handler("counted")
class Counted(PhaseHandler):
    """Waits like `pause`, and shows from outside how many are at work here. All on one event loop, so no lock."""

    async def request_filter(self, ctx: RequestFilterContext) -> None:
        count.add(1)
        try:
            await asyncio.sleep(PAUSE)
            _allow(ctx)
        finally:
            count.add(-1)
