"""Notes on the answer which path was asked for, in the gateway's own process."""

from typing import cast

from nylon import PhaseHandler, Plugin, RequestFilterContext, ResponseFilterContext

plugin = Plugin()


@plugin.handler("stamp")
class Stamp(PhaseHandler):
    """One object sees a request through both phases."""

    path = ""

    def request_filter(self, ctx: RequestFilterContext) -> None:
        self.path = cast("dict[str, str]", ctx.payload)["path"]
        ctx.request.set_header("X-Stamped", "yes")

    def response_filter(self, ctx: ResponseFilterContext) -> None:
        ctx.response.set_header("X-Path", self.path)
