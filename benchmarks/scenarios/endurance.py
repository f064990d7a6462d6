"""One long load, and how memory grows under it."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median

from bench.load import Load, closed_loop
from bench.processes import BenchError, rss_bytes, wait_until
from bench.systems.nylon import Nylon

WARM_UP = 0.2
"""So much of the load more comes before what is judged: until then pools, buffers and pages of the allocator fill."""
SPARE = 1.5
"""A load of so many requests lasts so much longer than it should need: a second one cannot follow."""


@dataclass(frozen=True)
class Growth:
    """Resident bytes of a role in the first quarter behind the warm-up, and what the last has more, as a share."""

    before: float
    share: float

    def __str__(self) -> str:
        return f"{self.share:+.1%} of {self.before / 2**20:.0f} MiB"


@dataclass(frozen=True)
class Endured:
    load: Load
    sizes: dict[str, list[int]]
    """Resident bytes of each role, every second."""

    def growth(self, role: str) -> Growth:
        sizes = self.sizes[role]
        warm = sizes[round(len(sizes) * WARM_UP / (1 + WARM_UP)) :]
        quarter = max(1, len(warm) // 4)
        before, after = median(warm[:quarter]), median(warm[-quarter:])
        return Growth(before, after / before - 1)


def endure(system: Nylon, seconds: float, roles: tuple[str, ...] = ("gateway",)) -> Endured:
    """A closed loop of 64 connections, the same ones all the time: while a second load began and the first one ended
    there would be twice as many, and the gateway keeps what those took, 2 MiB of 68, for long."""
    sizes: dict[str, list[int]] = {role: [] for role in roles}
    with ThreadPoolExecutor(1) as background:
        running = background.submit(closed_loop, system.port, 64, seconds * (1 + WARM_UP))
        while not running.done():
            time.sleep(1)
            for role in roles:
                sizes[role].append(rss_bytes(system.processes.roots(role)))
        return Endured(running.result(), sizes)


def endure_requests(system: Nylon, wanted: int, roles: tuple[str, ...] = ("gateway",)) -> Endured:
    """As `endure`, until so many requests have come behind the warm-up."""
    pace = closed_loop(system.port, 64, 5).rps
    wait_until("the connections to be closed", lambda: system.metric("nylon_connections") == 0)
    endured = endure(system, max(10, round(SPARE * wanted / max(pace, 1))), roles)
    if endured.load.requests < wanted * (1 + WARM_UP):
        raise BenchError(f"soaking: {endured.load.requests:,} of {wanted * (1 + WARM_UP):,.0f} requests")
    return endured
