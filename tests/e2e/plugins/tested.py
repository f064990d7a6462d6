"""The plugin of the end-to-end tests: what each request does is asked for by its headers.

`x-do` on a request (several, comma separated) runs these in the request filter of `filter`.
"""

import asyncio
import hashlib
import json
import os
import threading
import time
from typing import Any

from nylon import (
    HttpError,
    LoggingContext,
    PhaseHandler,
    Plugin,
    RequestFilterContext,
    ResponseBodyFilterContext,
    ResponseFilterContext,
)

plugin = Plugin()


def note(**values: Any) -> None:
    """A line in the worker's output that tests look for."""
    # with its end in one piece: another thread may write, too
    print("NOTE " + json.dumps(values) + "\n", end="", flush=True)


@plugin.handler("auth")
class Auth(PhaseHandler):
    """`Authorization: Bearer secret` passes."""

    def request_filter(self, ctx: RequestFilterContext) -> None:
        if ctx.request.header("authorization") != "Bearer secret":
            raise HttpError(401, "unauthorized", headers={"WWW-Authenticate": "Bearer"})
        ctx.request.set_header("X-Auth-User", "alice")


@plugin.handler("auth_async")
class AuthAsync(PhaseHandler):
    """The same, as a coroutine."""

    async def request_filter(self, ctx: RequestFilterContext) -> None:
        if ctx.request.header("authorization") != "Bearer secret":
            raise HttpError(401, "unauthorized", headers={"WWW-Authenticate": "Bearer"})
        ctx.request.set_header("X-Auth-User", "alice")


@plugin.handler("service")
class Service(PhaseHandler):
    """A plugin service."""

    def request_filter(self, ctx: RequestFilterContext) -> None:
        behave(ctx.request.header("x-service") or "", "service", ctx)
        ctx.response.body_json({"pid": os.getpid(), "path": ctx.request.path})
        return ctx.end()


def behave(what: str, where: str, ctx: Any) -> None:
    """Misbehave in the phase `where` when the header asks for `where=what`."""
    match what:
        case "raise":
            raise RuntimeError(f"asked to raise in {where}")
        case "exit":
            raise SystemExit(3)
        case "kill":
            os.kill(os.getpid(), 9)
        case "hang":
            note(hanging=where, id=ctx.request.header("x-id"))
            end = time.monotonic() + 30
            while not ctx.cancelled and time.monotonic() < end:
                threading.Event().wait(0.01)
            note(hung=where, cancelled=ctx.cancelled, id=ctx.request.header("x-id"))
        case "deaf":
            threading.Event().wait(3)
        case "bad_status":
            ctx.response.set_status(99)
        case "bad_header":
            ctx.response.set_header("x-bad", "a\r\nInjected: yes")
        case _:
            pass


@plugin.handler("filter")
class Filter(PhaseHandler):
    """All four phases; `x-rf`, `x-pf`, `x-bf` and `x-lf` say what to do in which."""

    def __init__(self) -> None:
        self.trail: list[str] = []

    def request_filter(self, ctx: RequestFilterContext) -> None:
        self.trail.append("request")
        behave(ctx.request.header("x-rf") or "", "request_filter", ctx)
        ctx.request.set_header("X-From-Plugin", "yes")
        if ctx.request.header("x-end"):
            ctx.response.set_status(int(ctx.request.header("x-end") or "200")).body_text("ended")
            return ctx.end()
        return None

    def response_filter(self, ctx: ResponseFilterContext) -> None:
        self.trail.append("response")
        behave(ctx.request.header("x-pf") or "", "response_filter", ctx)
        ctx.response.set_header("X-Trail", ",".join(self.trail))
        ctx.response.set_header("X-Seen-Status", str(ctx.response.status))

    def response_body_filter(self, ctx: ResponseBodyFilterContext) -> None:
        self.trail.append("body")
        behave(ctx.request.header("x-bf") or "", "response_body_filter", ctx)
        if ctx.request.header("x-upper"):
            ctx.response.body_raw(ctx.response.read_body().upper())

    def logging(self, ctx: LoggingContext) -> None:
        self.trail.append("logging")
        behave(ctx.request.header("x-lf") or "", "logging", ctx)
        note(
            trail=self.trail,
            id=ctx.request.header("x-id"),
            status=ctx.response.status,
            bytes=ctx.response.bytes_sent,
            error=ctx.response.error,
        )


@plugin.handler("slow")
class Slow(PhaseHandler):
    """Awaits for `x-ms` milliseconds and says whether it was cancelled."""

    async def request_filter(self, ctx: RequestFilterContext) -> None:
        note(slow=ctx.request.header("x-id"))
        try:
            await asyncio.sleep(int(ctx.request.header("x-ms") or "0") / 1000)
        except asyncio.CancelledError:
            note(cancelled=ctx.request.header("x-id"), at=time.monotonic())
            raise
        ctx.request.set_header("X-Auth-User", "slow")


@plugin.handler("digest")
class Digest(PhaseHandler):
    """Reads the request body and passes its digest on."""

    def request_filter(self, ctx: RequestFilterContext) -> None:
        ctx.request.set_header("X-Digest", hashlib.sha256(ctx.request.body()).hexdigest())


@plugin.handler("reader")
class Reader(PhaseHandler):
    """Reads the request body, and notes what keeps it from that and what came of the request."""

    def request_filter(self, ctx: RequestFilterContext) -> None:
        note(reads=ctx.request.header("x-id"))
        try:
            ctx.request.body()
        except Exception as error:
            note(unread=type(error).__name__, id=ctx.request.header("x-id"))
            raise

    def logging(self, ctx: LoggingContext) -> None:
        note(trail=["logging"], id=ctx.request.header("x-id"), status=ctx.response.status, error=ctx.response.error)


@plugin.handler("digest_async")
class DigestAsync(PhaseHandler):
    """The same, as a coroutine."""

    async def request_filter(self, ctx: RequestFilterContext) -> None:
        ctx.request.set_header("X-Digest", hashlib.sha256(await ctx.request.body()).hexdigest())


@plugin.handler("big")
class Big(PhaseHandler):
    """Answers with `x-size` bytes of its own."""

    def request_filter(self, ctx: RequestFilterContext) -> None:
        ctx.response.body_raw(b"0123456789" * (int(ctx.request.header("x-size") or "0") // 10))
        return ctx.end()


@plugin.handler("answers")
class Answers(PhaseHandler):
    """Each kind of answer by path."""

    def request_filter(self, ctx: RequestFilterContext) -> None:
        match ctx.request.path:
            case "/redirect":
                ctx.response.redirect("/elsewhere", 307)
            case "/html":
                ctx.response.body_html("<p>hello</p>")
            case "/json":
                ctx.response.body_json({"payload": ctx.payload, "query": ctx.request.query})
            case "/cookies":
                ctx.response.add_header("Set-Cookie", "a=1").add_header("Set-Cookie", "b=2").body_text("")
            case _:
                ctx.response.set_header("X-One", "1").set_header("x-one", "2").remove_header("X-Two")
                ctx.response.set_header("Content-Length", "3").set_header("Connection", "close")
        return ctx.end()


@plugin.handler("decorate")
class Decorate(PhaseHandler):
    """A response filter and nothing else."""

    def response_filter(self, ctx: ResponseFilterContext) -> None:
        ctx.response.set_header("X-Decorated", "yes")
        behave(ctx.request.header("x-pf") or "", "response_filter", ctx)
