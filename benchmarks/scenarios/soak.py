"""A million requests: memory and slots must be back where they were."""

from __future__ import annotations

from contextlib import suppress

from bench.processes import BenchError, wait_until

from scenarios.endurance import endure_requests
from scenarios.setup import Outcome, Setup

TITLE = "1M requests"
REQUIRED = "none fails, RSS of gateway and workers + < 2 %, slots 0"
GOOD = "–"
LIMIT = 0.02
ROLES = ("gateway", "workers")
SLOTS = ("nylon_slots_in_use", "nylon_slots_resting")


def run(upstream: int, quick: bool) -> Outcome:
    with Setup(upstream, "soak") as system:
        endured = endure_requests(system, 20_000 if quick else 1_000_000, ROLES)
        with suppress(BenchError):
            wait_until("the slots to be free", lambda: slots(system) == 0, 10)
        left = slots(system)
    load, growth = endured.load, {role: endured.growth(role) for role in ROLES}
    return Outcome(
        ", ".join(f"{role} {found}" for role, found in growth.items())
        + f", slots {left:.0f}, {load.requests:,} requests"
        + (f", {load.not_ok} failed" if load.not_ok else ""),
        passed=all(found.share < LIMIT for found in growth.values()) and left == 0 and load.not_ok == 0,
        good=True,
        raw={"requests": load.requests, "bad": load.not_ok, "rss": endured.sizes, "slots": left},
    )


def slots(system: Setup) -> float:
    found = [value for key, value in system.metrics().items() if key.split("{")[0] in SLOTS]
    if not found:
        raise BenchError(f"reading the metrics: no {SLOTS[0]}")
    return sum(found)
