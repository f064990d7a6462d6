"""Handlers as people write them, for the training of an optimised build."""

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


@plugin.handler("auth")
class Auth(PhaseHandler):
    def request_filter(self, ctx: RequestFilterContext) -> None:
        if ctx.request.header("Authorization") != "Bearer secret":
            raise HttpError(401, "unauthorized")
        ctx.request.set_header("X-Auth-User", "alice")


@plugin.handler("auth_async")
class AuthAsync(PhaseHandler):
    async def request_filter(self, ctx: RequestFilterContext) -> None:
        if ctx.request.header("Authorization") != "Bearer secret":
            raise HttpError(401, "unauthorized")
        ctx.request.set_header("X-Auth-User", "alice")


@plugin.handler("hello")
class Hello(PhaseHandler):
    def request_filter(self, ctx: RequestFilterContext) -> None:
        ctx.response.body_text(f"hello from {ctx.request.path}\n")
        ctx.end()


@plugin.handler("filters")
class Filters(PhaseHandler):
    """All four phases."""

    def request_filter(self, ctx: RequestFilterContext) -> None:
        ctx.request.set_header("X-Seen", ctx.request.client_ip)

    def response_filter(self, ctx: ResponseFilterContext) -> None:
        ctx.response.set_header("X-Status", str(ctx.response.status))

    def response_body_filter(self, ctx: ResponseBodyFilterContext) -> None:
        ctx.response.body_raw(ctx.response.read_body().replace(b"upstream", b"filtered"))

    def logging(self, ctx: LoggingContext) -> None:
        _ = ctx.response.duration
