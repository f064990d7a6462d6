"""The plugin of the quickstart: who may pass, and a page of its own."""

import hmac
from dataclasses import dataclass, field

from nylon import HttpError, PhaseHandler, Plugin, RequestFilterContext


@dataclass
class Config:
    tokens: dict[str, str] = field(default_factory=dict[str, str])  # token -> user


plugin = Plugin()
config = Config()


@plugin.on_initialize
def load(new: Config) -> None:
    global config  # noqa: PLW0603 (one configuration per process, replaced as a whole)
    config = new


@plugin.handler("auth")
class Auth(PhaseHandler):
    """`Authorization: Bearer <token>` passes, and the upstream is told who it was."""

    def request_filter(self, ctx: RequestFilterContext) -> None:
        _, _, given = (ctx.request.header("Authorization") or "").partition("Bearer ")
        for token, user in config.tokens.items():
            if hmac.compare_digest(token.encode(), given.encode()):
                ctx.request.set_header("X-Auth-User", user)
                return
        raise HttpError(401, "unauthorized", headers={"WWW-Authenticate": "Bearer"})


@plugin.handler("hello")
class Hello(PhaseHandler):
    """A path that the plugin answers itself."""

    def request_filter(self, ctx: RequestFilterContext) -> None:
        ctx.response.body_json({"hello": ctx.request.params["name"]})
        return ctx.end()
