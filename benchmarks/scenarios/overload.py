"""Three times more than the workers can do: they must go on at full speed, and the rest must be refused at once.

The handler burns CPU, so that the worker is what is overloaded: on a machine that also carries the load generator,
three times the gateway's own capacity would only measure who gets the cores."""

from __future__ import annotations

import threading

from bench.load import open_loop
from bench.processes import rss_bytes

from scenarios.setup import Outcome, Setup, capacity

TITLE = "open loop at 3 × capacity"
REQUIRED = "goodput ≥ 90 % of peak, the rest 503 at once, memory bounded"
GOOD = "–"
AT_ONCE = 500.0
"""ms for the p99 of refusals, counted from when they were due."""
GROWTH = 256 << 20
"""Bytes that gateway and workers together may grow: their queues are bounded far below."""


def run(upstream: int, quick: bool) -> Outcome:
    seconds = 2 if quick else 15
    with Setup(upstream, "overload", entry="burn", workers=1, env={"BENCH_BURN_US": "500"}) as system:
        peak = capacity(system.port, quick)
        roots = system.processes.roots("gateway") + system.processes.roots("workers")
        before = rss_bytes(roots)
        highest, done = [before], threading.Event()

        def watch() -> None:
            while not done.wait(0.2):
                highest[0] = max(highest[0], rss_bytes(roots))

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            load = open_loop(system.port, peak * 3, seconds, warmup=1, connections=4096, timeout=15)
        finally:
            done.set()
            watcher.join()
        metrics = system.counters()
        again = capacity(system.port, quick)
    goodput = load.ok / seconds / peak
    others = {name: count for name, count in load.outcomes.items() if name != "503"}
    grown = highest[0] - before
    refused_p99 = load.other_p99 or 0.0
    return Outcome(
        f"goodput {goodput:.0%} of {peak:,.0f} req/s, refusals p99 {refused_p99:.0f} ms, + {grown / 2**20:.0f} MiB"
        + (f", other outcomes {others}" if others else ""),
        passed=goodput >= 0.9 and not others and refused_p99 <= AT_ONCE and grown <= GROWTH,
        good=goodput >= 0.9,
        raw={
            "peak": peak,
            "peak_afterwards": again,
            "metrics": metrics,
            "load": load.__dict__,
            "rss_before": before,
            "rss_highest": highest[0],
        },
    )
