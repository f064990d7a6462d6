"""Many requests through libraries: what they leave behind."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from statistics import median

from bench.load import closed_loop
from bench.processes import BenchError, rss_bytes, wait_until

from scenarios.libraries import InLibrary
from scenarios.setup import Outcome

LIMIT = 0.01
"""Growth of resident memory over the requests behind the warm-up."""
WARM_UP = 0.2
"""So much of the requests more comes before them: until then pools, buffers and pages of the allocator fill."""
SPARE = 1.5
"""The load lasts so much longer than it should need: one that is too short cannot be followed by another."""


def soak(upstream: int, name: str, library: Path, wanted: int) -> Outcome:
    """`wanted` requests behind the warm-up; fails if the gateway grows, keeps a session, or refuses a request.

    They come over the same connections: while a second load began and the first one ended there would be twice as many,
    and the gateway keeps what those took, 2 MiB of 68, for long. Memory is read every second meanwhile."""
    wanted += round(wanted * WARM_UP)
    sizes: list[int] = []
    with InLibrary(upstream, f"library-soak-{name}", library) as gateway, ThreadPoolExecutor(1) as background:
        pace = closed_loop(gateway.port, 64, 5).rps
        wait_until("the connections to be closed", lambda: gateway.metric("nylon_connections") == 0)
        seconds = max(10, round(SPARE * wanted / max(pace, 1)))
        running = background.submit(closed_loop, gateway.port, 64, seconds)
        while not running.done():
            time.sleep(1)
            sizes.append(rss_bytes(gateway.processes.roots("gateway")))
        load = running.result()
        if load.requests < wanted:
            raise BenchError(f"soaking: {load.requests:,} of {wanted:,} requests in {seconds} s")
        with suppress(BenchError):
            wait_until("the sessions to end", lambda: gateway.metric("nylon_ffi_sessions") == 0, 10)
        left = gateway.metric("nylon_ffi_sessions")
        threads = gateway.metric("nylon_ffi_threads")
    warm = sizes[round(len(sizes) * WARM_UP / (1 + WARM_UP)) :]
    quarter = len(warm) // 4
    before, after = median(warm[:quarter]), median(warm[-quarter:])
    growth = after / before - 1
    return Outcome(
        f"{growth:+.1%} of {before / 2**20:.0f} MiB, {left:.0f} sessions, {load.requests:,} requests"
        + (f", {load.not_ok} failed" if load.not_ok else ""),
        passed=growth < LIMIT and left == 0 and load.not_ok == 0,
        good=True,
        raw={"requests": load.requests, "bad": load.not_ok, "rss": sizes, "left": left, "threads": threads},
    )
