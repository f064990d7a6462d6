"""What it costs a trivial `def` handler that blocking ones are possible: follower threads against a plain loop."""

from __future__ import annotations

from statistics import median

from bench.load import closed_loop

from scenarios.setup import Outcome, Setup

TITLE = "trivial `def` handler with follower threads ÷ plain loop"
REQUIRED = "0.95"
GOOD = "–"


def run(upstream: int, quick: bool) -> Outcome:
    seconds, rounds = (1, 1) if quick else (5, 5)
    rates: dict[str, list[float]] = {"followers": [], "plain": []}
    service = "nylon-service.yaml"
    with (
        Setup(upstream, "followers", entry="hello", workers=1, config=service) as followers,
        Setup(upstream, "plain", entry="hello", workers=1, config=service, options=("--max-threads", "1")) as plain,
    ):
        for system in (followers, plain):
            closed_loop(system.port, 64, 1)
        for number in range(rounds * 2):
            pair = (("followers", followers), ("plain", plain))
            for name, system in pair if number % 2 else reversed(pair):
                rates[name].append(closed_loop(system.port, 64, seconds).rps)
    ratio = median(rates["followers"]) / median(rates["plain"])
    return Outcome(f"{ratio:.2f}", passed=ratio >= 0.95, good=ratio >= 0.95, raw={"rates": rates})
