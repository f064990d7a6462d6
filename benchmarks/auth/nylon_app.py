"""The auth rule as a Nylon plugin, twice (`def` and `async def`), and an entry that answers by itself."""

from nylon import HttpError, PhaseHandler, Plugin, RequestFilterContext

plugin = Plugin()
TOKEN = "Bearer secret"


@plugin.handler("auth")
class Auth(PhaseHandler):
    """As anyone would write it."""

    def request_filter(self, ctx: RequestFilterContext) -> None:
        if ctx.request.header("Authorization") != TOKEN:
            raise HttpError(401, "unauthorized")
        ctx.request.set_header("X-Auth-User", "alice")


@plugin.handler("auth_async")
class AuthAsync(PhaseHandler):
    """The same as a coroutine, which runs as a task."""

    async def request_filter(self, ctx: RequestFilterContext) -> None:
        if ctx.request.header("Authorization") != TOKEN:
            raise HttpError(401, "unauthorized")
        ctx.request.set_header("X-Auth-User", "alice")


@plugin.handler("hello")
class Hello(PhaseHandler):
    """A plugin service: no upstream."""

    def request_filter(self, ctx: RequestFilterContext) -> object:
        ctx.response.body_text("hello from the plugin!!\n")
        return ctx.end()
