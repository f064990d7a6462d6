"""WebSockets of plugins: what they carry, and how each of them ends."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from .support.gateway import Gateway, Worker, configuration
from .support.http import request
from .support.nats import NatsServer
from .support.patience import eventually
from .support.websocket import BINARY, CLOSE, CONTINUE, PING, PONG, TEXT, WebSocketClient

ENTRIES = ("echo", "plain", "careless", "twice")


def config_of(nats: str, **changes: Any) -> dict[str, Any]:
    """Every entry as a plugin service at `/<entry>`, and behind an auth plugin at `/private`."""
    config = configuration(nats, "127.0.0.1:1", **changes)
    config["services"] += [
        {"name": entry, "service_type": "plugin", "plugin": {"name": "tested", "entry": entry}} for entry in ENTRIES
    ]
    paths: list[dict[str, Any]] = [{"path": f"/{entry}", "service": {"name": entry}} for entry in ENTRIES]
    private = {"path": "/private", "service": {"name": "echo"}, "middleware": [{"plugin": "tested", "entry": "auth"}]}
    middleware = {"path": "/middleware", "service": {"name": "upstream"}}
    middleware["middleware"] = [{"plugin": "tested", "entry": "echo"}]
    config["routes"][0]["paths"] = [*paths, private, middleware]
    return config


class House:
    """A gateway and its worker."""

    def __init__(self, gateway: Gateway, worker: Worker) -> None:
        self.gateway, self.worker = gateway, worker

    def notes(self, **wanted: object) -> list[dict[str, Any]]:
        lines = [match[1] for line in list(self.worker.lines) if (match := re.search(r"NOTE (\{.*\})", line))]
        return [note for note in map(json.loads, lines) if all(note.get(key) == value for key, value in wanted.items())]

    def note(self, **wanted: object) -> dict[str, Any]:
        return eventually(lambda: self.notes(**wanted), what=f"a note with {wanted}")[0]

    def client(self, entry: str = "echo", **options: Any) -> WebSocketClient:
        return WebSocketClient(self.gateway.address, f"/{entry}", **options)

    def idle(self) -> None:
        eventually(self.gateway.idle, what="no slot left, nothing in flight")


@pytest.fixture(scope="module")
def house(shared_nats: NatsServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with (
        Worker(shared_nats.url, "sockets") as worker,
        Gateway(tmp_path_factory.mktemp("sockets"), config_of(shared_nats.url)) as gateway,
    ):
        yield House(gateway, worker)


def test_messages_go_both_ways(house: House) -> None:
    with house.client(x_id="both") as client:
        assert client.status == 101
        assert client.headers["sec-websocket-accept"] == client.expected_accept
        assert client.headers["x-entry"] == "echo"
        for message in ("hello", b"\x00\xff", "", b"", "ünï", "x" * 70_000, b"y" * 1_000_000):
            client.send(message)
            assert client.receive() == message
        assert client.close(1000, "enough") == (1000, "enough")
    over = house.note(id="both", over=True)
    assert (over["code"], over["reason"], over["error"]) == (1000, "enough", None)
    logged = house.note(logged="both")
    assert (logged["status"], logged["error"]) == (101, None)
    assert logged["bytes"] == 1_070_000 + len("hello") + 2 + len("ünï".encode())
    house.idle()
