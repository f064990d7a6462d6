"""Writes every text in capitals, in workers on NATS."""

from nylon import PhaseHandler, Plugin, RequestFilterContext, ResponseBodyFilterContext

plugin = Plugin()


@plugin.handler("shout")
class Shout(PhaseHandler):
    def response_body_filter(self, ctx: ResponseBodyFilterContext) -> None:
        ctx.response.body_raw(ctx.response.read_body().upper())


@plugin.handler("hello")
class Hello(PhaseHandler):
    def request_filter(self, ctx: RequestFilterContext) -> None:
        ctx.response.body_text(
            f"hello {ctx.request.header('X-Auth-User')}, stamped: {ctx.request.header('X-Stamped')}\n"
        )
