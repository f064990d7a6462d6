"""Plugins that hold WebSockets, for the scenarios."""

from nylon import PhaseHandler, Plugin, RequestFilterContext

plugin = Plugin(max_sessions=16384)


@plugin.handler("echo")
class Echo(PhaseHandler):
    """Says what it hears."""

    async def request_filter(self, ctx: RequestFilterContext) -> None:
        ws = await ctx.websocket_upgrade()
        async for message in ws:
            await ws.send(message)


@plugin.handler("room")
class Room(PhaseHandler):
    """Tells all members what one of them says; `in` says that it has joined."""

    async def request_filter(self, ctx: RequestFilterContext) -> None:
        ws = await ctx.websocket_upgrade()
        await ws.join("hall")
        await ws.send(b"in")
        async for message in ws:
            await ws.broadcast("hall", message)
