"""WebSockets that a testee holds. One set of words for threads and for coroutines."""

from typing import Any

from streams import done, wait
from words import Step, note

from nylon import WebSocket


async def websocket(ctx: Any, step: Step, *, plain: bool) -> None:
    """`{"do": "websocket", "steps": […]}`; with `"try": true` a refusal is noted and the handler goes on."""
    options = {key: step[key] for key in ("subprotocols", "max_message_bytes") if key in step}
    try:
        ws: WebSocket = await done(ctx.websocket_upgrade(**options))
    except Exception as error:
        if not step.get("try"):
            raise
        note(ctx, {}, raised=type(error).__name__, text=str(error))
        return
    note(ctx, {}, open=True, subprotocol=ws.subprotocol)
    for one in step["steps"]:
        try:
            await play(ctx, ws, one, plain=plain)
        except Exception as error:
            if not one.get("try"):
                raise
            note(ctx, {}, raised=type(error).__name__)


def message_of(step: Step) -> str | bytes:
    """Text, or bytes: given, or so many of a pattern."""
    if "hex" in step:
        return bytes.fromhex(step["hex"])
    return step.get("text") or b"0123456789abcdef" * (step.get("size", 0) // 16)


async def play(ctx: Any, ws: WebSocket, step: Step, *, plain: bool) -> None:
    """What a handler does while it holds a WebSocket."""
    match step["do"]:
        case "say":
            await done(ws.send(message_of(step)))
        case "echo":
            while (message := await done(ws.receive())) is not None:
                await done(ws.send(message))
        case "receive":
            message = await done(ws.receive())
            kind = "end" if message is None else "text" if isinstance(message, str) else "binary"
            note(ctx, {}, received=kind, length=len(message or ""), begins=str(message)[:16])
        case "ended":
            note(ctx, {}, code=ws.close_code, reason=ws.close_reason, error=ws.error)
        case "close":
            await done(ws.close(step.get("code", 1000), step.get("reason", "")))
        case "join":
            await done(ws.join(step["room"]))
            note(ctx, {}, joined=step["room"])
        case "leave":
            await done(ws.leave(step["room"]))
        case "broadcast":
            await done(ws.broadcast(step["room"], message_of(step)))
            note(ctx, {}, said=step["room"])
        case "wait":
            await wait(ctx, step["ms"], plain=plain)
            note(ctx, {}, waited=step["ms"], cancelled=ctx.cancelled)
        case "raise":
            raise RuntimeError("asked to raise")
        case _:
            raise ValueError(f"nobody knows {step}")
