"""A gateway and a worker whose entries are WebSockets."""

import json
import re
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .gateway import Gateway, Worker, configuration
from .nats import NatsServer
from .patience import eventually
from .websocket import WebSocketClient

ENTRIES = ("echo", "plain", "careless", "twice", "called", "called_plain", "rooms", "impatient", "late")


def config_of(nats: str, **changes: Any) -> dict[str, Any]:
    """Every entry as a plugin service at `/<entry>`, and behind an auth plugin at `/private`."""
    config = configuration(nats, "127.0.0.1:1", **changes)
    config["services"] += [
        {"name": entry, "service_type": "plugin", "plugin": {"name": "tested", "entry": entry}} for entry in ENTRIES
    ]
    paths: list[dict[str, Any]] = [{"path": f"/{entry}", "service": {"name": entry}} for entry in ENTRIES]
    private = {"path": "/private", "service": {"name": "echo"}, "middleware": [{"plugin": "tested", "entry": "auth"}]}
    chain = [{"plugin": "tested", "entry": "echo"}]
    middleware = {"path": "/middleware", "service": {"name": "upstream"}, "middleware": chain}
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

    def reachable(self) -> bool:
        with self.client() as client:
            return client.status == 101

    def idle(self) -> None:
        eventually(self.gateway.idle, what="no slot left, nothing in flight")


@contextmanager
def house_of(nats: NatsServer, directory: Path) -> Generator[House]:
    """Both, for as long as the block lasts."""
    with Worker(nats.url, "sockets") as worker, Gateway(directory, config_of(nats.url)) as gateway:
        yield House(gateway, worker)
