"""A chat: everybody in a room hears what anybody says, whichever worker and gateway serves him.

`nylon run -c nylon.yaml` in this directory, then open http://127.0.0.1:8080/ twice.
"""

from pathlib import Path

from nylon import HttpError, NotWebSocketError, PhaseHandler, Plugin, RequestFilterContext

plugin = Plugin()


@plugin.handler("page")
class Page(PhaseHandler):
    """`GET /`: a page that talks."""

    def request_filter(self, ctx: RequestFilterContext) -> None:
        ctx.response.body_html((Path(__file__).parent / "index.html").read_text())
        ctx.end()


@plugin.handler("talk")
class Talk(PhaseHandler):
    """`/rooms/{room}?name=…`: a WebSocket in that room."""

    async def request_filter(self, ctx: RequestFilterContext) -> None:
        room = ctx.request.params["room"]
        name = ctx.request.query_params.get("name") or "somebody"
        try:
            ws = await ctx.websocket_upgrade(max_message_bytes=4096)
        except NotWebSocketError as error:
            raise HttpError(426, "this is a WebSocket") from error
        await ws.join(room)
        await ws.broadcast(room, f"{name} is here")
        async for message in ws:
            if isinstance(message, bytes):
                await ws.close(1003, "text only")
            else:
                await ws.broadcast(room, f"{name}: {message}")
        # The socket is closed and has left; the room can still be told.
        await ws.broadcast(room, f"{name} has left")
