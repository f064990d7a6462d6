"""The plugin of the tests about WebSockets: each entry does with its sockets what its name says."""

import asyncio
import os

from logged import Logged, note

from nylon import (
    ClientGoneError,
    HttpError,
    NotWebSocketError,
    PhaseHandler,
    Plugin,
    PluginError,
    RequestFilterContext,
    WebSocket,
)

plugin = Plugin(drain_timeout=4.0)


@plugin.handler("echo")
class Echo(Logged):
    """Says what it hears, and does what some words ask for."""

    awake = asyncio.Event()

    async def request_filter(self, ctx: RequestFilterContext) -> None:
        identity = ctx.request.header("x-id")
        ctx.response.set_header("X-Entry", "echo")
        try:
            ws = await ctx.websocket_upgrade(
                subprotocols=["chat.v2", "chat.v1"], max_message_bytes=int(ctx.request.header("x-limit") or 1 << 20)
            )
        except NotWebSocketError as error:
            ctx.response.set_status(426).body_text(str(error))
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
                case "refuse":
                    raise HttpError(403, "asked to refuse")
                case "close":
                    await ws.close(4001, "asked to close")
                case "kill":
                    os.kill(os.getpid(), 9)
                case "sleep":
                    note(sleeps=True)
                    await self.awake.wait()
                case "wake":
                    self.awake.set()
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


@plugin.handler("called")
class Called(Logged):
    """Callbacks; each notes that it was called."""

    async def request_filter(self, ctx: RequestFilterContext) -> None:
        identity = ctx.request.header("x-id")

        async def on_open(ws: WebSocket) -> None:
            note(id=identity, on="open")
            await asyncio.sleep(0.01)  # a message must wait for its end
            note(id=identity, on="opened")
            await ws.join("hall")

        async def on_text(ws: WebSocket, text: str) -> None:
            note(id=identity, on="text", text=text)
            if text == "raise":
                raise RuntimeError("asked to raise")
            if text == "close":
                await ws.close()
            await ws.broadcast("hall", f"{identity}: {text}")

        def on_binary(ws: WebSocket, data: bytes) -> None:
            note(id=identity, on="binary", length=len(data))

        async def on_close(ws: WebSocket) -> None:
            note(id=identity, on="close", code=ws.close_code)
            await ws.leave("hall")
            await ws.broadcast("hall", f"{identity} has left")

        def on_error(ws: WebSocket, error: str) -> None:
            note(id=identity, on="error", error=error)

        await ctx.websocket_upgrade(
            on_open=on_open,
            on_message_text=on_text,
            on_message_binary=on_binary,
            on_close=on_close,
            on_error=on_error,
        )


@plugin.handler("called_plain")
class CalledPlain(Logged):
    """Callbacks of a `def` handler."""

    def request_filter(self, ctx: RequestFilterContext) -> None:
        identity = ctx.request.header("x-id")

        def on_text(ws: WebSocket, text: str) -> None:
            ws.send(text)

        def on_close(ws: WebSocket) -> None:
            note(id=identity, on="close", code=ws.close_code)

        ctx.websocket_upgrade(on_message_text=on_text, on_close=on_close)


@plugin.handler("late")
class Late(Logged):
    """Sends when the socket is closed: by the client, or by itself if it was asked to."""

    async def request_filter(self, ctx: RequestFilterContext) -> None:
        ws = await ctx.websocket_upgrade()
        if await ws.receive() == "close":
            await ws.close()
        while await ws.receive() is not None:
            pass
        try:
            await ws.send("too late")
        except PluginError as error:
            note(id=ctx.request.header("x-id"), raised=type(error).__name__)


@plugin.handler("impatient")
class Impatient(Logged):
    """Waits for each message in steps of a millisecond."""

    async def request_filter(self, ctx: RequestFilterContext) -> None:
        ws = await ctx.websocket_upgrade()
        while True:
            try:
                message = await asyncio.wait_for(ws.receive(), 0.001)
            except TimeoutError:
                note(impatient=True)
                continue
            if message is None:
                return
            await ws.send(message)


@plugin.handler("rooms")
class Rooms(Logged):
    """`join x`, `leave x`, `say x y`, `bytes x n`, `many x n`; what is done is answered by `done`."""

    async def request_filter(self, ctx: RequestFilterContext) -> None:
        async with await ctx.websocket_upgrade() as ws:
            async for message in ws:
                match str(message).split(" ", 2):
                    case ["join", room]:
                        await ws.join(room)
                    case ["leave", room]:
                        await ws.leave(room)
                    case ["say", room, text]:
                        await ws.broadcast(room, text)
                    case ["bytes", room, count]:
                        await ws.broadcast_binary(room, b"x" * int(count))
                    case ["many", room, count]:
                        for number in range(int(count)):
                            await ws.broadcast_text(room, str(number))
                    case words:
                        raise ValueError(f"what is {words}?")
                await ws.send("done")
