"""Gateways with plugin libraries, for the scenarios about those."""

from __future__ import annotations

import re
import urllib.request
from pathlib import Path

from bench.load import closed_loop
from bench.processes import BenchError
from bench.shapes import BARE, Shape
from bench.systems.nylon_go import FfiAuth

WRONG = Shape("wrong token", ("Authorization: Bearer guess",))


class InLibrary(FfiAuth):
    """The auth rule in a library, before the upstream."""

    title = "scenario"

    def __init__(self, upstream: int, name: str, library: Path, *, executor: str = "pool") -> None:
        self.name = f"scenario-{name}"
        super().__init__(upstream)
        self.file, self.executor = library, executor

    def library(self) -> Path:
        return self.file


def requests(
    port: int, wanted: int, *, connections: int = 64, shape: Shape = BARE, seconds: int = 5
) -> tuple[int, int]:
    """Sends at least so many requests; how many were answered, and how many of them not with a 2xx."""
    done = bad = 0
    while done < wanted:
        load = closed_loop(port, connections, seconds, shape)
        if load.requests == 0:
            raise BenchError(f"sending {wanted} requests: no answer in {seconds} s: {load.outcomes}")
        done, bad = done + load.requests, bad + load.not_ok
    return done, bad


class Reached:
    """Counts the requests that the upstream has had, without those that ask it."""

    def __init__(self, upstream: int) -> None:
        self.url = f"http://127.0.0.1:{upstream}/upstream-status"
        self.start = self._total()
        self.asked = 0

    def count(self) -> int:
        self.asked += 1
        return self._total() - self.start - self.asked

    def _total(self) -> int:
        with urllib.request.urlopen(self.url, timeout=10) as answer:
            text = answer.read().decode()
        found = re.search(r"requests\s+\d+\s+\d+\s+(\d+)", text)
        if found is None:
            raise BenchError(f"reading the upstream's counters: {text!r}")
        return int(found[1])
