"""What the scenarios of streams share: memory sampled while they run, and clients that read or do not."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Generator

from bench.places import AUTH
from bench.processes import resident, tree

from scenarios.setup import Setup

MIB = 1 << 20
APP = AUTH / "nylon_streams.py"


def setup(upstream: int, name: str) -> Setup:
    """One gateway with two threads and one worker."""
    system = Setup(upstream, name, workers=1, app=APP, config="nylon-streams.yaml")
    system.auth = system.via_upstream = False
    return system


class Memory:
    """The largest resident memory of gateway and workers over what they had before."""

    def __init__(self, system: Setup) -> None:
        # Once: looking for them among all processes would be a load of its own.
        self._pids = {role: tree(system.processes.roots(role)) for role in ("gateway", "workers")}
        self._before = self._now()
        self._most = dict(self._before)
        self._done = threading.Event()

    def _now(self) -> dict[str, int]:
        return {role: sum(map(resident, pids)) for role, pids in self._pids.items()}

    @contextlib.contextmanager
    def watched(self) -> Generator[None]:
        thread = threading.Thread(target=self._watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._done.set()
            thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.05):
            for role, bytes_now in self._now().items():
                self._most[role] = max(self._most[role], bytes_now)

    @property
    def growth(self) -> dict[str, float]:
        """MiB."""
        return {role: (self._most[role] - before) / MIB for role, before in self._before.items()}


def dial(port: int, target: str, *, receive: int | None = None) -> socket.socket:
    """A connection with a GET on its way."""
    client = socket.socket()
    if receive is not None:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
    client.settimeout(60)
    client.connect(("127.0.0.1", port))
    client.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return client


def still(value: float, look: object, seconds: float) -> float:
    """The value once it has not changed for so long."""
    assert callable(look)
    since = time.monotonic()
    while time.monotonic() - since < seconds:
        now = float(look())
        if now != value:
            value, since = now, time.monotonic()
        time.sleep(0.1)
    return value
