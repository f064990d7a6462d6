"""Gateway CPU per request at a fixed rate, in two set-ups that differ only in size."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from statistics import median

from bench.load import open_loop
from bench.matrix import measured
from bench.systems.nylon import Nylon

from scenarios.setup import Outcome

REQUIRED = "gateway CPU-µs per request ± 10 %"
GOOD = "–"
RATE = 8000


def nothing(_system: Nylon) -> AbstractContextManager[object]:
    return nullcontext()


def compare(
    small: Nylon,
    large: Nylon,
    quick: bool,
    *,
    around_small: Callable[[Nylon], AbstractContextManager[object]] = nothing,
    around_large: Callable[[Nylon], AbstractContextManager[object]] = nothing,
) -> Outcome:
    """Alternates between the two; medians."""
    seconds, rounds = (1, 1) if quick else (5, 5)
    figures: dict[str, list[float]] = {"small": [], "large": []}
    bad = 0
    with small, large, around_small(small), around_large(large):
        for name, system in (("small", small), ("large", large)) * (rounds + 1):
            load, cpu = measured(system, lambda port=system.port: open_loop(port, RATE, seconds, connections=64))
            figures[name].append(cpu["gateway"])
            bad += load.not_ok
    # the first of each was the warm-up
    before, after = (median(figures[name][1:]) for name in ("small", "large"))
    change = after / before - 1
    return Outcome(
        f"{before:.1f} → {after:.1f} µs ({change:+.1%})" + (f", {bad} not 2xx" if bad else ""),
        passed=abs(change) <= 0.1 and bad == 0,
        good=abs(change) <= 0.1,
        raw={"rate": RATE, "cpu_us": figures, "not_ok": bad},
    )
