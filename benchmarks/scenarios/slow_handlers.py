"""One in a hundred `def` handlers blocks for 100 ms: the others must not wait behind it."""

from __future__ import annotations

from statistics import median

from bench.load import Load, open_loop

from scenarios.setup import Outcome, Setup, capacity

TITLE = "1 % of `def` handlers sleep 100 ms, half load"
REQUIRED = "p99 of the others ≤ 2 × without"
GOOD = "1.2 ×"


def run(upstream: int, quick: bool) -> Outcome:
    seconds, rounds = (1, 1) if quick else (5, 5)
    without: list[Load] = []
    blocked: list[Load] = []
    with Setup(upstream, "slow-handlers", entry="sometimes_slow") as system:
        rate = capacity(system.port, quick) / 2
        for _ in range(rounds):
            without.append(open_loop(system.port, rate, seconds, warmup=0.5, connections=512))
            mixed = open_loop(
                system.port, rate, seconds, warmup=0.5, connections=512, marked_path="/slow", marked_every=100
            )
            blocked.append(mixed)
    ratio = median(load.p99 for load in blocked) / max(median(load.p99 for load in without), 1e-3)
    not_ok = sum(load.not_ok for load in blocked + without)
    return Outcome(
        f"{ratio:.2f} × ({median(load.p99 for load in without):.2f} → {median(load.p99 for load in blocked):.2f} ms)"
        + (f", {not_ok} not 2xx" if not_ok else ""),
        passed=ratio <= 2 and not_ok == 0,
        good=ratio <= 1.2,
        raw={
            "rate": rate,
            "without": [load.__dict__ for load in without],
            "blocked": [load.__dict__ for load in blocked],
        },
    )
