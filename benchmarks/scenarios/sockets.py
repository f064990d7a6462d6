"""What the scenarios of WebSockets share: their plugin, a second gateway, and the peer that echoes by itself."""

from __future__ import annotations

import sys

from bench.places import AUTH
from bench.processes import free_port
from bench.systems.base import System, render
from bench.tools import in_venv, nylon

from scenarios.setup import Setup

APP = AUTH / "nylon_sockets.py"


def setup(upstream: int, name: str, workers: int = 1) -> Setup:
    """One gateway with two threads."""
    system = Setup(upstream, name, workers=workers, app=APP, config="nylon-sockets.yaml")
    system.auth = system.via_upstream = False
    return system


def second_gateway(system: Setup) -> int:
    """Another gateway with the same plugin and NATS; its port."""
    port, admin = free_port(), free_port()
    values = {"PORT": port, "ADMIN": admin, "UPSTREAM": system.upstream, "NATS": system.nats_servers}
    path = render(system.config, system.folder / "second.yaml", **values)
    system.spawn("gateway", nylon(), "run", "-c", path, "--log-level", "error")
    system.await_ready(admin)
    return port


class EchoServer(System):
    """The `websockets` package by itself."""

    name = "websockets-echo"
    title = "websockets"

    def launch(self) -> None:
        python = in_venv("python")
        self.spawn("server", python if python.exists() else sys.executable, AUTH / "websockets_echo.py", str(self.port))

    def verify(self) -> None:
        self.await_port(self.port, "the echo server")
