"""Many workers in few processes, and a steady load that notes how each request ended."""

import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPException
from types import TracebackType
from typing import Any, Self

from .gateway import PLUGINS
from .http import Answer, Client


class Host:
    """A process with many workers (tests/e2e/plugins/crowd.py)."""

    def __init__(self, servers: str, group: str, count: int) -> None:
        self._child = subprocess.Popen(
            [sys.executable, str(PLUGINS / "crowd.py"), servers, group, str(count)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def answer(self) -> dict[str, Any]:
        """What it says next; the first time once all of its workers are connected."""
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        if not line:
            raise RuntimeError(f"a host of workers ended with {self._child.wait()}")
        return json.loads(line)

    def ask(self, wish: str) -> dict[str, Any]:
        """`join`, `leave` or `stats`."""
        assert self._child.stdin is not None
        self._child.stdin.write(f"{wish}\n")
        self._child.stdin.flush()
        return self.answer()

    def kill(self) -> None:
        """SIGKILL: all of its workers at once."""
        self._child.kill()
        self._child.wait(10)
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                pipe.close()


@dataclass(frozen=True)
class Ended:
    """One request of the load."""

    began: float
    ended: float
    good: bool
    """Whether it had the token."""
    answer: Answer | None
    """None: the connection broke."""

    @property
    def status(self) -> int:
        return self.answer.status if self.answer is not None else 0

    @property
    def code(self) -> str:
        """Of an error answer of the gateway."""
        try:
            return "" if self.answer is None else str(self.answer.json["error"])
        except (ValueError, KeyError, TypeError):
            return ""


@dataclass
class Load:
    """So many clients, each with a connection of its own, one request after the other; every third has no token."""

    addresses: Sequence[str]
    clients: int
    targets: Sequence[Mapping[str, str]]
    """Headers; the clients take them in turn."""
    ended: list[Ended] = field(default_factory=list[Ended])
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list[threading.Thread])

    def __enter__(self) -> Self:
        for number in range(self.clients):
            self._threads.append(threading.Thread(target=self._run, args=(number,), daemon=True))
            self._threads[-1].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def _run(self, number: int) -> None:
        address = self.addresses[number % len(self.addresses)]
        client = Client(address)
        count = number
        while not self._stop.is_set():
            count += 1
            good = count % 3 != 0
            headers = dict(self.targets[count % len(self.targets)])
            if good:
                headers["Authorization"] = "Bearer secret"
            began = time.monotonic()
            try:
                answer = client.request("GET", "/x", headers=headers)
            except (OSError, HTTPException):
                answer = None
                client.close()
                client = Client(address)
            self.ended.append(Ended(began, time.monotonic(), good, answer))
        client.close()

    def wrong(self) -> list[Ended]:
        """Requests that did not end as their token asks."""
        return [one for one in list(self.ended) if one.status != (200 if one.good else 401)]

    def statuses(self) -> Counter[tuple[int, str]]:
        """Statuses and codes, for messages."""
        return Counter((one.status, one.code if one.status >= 500 else "") for one in list(self.ended))
