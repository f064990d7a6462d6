"""Testing plugins without a network: `TestPlugin` serves one behind a gateway of its own in this process.

with TestPlugin(plugin, config={"tokens": {"secret": "ann"}}) as t:
    assert t.get("/x", headers={"Authorization": "Bearer secret"}).status == 200
    assert t.upstream.seen[0].headers["X-Auth-User"] == "ann"
"""

from nylon.testing.harness import TestPlugin
from nylon.testing.requests import Answer, AsyncClient, SyncClient
from nylon.testing.upstream import Upstream, UpstreamAnswer, UpstreamRequest

__all__ = [
    "Answer",
    "AsyncClient",
    "SyncClient",
    "TestPlugin",
    "Upstream",
    "UpstreamAnswer",
    "UpstreamRequest",
]
