"""The plugins of the chaos run: who has no token is refused, who has one is marked with the id of the request."""

import asyncio
import hashlib
import hmac

from nylon import HttpError, LoggingContext, PhaseHandler, Plugin, RequestFilterContext, ResponseBodyFilterContext

SECRET = b"what only the plugin knows"
plugin = Plugin()


def mark(number: str) -> str:
    """What proves to the upstream that the plugin has seen the request."""
    return hmac.new(SECRET, number.encode(), hashlib.sha256).hexdigest()


@plugin.handler("auth")
class Auth(PhaseHandler):
    """A `def` handler with a logging phase, so that sessions live beyond the answer."""

    def request_filter(self, ctx: RequestFilterContext) -> None:
        if ctx.request.header("authorization") != "Bearer secret":
            raise HttpError(401, "unauthorized")
        ctx.request.set_header("X-Mark", mark(ctx.request.header("x-id") or ""))

    def logging(self, ctx: LoggingContext) -> None:
        assert ctx.response.status


@plugin.handler("slow_auth")
class SlowAuth(PhaseHandler):
    """The same as a coroutine that takes its time, and reads the body."""

    async def request_filter(self, ctx: RequestFilterContext) -> None:
        body = await ctx.request.body()
        await asyncio.sleep(0.02)
        if ctx.request.header("authorization") != "Bearer secret":
            raise HttpError(401, "unauthorized")
        ctx.request.set_header("X-Digest", hashlib.sha256(body).hexdigest())
        ctx.request.set_header("X-Mark", mark(ctx.request.header("x-id") or ""))


@plugin.handler("swap")
class Swap(PhaseHandler):
    """A buffered body filter whose result can be told from the upstream's body."""

    async def response_body_filter(self, ctx: ResponseBodyFilterContext) -> None:
        body = await ctx.response.read_body()
        ctx.response.body_raw(body[::-1])
