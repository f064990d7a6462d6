"""Nobody serves the group: the answer is an error at once, not a wait."""

from __future__ import annotations

from bench.load import open_loop
from bench.systems.base import ask

from scenarios.setup import Outcome, Setup

TITLE = "no worker, 1k req/s"
REQUIRED = "503, p99 ≤ 5 ms"
GOOD = "1 ms"


class Alone(Setup):
    """Started when it answers at all."""

    def await_answer(self, good: object, what: str, seconds: float = 20.0) -> None:
        super().await_answer(lambda: ask(self.port)[0] == 503, "503 without a worker", seconds)

    def verify(self) -> None:
        """Nothing passes: `await_answer` has seen the 503."""


def run(upstream: int, quick: bool) -> Outcome:
    with Alone(upstream, "no-worker", workers=0) as system:
        load = open_loop(system.port, 1000, 2 if quick else 20, warmup=0.5)
    p99 = load.other_p99 or 0.0
    only_503 = set(load.outcomes) == {"503"} and load.ok == 0
    return Outcome(
        f"{', '.join(load.outcomes)}; p99 {p99:.2f} ms",
        passed=only_503 and p99 <= 5,
        good=p99 <= 1,
        raw={"load": load.__dict__},
    )
