"""5,000 idle client connections instead of ten, each of which has made a request."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Generator
from pathlib import Path

from bench.processes import BenchError
from bench.systems.nylon import Nylon, NylonProxy

from scenarios import growth
from scenarios.setup import Outcome

TITLE = "idle connections 10 → 5,000"
REQUIRED, GOOD = growth.REQUIRED, growth.GOOD
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Patient(NylonProxy):
    """The proxy, keeping idle connections for as long as the scenario takes."""

    def __init__(self, upstream: int, count: int) -> None:
        self.name = f"scenario-connections-{count}"
        super().__init__(upstream)

    def write_config(self) -> Path:
        path = super().write_config()
        path.write_text(path.read_text() + "limits: {idle_timeout: 10m}\n")
        return path


@contextlib.contextmanager
def idle(system: Nylon, count: int) -> Generator[None]:
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", system.port), timeout=10))
            connection.sendall(REQUEST)
            if not connection.recv(4096).startswith(b"HTTP/1.1 200"):
                raise BenchError("opening idle connections: the gateway did not answer 200")
        yield


def run(upstream: int, quick: bool) -> Outcome:
    few, many = 10, 5000
    return growth.compare(
        Patient(upstream, few),
        Patient(upstream, many),
        quick,
        around_small=lambda system: idle(system, few),
        around_large=lambda system: idle(system, many),
    )
