"""A million requests: memory and slots must be back where they were."""

from __future__ import annotations

import time

from bench.load import closed_loop
from bench.processes import BenchError, rss_bytes, wait_until

from scenarios.setup import Outcome, Setup

TITLE = "1M requests"
REQUIRED = "RSS of gateway and workers + < 2 %, slots 0"
GOOD = "–"
SLOTS = ("nylon_slots_in_use", "nylon_slots_resting")


def run(upstream: int, quick: bool) -> Outcome:
    wanted = 20_000 if quick else 1_000_000
    with Setup(upstream, "soak") as system:

        def requests(number: int) -> int:
            done, bad = 0, 0
            while done < number:
                load = closed_loop(system.port, 64, 1 if quick else 5)
                done, bad = done + load.requests, bad + load.not_ok
            if bad:
                raise BenchError(f"soaking: {bad} of {done} requests failed")
            return done

        def memory() -> dict[str, int]:
            time.sleep(1)
            return {role: rss_bytes(system.processes.roots(role)) for role in ("gateway", "workers")}

        requests(wanted // 5)
        before = memory()
        done = requests(wanted)
        after = memory()
        wait_until("the slots to be free", lambda: slots(system) == 0, 10)
        left = slots(system)
    growth = {role: after[role] / before[role] - 1 for role in before}
    return Outcome(
        ", ".join(f"{role} {share:+.1%}" for role, share in growth.items()) + f", slots {left:.0f}, {done:,} requests",
        passed=all(share < 0.02 for share in growth.values()) and left == 0,
        good=True,
        raw={"requests": done, "rss_before": before, "rss_after": after, "slots": left},
    )


def slots(system: Setup) -> float:
    found = [value for key, value in system.metrics().items() if key.split("{")[0] in SLOTS]
    if not found:
        raise BenchError(f"reading the metrics: no {SLOTS[0]}")
    return sum(found)
