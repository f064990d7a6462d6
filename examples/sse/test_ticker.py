"""The ticker, tested: behind a gateway in this process, without NATS. `pytest test_ticker.py`."""

import asyncio

import pytest
import ticker

from nylon.testing import TestPlugin


def test_a_listener_hears_what_is_posted_and_is_forgotten_when_he_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ticker, "PAUSE_SECONDS", 0.01)

    async def listen() -> None:
        async with TestPlugin(ticker.plugin, service="listen") as t, t.stream("GET", "/events") as events:
            assert events.headers["Content-Type"] == "text/event-stream"
            assert await events.until(b"\n\n") == b": welcome\n\n"
            (posts,) = ticker.listeners
            posts.put_nowait("two\nlines")
            heard = await events.until(b"data: two\ndata: lines\n\n")
            assert heard.replace(b":\n\n", b"") == b"data: two\ndata: lines\n\n"
        assert not ticker.listeners

    asyncio.run(listen())
