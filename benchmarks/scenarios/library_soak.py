"""Many requests through libraries: what they leave behind."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from bench.processes import BenchError, wait_until

from scenarios.endurance import endure_requests
from scenarios.libraries import InLibrary
from scenarios.setup import Outcome

LIMIT = 0.01
"""Growth of resident memory over the requests behind the warm-up."""


def soak(upstream: int, name: str, library: Path, wanted: int) -> Outcome:
    """`wanted` requests behind the warm-up; fails if the gateway grows, keeps a session, or refuses a request."""
    with InLibrary(upstream, f"library-soak-{name}", library) as gateway:
        endured = endure_requests(gateway, wanted)
        with suppress(BenchError):
            wait_until("the sessions to end", lambda: gateway.metric("nylon_ffi_sessions") == 0, 10)
        left = gateway.metric("nylon_ffi_sessions")
        threads = gateway.metric("nylon_ffi_threads")
    load, growth = endured.load, endured.growth("gateway")
    return Outcome(
        f"{growth}, {left:.0f} sessions, {load.requests:,} requests"
        + (f", {load.not_ok} failed" if load.not_ok else ""),
        passed=growth.share < LIMIT and left == 0 and load.not_ok == 0,
        good=True,
        raw={
            "requests": load.requests,
            "bad": load.not_ok,
            "rss": endured.sizes["gateway"],
            "left": left,
            "threads": threads,
        },
    )
