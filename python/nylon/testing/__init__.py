"""Testing plugins without a network: `TestPlugin` serves one behind a gateway of its own in this process.

    with TestPlugin(plugin, config={"tokens": {"secret": "ann"}}) as t:
        assert t.get("/x", headers={"Authorization": "Bearer secret"}).status == 200
        assert t.upstream.seen[0].headers["X-Auth-User"] == "ann"

`async with` gives a client to await.
"""

from nylon.testing.answers import Answer, SocketClosedError, UpgradeRefusedError
from nylon.testing.harness import TestPlugin
from nylon.testing.requests import AsyncClient, SyncClient
from nylon.testing.streams import AsyncStream, SyncStream
from nylon.testing.upstream import Upstream, UpstreamAnswer, UpstreamRequest

__all__ = [
    "Answer",
    "AsyncClient",
    "AsyncStream",
    "SocketClosedError",
    "SyncClient",
    "SyncStream",
    "TestPlugin",
    "UpgradeRefusedError",
    "Upstream",
    "UpstreamAnswer",
    "UpstreamRequest",
]
