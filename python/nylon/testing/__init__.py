"""Testing plugins without a network, at two levels.

`TestPlugin` serves a plugin behind a gateway of its own in this process: requests go in, answers come out.

    with TestPlugin(plugin, config={"tokens": {"secret": "ann"}}) as t:
        assert t.get("/x", headers={"Authorization": "Bearer secret"}).status == 200
        assert t.upstream.seen[0].headers["X-Auth-User"] == "ann"

`Client` runs single phases, and shows what a handler asked for:

    with Client(plugin, config={"tokens": {"secret": "ann"}}) as client:
        result = client.session("auth", headers={"Authorization": "Bearer secret"}).request_filter()
        assert result.request_headers == {"x-auth-user": "ann"}
"""

from nylon.testing.client import Client, PhaseFailed, Result, Session
from nylon.testing.harness import TestPlugin
from nylon.testing.requests import Answer, AsyncClient, SyncClient
from nylon.testing.upstream import Upstream, UpstreamAnswer, UpstreamRequest

__all__ = [
    "Answer",
    "AsyncClient",
    "Client",
    "PhaseFailed",
    "Result",
    "Session",
    "SyncClient",
    "TestPlugin",
    "Upstream",
    "UpstreamAnswer",
    "UpstreamRequest",
]
