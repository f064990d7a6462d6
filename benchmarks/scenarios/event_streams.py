"""A thousand listeners of ten events a second: none lost, none late."""

from __future__ import annotations

import contextlib
import selectors
import time
from statistics import quantiles

from bench.processes import BenchError

from scenarios.setup import Outcome
from scenarios.streams import Memory, dial, setup

TITLE = "1,000 SSE streams at 10 events/s"
REQUIRED = "p99 lateness ≤ 50 ms, none lost"
GOOD = "20 ms"


def run(upstream: int, quick: bool) -> Outcome:
    count, seconds = (100, 3) if quick else (1000, 20)
    late: list[float] = []
    got: dict[int, int] = {}
    out_of_order = 0
    with setup(upstream, "event-streams") as system, contextlib.ExitStack() as stack:
        memory = Memory(system)
        selector = stack.enter_context(selectors.DefaultSelector())
        buffers: dict[int, bytes] = {}
        with memory.watched():
            for _ in range(count):
                client = stack.enter_context(dial(system.port, f"/events?seconds={seconds}"))
                begun = client.recv(65536)
                if not begun.startswith(b"HTTP/1.1 200"):
                    raise BenchError(f"opening an event stream: {begun[:100]!r}")
                client.setblocking(False)
                _, _, first = begun.partition(b"\r\n\r\n")
                buffers[client.fileno()] = first
                got[client.fileno()] = 0
                selector.register(client, selectors.EVENT_READ, client)
            deadline = time.monotonic() + seconds + 30
            while selector.get_map() and time.monotonic() < deadline:
                for key, _ in selector.select(1):
                    data = key.data.recv(65536)
                    now = time.monotonic()
                    *events, rest = (buffers[key.fd] + data).split(b"\n\n")
                    buffers[key.fd] = rest
                    for event in events:
                        number, due = event.rpartition(b"data: ")[2].split()
                        out_of_order += int(number) != got[key.fd]
                        got[key.fd] += 1
                        late.append((now - float(due)) * 1e3)
                    if not data or rest.endswith(b"0\r\n\r\n") or b"\r\n0\r\n" in data:
                        selector.unregister(key.data)
        growth = memory.growth
    lost = count * seconds * 10 - sum(got.values())
    p99 = quantiles(late, n=100)[98] if len(late) > 1 else float("inf")
    return Outcome(
        f"p99 {p99:.1f} ms late, {lost} of {count * seconds * 10} lost, gateway + {growth['gateway']:.1f} MiB",
        passed=p99 <= 50 and lost == 0 and out_of_order == 0,
        good=p99 <= 20,
        raw={"streams": count, "seconds": seconds, "p99_ms": p99, "max_ms": max(late, default=0.0), "lost": lost},
    )
