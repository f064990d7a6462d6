"""WebSockets by callbacks: one at a time, in order, `on_close` exactly once and last."""

from collections.abc import Awaitable, Callable
from inspect import isawaitable

from nylon._core import WebSocket
from nylon.sdk.errors import PluginError

Callback = Callable[..., object] | None
Callbacks = tuple[Callback, Callback, Callback, Callback, Callback]


async def serve(upgrade: Awaitable[WebSocket], callbacks: Callbacks) -> None:
    """Drive the callbacks of an `async def` handler; they may be either kind of function."""
    on_open, on_text, on_binary, on_close, on_error = callbacks
    ws = await upgrade
    failure: str | None = None
    try:
        await _call(on_open, ws)
        async for message in ws:
            await _call(on_text if isinstance(message, str) else on_binary, ws, message)
        failure = ws.error
    except PluginError as error:
        failure = ws.error or str(error)
    finally:
        # Also when a callback raises or the session is aborted. A socket that is closed already stays as it is.
        await ws.close(1011)
        try:
            if failure is not None:
                await _call(on_error, ws, failure)
        finally:
            await _call(on_close, ws)


def serve_plain(ws: WebSocket, callbacks: Callbacks) -> None:
    """Drive the callbacks of a `def` handler."""
    on_open, on_text, on_binary, on_close, on_error = callbacks
    failure: str | None = None
    try:
        _call_plain(on_open, ws)
        for message in ws:
            _call_plain(on_text if isinstance(message, str) else on_binary, ws, message)
        failure = ws.error
    except PluginError as error:
        failure = ws.error or str(error)
    finally:
        ws.close(1011)
        try:
            if failure is not None:
                _call_plain(on_error, ws, failure)
        finally:
            _call_plain(on_close, ws)


async def _call(callback: Callback, *arguments: object) -> None:
    if callback is not None:
        result = callback(*arguments)
        if isawaitable(result):
            await result


def _call_plain(callback: Callback, *arguments: object) -> None:
    if callback is not None:
        callback(*arguments)
