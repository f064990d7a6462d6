"""Rooms: who hears what is said to many WebSockets at once."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from .support.gateway import Gateway
from .support.nats import NatsServer
from .support.sockets import House, config_of, house_of
from .support.websocket import WebSocketClient


@pytest.fixture(scope="module")
def house(shared_nats: NatsServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house_of(shared_nats, tmp_path_factory.mktemp("sockets")) as house:
        yield house


def done(client: WebSocketClient, order: str) -> list[str | bytes]:
    """Give an order and return what else was heard before it was done."""
    client.send(order)
    heard: list[str | bytes] = []
    while (message := client.receive()) != "done":
        heard.append(message)
    return heard


def test_a_room_spans_sockets_threads_and_gateways(house: House, shared_nats: NatsServer, tmp_path: Any) -> None:
    with ExitStack() as stack:
        second = stack.enter_context(Gateway(tmp_path, config_of(shared_nats.url)))
        addresses = [house.gateway.address] * 4 + [second.address] * 4
        clients = [stack.enter_context(WebSocketClient(address, "/rooms")) for address in addresses]
        for client in clients:
            assert done(client, "join span") == []
        speaker = clients[0]
        own = done(speaker, "many span 200")
        own += [speaker.receive() for _ in range(200 - len(own))]
        everybody = [own] + [[client.receive() for _ in range(200)] for client in clients[1:]]
        assert everybody == [[str(number) for number in range(200)]] * 8
        # Nobody has heard anything twice, and who has left hears nothing.
        assert done(clients[1], "leave span") == []
        stranger = stack.enter_context(WebSocketClient(second.address, "/rooms"))
        assert done(stranger, "bytes span 100000") == []
        assert [client.receive() for client in clients if client is not clients[1]] == [b"x" * 100_000] * 7
        assert done(clients[1], "say elsewhere hello") == []


def test_a_room_is_its_plugins(house: House, shared_nats: NatsServer, tmp_path: Any) -> None:
    config = json.loads(json.dumps(config_of(shared_nats.url)).replace('"tested"', '"renamed"'))
    config["plugins"][0]["group"] = "tested"
    with (
        Gateway(tmp_path, config) as gateway,
        house.client("rooms") as one,
        WebSocketClient(gateway.address, "/rooms") as other,
    ):
        assert done(one, "join scoped") == []
        assert done(other, "join scoped") == []
        assert done(other, "say scoped mine") in ([], ["mine"])
        assert done(one, "say scoped ours") in ([], ["ours"])
        assert done(one, "leave scoped") in ([], ["ours"])


def test_a_member_that_is_too_slow_is_closed_and_holds_nobody_up(house: House) -> None:
    with house.client("rooms", receive=4096, x_id="laggard") as slow, house.client("rooms") as quick:
        assert done(slow, "join busy") == []
        assert done(quick, "join busy") == []
        for _ in range(100):
            done(quick, "bytes busy 120000")
        assert slow.closed() == (1013, "the client takes the room's messages too slowly")
    house.note(logged="laggard")
    house.idle()
