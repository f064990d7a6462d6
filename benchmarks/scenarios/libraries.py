"""Gateways with plugin libraries, for the scenarios about those."""

from __future__ import annotations

import re
import urllib.request
from pathlib import Path

from bench.load import closed_loop
from bench.processes import BenchError
from bench.shapes import BARE, Shape
from bench.systems.base import render
from bench.systems.nylon_go import FfiAuth

WRONG = Shape("wrong token", ("Authorization: Bearer guess",))


class InLibrary(FfiAuth):
    """The auth rule in a library, before the upstream."""

    title = "scenario"

    def __init__(self, upstream: int, name: str, library: Path, *, executor: str = "pool") -> None:
        self.name = f"scenario-{name}"
        super().__init__(upstream)
        self.library, self.executor = library, executor

    def write_config(self) -> Path:
        config = "nylon-ffi-auth.yaml"
        values = {"PORT": self.port, "ADMIN": self.admin, "UPSTREAM": self.upstream}
        path = render(config, self.folder / "nylon.yaml", FILE=self.library, **values)
        text, count = re.subn(r"type: ffi", f"type: ffi, executor: {self.executor}", path.read_text())
        if count != 1:
            raise BenchError(f"rendering {config}: {count} plugins of type ffi instead of 1")
        path.write_text(text)
        return path


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


def reached(upstream: int) -> int:
    """Requests that the upstream has had, without those that ask this."""
    with urllib.request.urlopen(f"http://127.0.0.1:{upstream}/upstream-status", timeout=10) as answer:
        text = answer.read().decode()
    found = re.search(r"requests\n\s*\d+\s+\d+\s+(\d+)", text)
    if found is None:
        raise BenchError(f"reading the upstream's counters: {text!r}")
    reached.asked += 1
    return int(found[1]) - reached.asked


reached.asked = 0
