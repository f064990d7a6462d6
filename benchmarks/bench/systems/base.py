"""What every measured system is: started, verified, measured and ended the same way."""

from __future__ import annotations

import http.client
import re
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Self

from bench.places import CONFIGS, RUNS
from bench.processes import BenchError, Process, Processes, free_port, port_open, wait_until
from bench.shapes import TOKEN, USER


def render(template: str, target: Path, **values: object) -> Path:
    """A checked-in configuration with its @NAMES@ filled in."""
    text = (CONFIGS / template).read_text()
    for name, value in values.items():
        text = text.replace(f"@{name}@", str(value))
    if left := re.search(r"@[A-Z0-9_]+@", text):
        raise BenchError(f"rendering {template}: {left.group()} is not filled in")
    target.write_text(text)
    return target


def ask(port: int, token: str | None = TOKEN, path: str = "/", **headers: str) -> tuple[int, dict[str, str], bytes]:
    """One request on a connection of its own; header names in lower case."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        sent = dict(headers)
        if token is not None:
            sent["Authorization"] = token
        connection.request("GET", path, headers=sent)
        response = connection.getresponse()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
    finally:
        connection.close()


class System(ABC):
    """One thing under load. `name` is its key in results; `title` its row in the table."""

    name: str
    title: str
    auth = False
    """Whether requests without the token must be refused."""
    via_upstream = True
    """Whether the answer comes from the upstream."""

    def __init__(self, upstream: int) -> None:
        self.upstream = upstream
        self.port = free_port()
        self.folder = RUNS / self.name
        self.processes = Processes(self.folder)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    @abstractmethod
    def launch(self) -> None:
        """Starts the processes; need not wait."""

    def spawn(self, role: str, *command: str | Path, **env: str) -> Process:
        return self.processes.start(role, command, env)

    def await_port(self, port: int, what: str) -> None:
        def open_or_dead() -> bool:
            self.processes.check()
            return port_open(port)

        wait_until(f"{what} of {self.name} to listen on port {port}", open_or_dead, 20)

    def await_answer(self, good: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
        def check() -> bool:
            self.processes.check()
            try:
                return good()
            except (OSError, http.client.HTTPException):
                return False

        wait_until(what, check, seconds)

    def start(self) -> None:
        """Starts and verifies; leaves nothing behind when that fails."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        try:
            self.launch()
            self.await_port(self.port, "the gateway")
            self.await_answer(lambda: ask(self.port)[0] == 200, f"{self.name} to answer 200")
            self.verify()
        except BaseException:
            self.stop()
            raise

    def verify(self) -> None:
        """The functional check before anything is measured."""
        status, headers, body = ask(self.port)
        if status != 200 or (self.via_upstream and body != b"hello from the upstream\n"):
            raise BenchError(f"verifying {self.name}: with the token: {status} {body!r}, not the upstream's answer")
        if not self.auth:
            return
        for token in (None, "Bearer wrong"):
            status, headers, body = ask(self.port, token, **{"X-Auth-User": "mallory"})
            if status != 401 or "x-seen-user" in headers:
                raise BenchError(f"verifying {self.name}: with token {token!r}: {status} {body!r} instead of 401")
        seen = ask(self.port, TOKEN, **{"X-Auth-User": "mallory"})[1].get("x-seen-user")
        if self.via_upstream and seen != USER:
            raise BenchError(f"verifying {self.name}: the upstream saw X-Auth-User {seen!r} instead of {USER!r}")

    def stop(self) -> None:
        self.processes.stop()

    def pids(self) -> dict[str, list[int]]:
        """Root processes by role; measured with all their threads and children."""
        return {role: self.processes.roots(role) for role in self.processes.roles()}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
