"""Many requests through libraries: what they leave behind."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

from bench.processes import BenchError, rss_bytes, wait_until

from scenarios.libraries import InLibrary, requests
from scenarios.setup import Outcome

LIMIT = 0.02
"""Growth of resident memory between a fifth of the requests and all of them."""


def soak(upstream: int, name: str, library: Path, wanted: int) -> Outcome:
    """`wanted` requests; fails if the gateway grows, keeps a session, or refuses a request."""
    seconds = 1 if wanted < 100_000 else 5
    with InLibrary(upstream, f"library-soak-{name}", library) as gateway:

        def memory() -> int:
            time.sleep(1)
            return rss_bytes(gateway.processes.roots("gateway"))

        requests(gateway.port, wanted // 5, seconds=seconds)
        before = memory()
        done, bad = requests(gateway.port, wanted, seconds=seconds)
        after = memory()
        with suppress(BenchError):
            wait_until("the sessions to end", lambda: gateway.metric("nylon_ffi_sessions") == 0, 10)
        left = gateway.metric("nylon_ffi_sessions")
        threads = gateway.metric("nylon_ffi_threads")
    growth = after / before - 1
    return Outcome(
        f"{growth:+.1%} of {before / 2**20:.0f} MiB, {left:.0f} sessions, {done:,} requests"
        + (f", {bad} not 2xx" if bad else ""),
        passed=growth < LIMIT and left == 0 and bad == 0,
        good=True,
        raw={"requests": done, "bad": bad, "rss_before": before, "rss_after": after, "left": left, "threads": threads},
    )
