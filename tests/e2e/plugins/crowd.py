"""Many workers in one process: `python crowd.py SERVERS GROUP COUNT`.

Each line on standard input is a wish: `join` (one more worker), `leave` (the oldest drains and ends), `stats`. Each is
answered by a line of JSON. As a plugin for `nylon worker` (`crowd.py:plugin`) it is one of those workers.
"""

import asyncio
import json
import sys
import time
from typing import Any

from nylon import HttpError, LoggingContext, PhaseHandler, Plugin, RequestFilterContext


def allowed(ctx: RequestFilterContext) -> None:
    """`Authorization: Bearer secret` passes."""
    if ctx.request.header("authorization") != "Bearer secret":
        raise HttpError(401, "unauthorized", headers={"WWW-Authenticate": "Bearer"})
    ctx.request.set_header("X-Auth-User", "alice")


class Auth(PhaseHandler):
    """Decides at once; has a logging phase, so that sessions outlive their first answer."""

    def request_filter(self, ctx: RequestFilterContext) -> None:
        allowed(ctx)

    def logging(self, ctx: LoggingContext) -> None:
        """Nothing to tell."""


class Nap(PhaseHandler):
    """Decides after 50 ms, in which its thread does nothing else."""

    def request_filter(self, ctx: RequestFilterContext) -> None:
        time.sleep(0.05)
        allowed(ctx)


def make(servers: str | None = None, group: str | None = None) -> Plugin:
    """One worker's plugin."""
    made = Plugin(servers, group, max_threads=2, drain_timeout=5.0)
    made.handler("auth")(Auth)
    made.handler("nap")(Nap)
    return made


plugin = make()


def say(**values: Any) -> None:
    """Answer a wish."""
    print(json.dumps(values), flush=True)


async def host(servers: str, group: str, count: int) -> None:
    """Serve until standard input ends."""
    crowd: list[Plugin] = []

    async def join() -> None:
        one = make(servers, group)
        await one.start()
        crowd.append(one)
        while one.running is not None and not one.running.worker.ready:  # noqa: ASYNC110 - a worker tells nobody
            await asyncio.sleep(0.01)

    await asyncio.gather(*(join() for _ in range(count)))
    say(workers=len(crowd))
    while wish := (await asyncio.to_thread(sys.stdin.readline)).strip():
        match wish:
            case "join":
                await join()
                say(workers=len(crowd))
            case "leave":
                await crowd.pop(0).close()
                say(workers=len(crowd))
            case _:
                stats = [one.running.worker.stats() for one in crowd if one.running is not None]
                say(workers=len(crowd), sessions=sum(one["sessions"] for one in stats))
    await asyncio.gather(*(one.close() for one in crowd))


if __name__ == "__main__":
    asyncio.run(host(sys.argv[1], sys.argv[2], int(sys.argv[3])))
