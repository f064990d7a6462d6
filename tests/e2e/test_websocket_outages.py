"""How a WebSocket of a plugin ends when its worker, its gateway or NATS does."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from .conftest import Stage
from .support.gateway import Gateway, Worker
from .support.nats import NatsServer
from .support.patience import eventually
from .support.sockets import House, config_of, house_of
from .support.websocket import PING, TEXT, WebSocketClient


@pytest.fixture(scope="module")
def house(shared_nats: NatsServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house_of(shared_nats, tmp_path_factory.mktemp("sockets")) as house:
        yield house


def test_a_killed_worker_closes_with_1011(shared_nats: NatsServer, tmp_path: Any) -> None:
    with (
        Worker(shared_nats.url, "sockets", group="killed") as worker,
        Gateway(tmp_path, config_of(shared_nats.url, plugin={"group": "killed"})) as gateway,
    ):
        house = House(gateway, worker)
        with house.client(x_id="killed") as client, house.client(x_id="other") as other:
            other.send("hello")
            assert other.receive() == "hello"
            client.send("kill")
            assert client.closed() == (1011, "the plugin failed")
            assert other.closed() == (1011, "the plugin failed")
        house.idle()


def test_a_worker_that_drains_closes_with_1001(shared_nats: NatsServer, tmp_path: Any) -> None:
    with (
        Worker(shared_nats.url, "sockets", group="drained") as worker,
        Gateway(tmp_path, config_of(shared_nats.url, plugin={"group": "drained"})) as gateway,
    ):
        house = House(gateway, worker)
        with ExitStack() as stack:
            clients = [stack.enter_context(house.client(x_id=f"drained{number}")) for number in range(8)]
            for client in clients:
                client.send("hello")
                assert client.receive() == "hello"
            worker.signal(signal.SIGTERM)
            assert {client.closed() for client in clients} == {(1001, "the worker shuts down")}
        worker.wait_for(r"NOTE .*\"logged\": \"drained7\"")
        assert [note["code"] for note in house.notes(over=True)] == [1001] * 8


def test_a_gateway_that_drains_closes_with_1001(shared_nats: NatsServer, tmp_path: Any, house: House) -> None:
    with Gateway(tmp_path, config_of(shared_nats.url)) as gateway, WebSocketClient(gateway.address, "/echo") as client:
        client.send("hello")
        assert client.receive() == "hello"
        gateway.process.signal(signal.SIGTERM)
        assert client.closed() == (1001, "the gateway shuts down")


def test_a_killed_gateway_cancels_the_handler(shared_nats: NatsServer, tmp_path: Any, house: House) -> None:
    with Gateway(tmp_path, config_of(shared_nats.url)) as gateway:
        client = WebSocketClient(gateway.address, "/echo", x_id="orphan")
        client.send("hello")
        assert client.receive() == "hello"
        gateway.process.kill()
        client.leave()
    house.note(id="orphan", over=True)


def test_a_socket_outlives_a_pause_of_nats(own_stage: Stage, tmp_path: Any) -> None:
    worker = own_stage.worker("sockets")
    with Gateway(tmp_path / "own", config_of(own_stage.nats.url)) as gateway:
        house = House(gateway, worker)
        with house.client(x_id="paused") as client:
            client.send("before")
            assert client.receive() == "before"
            own_stage.nats.kill()
            own_stage.nats.start()
            # What is said before both are back may be lost, and a gap closes the socket.
            eventually(house.reachable, what="gateway and worker back on NATS")
            client.send("after")
            assert client.receive() == "after"


def test_a_gap_closes_the_socket(own_stage: Stage, tmp_path: Any) -> None:
    worker = own_stage.worker("sockets")
    with Gateway(tmp_path / "own", config_of(own_stage.nats.url)) as gateway:
        house = House(gateway, worker)
        with house.client(x_id="gap") as client:
            client.send("hello")
            assert client.receive() == "hello"
            own_stage.nats.pause()
            client.raw(client.frame(TEXT, b"lost"), client.frame(PING, b"there"))
            # The answer to the ping says that the gateway has handed the message over.
            assert client.pong() == b"there"
            own_stage.nats.kill()
            own_stage.nats.start()
            assert client.closed() == (1011, "the plugin failed")
        house.note(id="gap", over=True)
