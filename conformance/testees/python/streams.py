"""Bodies that a testee sends and reads as they come. One set of words for threads and for coroutines."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Coroutine
from typing import Any

from words import Step, note

from nylon import BodyReader, LoggingContext, PhaseHandler, ResponseBodyFilterContext, ResponseStream


def at_once(work: Coroutine[Any, Any, None]) -> None:
    """Run in a thread what waits for nothing but by blocking."""
    try:
        work.send(None)
    except StopIteration:
        return
    raise RuntimeError("a handler in a thread has awaited something")


async def done(value: Any) -> Any:
    """What a call has given, in a thread and in a coroutine."""
    return await value if hasattr(value, "__await__") else value


async def pieces(body: BodyReader, *, plain: bool) -> AsyncIterator[bytes]:
    """The pieces of a body."""
    if plain:
        for piece in body:
            yield piece
    else:
        async for piece in body:
            yield piece


async def wait(ctx: Any, milliseconds: int, *, plain: bool) -> None:
    """Wait so long, or until the handler is cancelled."""
    if not plain:
        await asyncio.sleep(milliseconds / 1000)
        return
    end = time.monotonic() + milliseconds / 1000
    while time.monotonic() < end and not ctx.cancelled:
        threading.Event().wait(0.005)


async def stream(ctx: Any, step: Step, *, plain: bool) -> None:
    """`{"do": "stream", "steps": […]}`.

    With `"leave": true` nobody ends it, with `"try": true` what is raised is noted.
    """
    out = ctx.response.stream()
    try:
        if step.get("leave"):
            _ = out.__enter__() if plain else await out.__aenter__()
            await play(ctx, out, step["steps"], None, plain=plain)
        elif plain:
            with out:
                await play(ctx, out, step["steps"], None, plain=plain)
        else:
            async with out:
                await play(ctx, out, step["steps"], None, plain=plain)
    except Exception as error:
        if not step.get("try"):
            raise
        note(ctx, {}, raised=type(error).__name__)


async def play(ctx: Any, out: ResponseStream, steps: list[Step], body: BodyReader | None, *, plain: bool) -> None:
    """What a handler does while it streams."""
    for step in steps:
        match step["do"]:
            case "write":
                data = step.get("text", "").encode() or b"0123456789abcdef" * (step.get("size", 0) // 16)
                try:
                    for _ in range(step.get("times", 1)):
                        await done(out.write(data))
                except BaseException as error:
                    note(ctx, {}, raised=type(error).__name__)
                    raise
            case "echo":
                async for piece in pieces(body or ctx.request.stream(), plain=plain):
                    await done(out.write(piece.upper()))
            case "end_stream":
                await done(out.end())
            case "wait":
                await wait(ctx, step["ms"], plain=plain)
                note(ctx, {}, waited=step["ms"], cancelled=ctx.cancelled)
            case "note":
                note(ctx, step)
            case "raise":
                raise RuntimeError("asked to raise")
            case _:
                raise ValueError(f"nobody knows {step}")


async def take(ctx: Any, step: Step, *, plain: bool) -> None:
    """`{"do": "take", "after_ms": …}`: ask for the request body, wait so long, take all of it and tell its length."""
    body, total = ctx.request.stream(), 0
    await wait(ctx, step.get("after_ms", 0), plain=plain)
    try:
        async for piece in pieces(body, plain=plain):
            total += len(piece)
    except Exception as error:
        note(ctx, {}, raised=type(error).__name__, total=total)
        raise
    ctx.response.set_header("x-total", json.dumps(total))


class Filter(PhaseHandler):
    """A body filter that streams, and logging."""

    def response_body_stream(self, ctx: ResponseBodyFilterContext, body: BodyReader, out: ResponseStream) -> None:
        """As the payload says."""
        at_once(play(ctx, out, ctx.payload.get(ctx.phase, []), body, plain=True))

    def logging(self, ctx: LoggingContext) -> None:
        """Tell that it ran."""
        note(ctx, {"what": ["status"]})


class FilterAsync(PhaseHandler):
    """The same, as coroutines."""

    async def response_body_stream(self, ctx: ResponseBodyFilterContext, body: BodyReader, out: ResponseStream) -> None:
        """As the payload says."""
        await play(ctx, out, ctx.payload.get(ctx.phase, []), body, plain=False)

    async def logging(self, ctx: LoggingContext) -> None:
        """Tell that it ran."""
        note(ctx, {"what": ["status"]})
