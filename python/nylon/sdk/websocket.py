"""WebSockets by callbacks: one at a time, in order, `on_close` exactly once and last."""

from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Any

from nylon._core import WebSocket
from nylon.sdk.errors import PluginError

Callback = Callable[..., object] | None
Callbacks = tuple[Callback, Callback, Callback, Callback, Callback]


async def serve(upgrade: Awaitable[WebSocket], callbacks: Callbacks) -> None:
    """Drive the callbacks of an `async def` handler; they may be either kind of function."""
    on_open, on_text, on_binary, on_close, on_error = callbacks

    async def call(callback: Callback, *arguments: Any) -> None:
        if callback is not None:
            result = callback(*arguments)
            if isawaitable(result):
                await result

    ws = await upgrade
    failure: str | None = None
    try:
        await call(on_open, ws)
        async for message in ws:
            await call(on_text if isinstance(message, str) else on_binary, ws, message)
        failure = ws.error
    except PluginError as error:
        failure = str(error)
    finally:
        # Also when a callback raises or the session is aborted: what rooms and users were told ends here.
        await ws.close(1011 if failure is None and ws.close_code is None else 1000)
        if failure is not None:
            await call(on_error, ws, failure)
        await call(on_close, ws)


def serve_plain(ws: WebSocket, callbacks: Callbacks) -> None:
    """Drive the callbacks of a `def` handler."""
    on_open, on_text, on_binary, on_close, on_error = callbacks

    def call(callback: Callback, *arguments: Any) -> None:
        if callback is not None:
            callback(*arguments)

    failure: str | None = None
    try:
        call(on_open, ws)
        for message in ws:
            call(on_text if isinstance(message, str) else on_binary, ws, message)
        failure = ws.error
    except PluginError as error:
        failure = str(error)
    finally:
        ws.close(1011 if failure is None and ws.close_code is None else 1000)
        if failure is not None:
            call(on_error, ws, failure)
        call(on_close, ws)
