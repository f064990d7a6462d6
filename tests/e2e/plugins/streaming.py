"""The plugin of the tests about streams: each entry answers, reads or filters piece by piece."""

import asyncio
import hashlib
import time
from collections.abc import Generator
from contextlib import contextmanager

from logged import Logged, note

from nylon import (
    BodyReader,
    ClientGoneError,
    PhaseHandler,
    Plugin,
    PluginError,
    RequestFilterContext,
    ResponseBodyFilterContext,
    ResponseFilterContext,
    ResponseStream,
)

plugin = Plugin(drain_timeout=1.0)


@plugin.handler("service")
class Service(Logged):
    """Streams as `x-do` asks: `count` pieces, then what is in `then`."""

    async def request_filter(self, ctx: RequestFilterContext) -> None:
        count = int(ctx.request.header("x-count") or "3")
        size = int(ctx.request.header("x-size") or "0")
        then = ctx.request.header("x-then") or ""
        identity = ctx.request.header("x-id")
        ctx.response.set_status(203).set_header("Content-Type", "text/event-stream").set_header("X-Streamed", "yes")
        if then == "raise_before":
            raise RuntimeError("asked to raise before the stream")
        sent = 0
        try:
            async with ctx.response.stream() as stream:
                if then == "raise_first":
                    raise RuntimeError("asked to raise before the first byte")
                for number in range(count):
                    piece = b"x" * size if size else b"data: %d\n\n" % number
                    await stream.write(piece)
                    sent += len(piece)
                    note(id=identity, sent=sent) if size else None
                match then:
                    case "raise":
                        raise RuntimeError("asked to raise")
                    case "wait":
                        note(id=identity, waits=True)
                        await asyncio.sleep(3600)
                    case "forever":
                        note(id=identity, waits=True)
                        while True:
                            await stream.write(b"data: more\n\n")
                            await asyncio.sleep(0.02)  # a stream that is never over
                    case _:
                        pass
        except ClientGoneError:
            note(id=identity, gone="write", sent=sent)
            raise
        except asyncio.CancelledError:
            note(id=identity, gone="cancelled", sent=sent)
            raise
        try:
            await stream.write(b"after the end")
        except PluginError as error:
            note(id=identity, after=type(error).__name__)


@plugin.handler("plain")
class Plain(Logged):
    """The same as plain code."""

    def request_filter(self, ctx: RequestFilterContext) -> None:
        identity = ctx.request.header("x-id")
        size = int(ctx.request.header("x-size") or "0")
        ctx.response.set_header("Content-Type", "text/plain")
        try:
            with ctx.response.stream() as stream:
                for number in range(int(ctx.request.header("x-count") or "3")):
                    stream.write(b"x" * size if size else f"line {number}\n")
        except ClientGoneError:
            note(id=identity, gone="write", cancelled=ctx.cancelled)
            raise


@plugin.handler("echo")
class Echo(Logged):
    """Answers with the body of the request, piece by piece."""

    async def request_filter(self, ctx: RequestFilterContext) -> None:
        note(id=ctx.request.header("x-id"), reads=True)
        try:
            async with ctx.response.stream() as stream:
                async for piece in ctx.request.stream():
                    await stream.write(piece)
        except Exception as error:
            note(id=ctx.request.header("x-id"), broken=type(error).__name__)
            raise


@plugin.handler("impatient")
class Impatient(Logged):
    """Gives up its waits for an upload, and does something else in between."""

    async def request_filter(self, ctx: RequestFilterContext) -> None:
        body, whole = ctx.request.stream(), b""
        while True:
            try:
                async with asyncio.timeout(0.01):
                    piece = await body.read(1000)
            except TimeoutError:
                note(id=ctx.request.header("x-id"), waits=len(whole))
                await asyncio.sleep(0.2)  # what it does instead
                continue
            if not piece:
                break
            whole += piece
        ctx.response.body_raw(whole)
        ctx.end()


