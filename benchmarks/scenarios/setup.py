"""What scenarios share: their outcome, and a Nylon whose parts they choose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.load import Shot, closed_loop
from bench.places import AUTH
from bench.processes import Process
from bench.systems.nylon import NylonAuth

SCENARIO_APP = AUTH / "nylon_scenarios.py"


@dataclass
class Outcome:
    """`figure` is what the table shows; `raw` everything measured."""

    figure: str
    passed: bool
    good: bool
    raw: dict[str, Any] = field(default_factory=dict[str, Any])


class Setup(NylonAuth):
    """A gateway, nats-server and workers with the given entry."""

    title = "scenario"

    def __init__(
        self,
        upstream: int,
        name: str,
        *,
        entry: str = "auth",
        workers: int = 2,
        app: Path | None = None,
        env: dict[str, str] | None = None,
        options: Sequence[str] = (),
        config: str = "nylon-auth.yaml",
    ) -> None:
        self.name = f"scenario-{name}"
        super().__init__(upstream)
        self.entry = entry
        self.workers = 0
        self.count = workers
        self.app = app or (AUTH / "nylon_app.py" if entry in ("auth", "auth_async", "hello") else SCENARIO_APP)
        self.env = {"BENCH_COUNTERS": str(self.folder), **(env or {})}
        self.options = tuple(options)
        self.config = config
        self.auth = self.via_upstream = config != "nylon-service.yaml"

    def launch(self) -> None:
        super().launch()
        for _ in range(self.count):
            self.add_worker()

    def verify(self) -> None:
        super().verify()
        self.await_workers(self.count)

    def add_worker(self, **env: str) -> Process:
        return self.start_worker({**self.env, **env}, self.options)


def capacity(port: int, quick: bool, connections: int = 64) -> float:
    """Requests per second in a closed loop, after a warm-up."""
    closed_loop(port, connections, 1)
    return closed_loop(port, connections, 1 if quick else 5).rps


def failed(shots: Sequence[Shot]) -> list[Shot]:
    return [shot for shot in shots if not shot.ok]


def outcomes(shots: Sequence[Shot]) -> dict[str, int]:
    found: dict[str, int] = {}
    for shot in shots:
        found[shot.outcome] = found.get(shot.outcome, 0) + 1
    return found
