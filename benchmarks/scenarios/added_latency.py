"""What the plugin adds: the same gateway with and without it, at the same rate, half of what it can do with it."""

from __future__ import annotations

from statistics import median

from bench.load import Load, open_loop
from bench.systems.nylon import NylonProxy

from scenarios.setup import Outcome, Setup, capacity

TITLE = "added by the plugin, open loop at half capacity"
REQUIRED = "p50 ≤ 0.5 ms, p99 ≤ 2.5 ms"
GOOD = "0.3, 1.5"


def run(upstream: int, quick: bool) -> Outcome:
    seconds, rounds = (1, 1) if quick else (5, 5)
    plain: list[Load] = []
    plugin: list[Load] = []
    with Setup(upstream, "added-latency") as with_plugin, NylonProxy(upstream) as proxy:
        rate = capacity(with_plugin.port, quick) / 2
        for _ in range(rounds):
            plain.append(open_loop(proxy.port, rate, seconds, warmup=0.5))
            plugin.append(open_loop(with_plugin.port, rate, seconds, warmup=0.5))
    p50 = median(load.p50 for load in plugin) - median(load.p50 for load in plain)
    p99 = median(load.p99 for load in plugin) - median(load.p99 for load in plain)
    not_ok = sum(load.not_ok for load in plugin + plain)
    return Outcome(
        f"p50 {p50:.2f} ms, p99 {p99:.2f} ms at {rate:,.0f} req/s" + (f", {not_ok} not 2xx" if not_ok else ""),
        passed=p50 <= 0.5 and p99 <= 2.5 and not_ok == 0,
        good=p50 <= 0.3 and p99 <= 1.5,
        raw={"rate": rate, "plain": [load.__dict__ for load in plain], "plugin": [load.__dict__ for load in plugin]},
    )