@plugin.handler("digest")
class Digest(PhaseHandler):
    """Reads an upload of any length, before it answers."""

    def request_filter(self, ctx: RequestFilterContext) -> None:
        if ctx.request.header("x-whole"):
            ctx.request.body()
        digest, total, body = hashlib.sha256(), 0, ctx.request.stream()
        while piece := body.read(10_000):
            assert len(piece) <= 10_000
            digest.update(piece)
            total += len(piece)
        ctx.response.body_json({"sha256": digest.hexdigest(), "bytes": total})
        if not ctx.request.header("x-next"):
            ctx.end()


@contextmanager
def ends_noted(identity: str | None) -> Generator[None]:
    """Notes how the reading of a body comes to its end."""
    try:
        yield
    except BaseException as error:
        note(id=identity, broken=type(error).__name__)
        raise
    note(id=identity, whole=True)


@plugin.handler("upload")
class Upload(PhaseHandler):
    """Counts an upload piece by piece, and hangs where `x-hang` says: before it, behind its first piece or its last."""

    def request_filter(self, ctx: RequestFilterContext) -> None:
        hang, identity, total = ctx.request.header("x-hang"), ctx.request.header("x-id"), 0

        def at(place: str) -> None:
            if hang == place:
                while not ctx.cancelled:
                    time.sleep(0.005)  # a handler that hangs
                note(id=identity, cancelled=True)

        at("before")
        with ends_noted(identity):
            for piece in ctx.request.stream():
                note(id=identity, piece=len(piece))
                total += len(piece)
                at("first")
        at("last")
        ctx.response.body_json({"bytes": total})
        ctx.end()


@plugin.handler("upload_async")
class UploadAsync(PhaseHandler):
    """The same as a coroutine."""

    async def request_filter(self, ctx: RequestFilterContext) -> None:
        hang, identity, total = ctx.request.header("x-hang"), ctx.request.header("x-id"), 0

        async def at(place: str) -> None:
            if hang == place:
                try:
                    await asyncio.sleep(3600)
                finally:
                    note(id=identity, cancelled=True)

        await at("before")
        with ends_noted(identity):
            async for piece in ctx.request.stream():
                note(id=identity, piece=len(piece))
                total += len(piece)
                await at("first")
        await at("last")
        ctx.response.body_json({"bytes": total})
        ctx.end()


@plugin.handler("upper")
class Upper(Logged):
    """A body filter that works piece by piece."""

    async def response_body_stream(self, ctx: ResponseBodyFilterContext, body: BodyReader, out: ResponseStream) -> None:
        note(filters=ctx.request.header("x-id"))
        seen = 0
        async for piece in body:
            await out.write(bytes(piece).upper())
            seen += len(piece)
            if (limit := ctx.request.header("x-fail-after")) and seen >= int(limit):
                raise RuntimeError("asked to fail")


@plugin.handler("exclaim")
class Exclaim(PhaseHandler):
    """The same as plain code; adds a mark at the end."""

    def response_body_stream(self, ctx: ResponseBodyFilterContext, body: BodyReader, out: ResponseStream) -> None:
        for piece in body:
            out.write(piece)
        out.write(b"!")


@plugin.handler("buffered")
class Buffered(Logged):
    """Sees whole bodies only."""

    def response_filter(self, ctx: ResponseFilterContext) -> None:
        ctx.response.set_header("X-Filtered", "yes")

    def response_body_filter(self, ctx: ResponseBodyFilterContext) -> None:
        ctx.response.body_raw(b"[" + ctx.response.read_body() + b"]")


@plugin.handler("misplaced")
class Misplaced(PhaseHandler):
    """Wants to stream where that cannot be."""

    async def response_filter(self, ctx: ResponseFilterContext) -> None:
        try:
            async with ctx.response.stream():
                pass
        except PluginError as error:
            ctx.response.set_header("X-Error", type(error).__name__)
