"""Plugins that stream, for the scenarios."""

import asyncio
import os
import time
from pathlib import Path

from nylon import BodyReader, PhaseHandler, Plugin, RequestFilterContext, ResponseBodyFilterContext, ResponseStream

plugin = Plugin(max_sessions=4096)
written = 0


@plugin.handler("events")
class Events(PhaseHandler):
    """Ten events a second, each with its number and the moment it was due."""

    async def request_filter(self, ctx: RequestFilterContext) -> None:
        seconds = float(ctx.request.query_params.get("seconds", "10"))
        ctx.response.set_header("Content-Type", "text/event-stream")
        async with ctx.response.stream() as stream:
            begun = time.monotonic()
            for number in range(int(seconds * 10)):
                due = begun + number / 10
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                await stream.write(f"data: {number} {due:.6f}\n\n")


@plugin.handler("flood")
class Flood(PhaseHandler):
    """Writes for ever; how much is in a file."""

    async def request_filter(self, ctx: RequestFilterContext) -> None:
        global written  # noqa: PLW0603 (what this process has written)
        piece = bytes(4096)
        async with ctx.response.stream() as stream:
            while True:
                await stream.write(piece)
                written += len(piece)
                await asyncio.sleep(0)
                if written % (1 << 20) == 0:
                    note()


def note() -> None:
    Path(os.environ["BENCH_COUNTERS"], "written").write_text(str(written))


@plugin.handler("filter")
class Filter(PhaseHandler):
    """Passes a body on, piece by piece."""

    async def response_body_stream(self, ctx: ResponseBodyFilterContext, body: BodyReader, out: ResponseStream) -> None:
        async for piece in body:
            await out.write(piece)
