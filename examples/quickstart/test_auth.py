"""The plugin of the quickstart, tested: behind a gateway in this process, without NATS. `pytest test_auth.py`."""

import asyncio

import auth
import pytest

from nylon.testing import TestPlugin
from nylon.testing.fixtures import Start

CONFIG = {"tokens": {"s3cret": "alice"}}


def test_a_known_token_passes_and_names_the_user(nylon_plugin: Start) -> None:
    client = nylon_plugin(auth.plugin, entries=["auth"], config=CONFIG)
    answer = client.get("/orders?page=2", headers={"Authorization": "Bearer s3cret"})
    assert answer.status == 200
    (seen,) = client.upstream.seen
    assert (seen.target, seen.headers["X-Auth-User"]) == ("/orders?page=2", "alice")


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}])
def test_anybody_else_does_not(nylon_plugin: Start, headers: dict[str, str]) -> None:
    client = nylon_plugin(auth.plugin, entries=["auth"], config=CONFIG)
    answer = client.get("/orders", headers=headers)
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert client.upstream.seen == []


def test_a_page_of_its_own() -> None:
    async def ask() -> None:
        async with TestPlugin(auth.plugin, service="hello", path="/hello/{name}", config=CONFIG) as t:
            assert (await t.get("/hello/world")).json() == {"hello": "world"}
            assert (await t.get("/nowhere")).status == 404

    asyncio.run(ask())


def test_the_same_over_nats() -> None:
    with TestPlugin(auth.plugin, entries=["auth"], config=CONFIG, real=True) as t:
        assert t.get("/", headers={"Authorization": "Bearer s3cret"}).status == 200
        assert t.get("/").status == 401
