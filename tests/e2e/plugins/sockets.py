"""The plugin of the tests about WebSockets: each entry does with its sockets what its name says."""

import asyncio
import json
import os
from typing import Any

from nylon import (
    ClientGoneError,
    HttpError,
    LoggingContext,
    NotWebSocketError,
    PhaseHandler,
    Plugin,
    PluginError,
    RequestFilterContext,
    WebSocket,
)

plugin = Plugin(drain_timeout=4.0)


def note(**values: Any) -> None:
    """A line in the worker's output that tests look for."""
    print("NOTE " + json.dumps(values) + "\n", end="", flush=True)


class Logged(PhaseHandler):
    """Notes what came of each request."""

    def logging(self, ctx: LoggingContext) -> None:
        note(
            logged=ctx.request.header("x-id"),
            status=ctx.response.status,
            bytes=ctx.response.bytes_sent,
            error=ctx.response.error,
        )


@plugin.handler("echo")
class Echo(Logged):
    """Says what it hears, and does what some words ask for."""

    async def request_filter(self, ctx: RequestFilterContext) -> None:
        identity = ctx.request.header("x-id")
        ctx.response.set_header("X-Entry", "echo")
        try:
            ws = await ctx.websocket_upgrade(
                subprotocols=["chat.v2", "chat.v1"], max_message_bytes=int(ctx.request.header("x-limit") or 1 << 20)
            )
        except NotWebSocketError as error:
            ctx.response.set_status(426).set_header("Upgrade", "websocket").body_text(str(error))
            ctx.end()
            return
        note(id=identity, open=True, subprotocol=ws.subprotocol)
        try:
            await self.converse(ws)
        except ClientGoneError:
            note(id=identity, gone=True)
        except asyncio.CancelledError:
            note(id=identity, cancelled=True)
            raise
        finally:
            note(id=identity, over=True, code=ws.close_code, reason=ws.close_reason, error=ws.error)

    async def converse(self, ws: WebSocket) -> None:
        async for message in ws:
            match message:
                case "leave":
                    return
                case "raise":
                    raise RuntimeError("asked to raise")
                case "close":
                    await ws.close(4001, "asked to close")
                case "kill":
                    os.kill(os.getpid(), 9)
                case "sleep":
                    note(sleeps=True)
                    await asyncio.sleep(3600)
                case "flood":
                    sent = 0
                    while True:
                        await ws.send_binary(b"x" * 10_000)
                        sent += 10_000
                        note(sent=sent)
                case _:
                    await ws.send(message)


@plugin.handler("plain")
class Plain(Logged):
    """The same in a `def` handler: a thread per socket."""

    def request_filter(self, ctx: RequestFilterContext) -> None:
        with ctx.websocket_upgrade() as ws:
            for message in ws:
                if message == "leave":
                    return
                ws.send(message)


@plugin.handler("auth")
class Auth(PhaseHandler):
    """Stands before the others."""

    def request_filter(self, ctx: RequestFilterContext) -> None:
        if ctx.request.header("authorization") != "Bearer secret":
            raise HttpError(401)


@plugin.handler("careless")
class Careless(PhaseHandler):
    """Has no answer for a request that is no handshake."""

    async def request_filter(self, ctx: RequestFilterContext) -> None:
        await ctx.websocket_upgrade()


@plugin.handler("twice")
class Twice(PhaseHandler):
    """Upgrades a second time."""

    async def request_filter(self, ctx: RequestFilterContext) -> None:
        ws = await ctx.websocket_upgrade()
        try:
            await ctx.websocket_upgrade()
        except PluginError as error:
            await ws.send(str(error))
