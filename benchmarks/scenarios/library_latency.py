"""What a library adds when there is little to do: with and without the function that says which phases it has."""

from __future__ import annotations

from contextlib import ExitStack
from statistics import median

from bench import tools
from bench.load import Load, open_loop
from bench.systems.nylon import NylonProxy

from scenarios.libraries import InLibrary
from scenarios.setup import Outcome, capacity

TITLE = "added by a Go library, open loop at 20 % of capacity"
REQUIRED = "p50 ≤ 60 µs with mask, ≤ 150 µs without"
GOOD = "40, 120"


def run(upstream: int, quick: bool) -> Outcome:
    seconds, rounds = (1, 1) if quick else (5, 5)
    loads: dict[str, list[Load]] = {}
    with ExitStack() as stack:
        systems = {
            "proxy": NylonProxy(upstream),
            "mask": InLibrary(upstream, "library-mask", tools.go_library()),
            "inline": InLibrary(upstream, "library-inline", tools.go_library(), executor="inline"),
            "no mask": InLibrary(upstream, "library-no-mask", tools.go_library_without_mask()),
        }
        for system in systems.values():
            stack.enter_context(system)
        rate = capacity(systems["no mask"].port, quick) / 5
        for _ in range(rounds):
            for name, system in systems.items():
                loads.setdefault(name, []).append(open_loop(system.port, rate, seconds, warmup=0.5))
    p50 = {name: median(load.p50 for load in found) * 1000 for name, found in loads.items()}
    added = {name: value - p50["proxy"] for name, value in p50.items() if name != "proxy"}
    not_ok = sum(load.not_ok for found in loads.values() for load in found)
    return Outcome(
        ", ".join(f"{name} {value:.0f} µs" for name, value in added.items())
        + f" at {rate:,.0f} req/s"
        + (f", {not_ok} not 2xx" if not_ok else ""),
        passed=added["mask"] <= 60 and added["no mask"] <= 150 and not_ok == 0,
        good=added["mask"] <= 40 and added["no mask"] <= 120,
        raw={"rate": rate, "loads": {name: [load.__dict__ for load in found] for name, found in loads.items()}},
    )
