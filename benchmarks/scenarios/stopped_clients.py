"""A thousand clients that do not read their streams: the producers must stop, and others must not notice."""

from __future__ import annotations

import contextlib
import socket

from bench.load import open_loop

from scenarios.setup import Outcome
from scenarios.streams import MIB, Memory, dial, setup, still

TITLE = "1,000 stopped clients on streams"
REQUIRED = "gateway + < 64 MiB, producers stop, p99 of others ≤ 2 × without"
GOOD = "32 MiB"


def stopped_client(port: int) -> socket.socket:
    """One whose stream has begun. It reads no more than the status; a worker may be too busy for so many at once."""
    while True:
        client = dial(port, "/flood", receive=4096)
        if client.recv(12) == b"HTTP/1.1 200":
            return client
        client.close()


def run(upstream: int, quick: bool) -> Outcome:
    count, seconds = (100, 1) if quick else (1000, 5)
    with setup(upstream, "stopped-clients") as system, contextlib.ExitStack() as stack:
        # What it costs to become warm is none of theirs.
        open_loop(system.port, 500, seconds, warmup=0.5, connections=64)
        memory = Memory(system)
        with memory.watched():
            without = open_loop(system.port, 500, seconds, warmup=0.5, connections=64)
            for _ in range(count):
                stack.enter_context(stopped_client(system.port))

            def written() -> float:
                file = system.folder / "written"
                return float(file.read_text() or 0) if file.exists() else 0

            total = still(0, written, 5)
            with_them = open_loop(system.port, 500, seconds, warmup=0.5, connections=64)
            stopped = written() == total
        growth = memory.growth["gateway"]
    ratio = with_them.p99 / max(without.p99, 1e-3)
    return Outcome(
        f"gateway + {growth:.1f} MiB, {total / MIB:.0f} MiB written then {'still' if stopped else 'NOT STOPPED'}, "
        f"others' p99 {without.p99:.2f} → {with_them.p99:.2f} ms",
        passed=growth < 64 and stopped and ratio <= 2,
        good=growth < 32,
        raw={"clients": count, "growth_mib": growth, "written": total, "p99": [without.p99, with_them.p99]},
    )
