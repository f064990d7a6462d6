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
OPENED_AT_ONCE = 10


class Listener:
    """One client: which events it has had, and how late each was."""

    def __init__(self, port: int, seconds: int) -> None:
        self.client = dial(port, f"/events?seconds={seconds}")
        self.client.setblocking(False)
        self.got = 0
        self.out_of_order = 0
        self._rest = b""
        self._begun = False

    def read(self, late: list[float]) -> bool:
        """Take what is there; False at the end of the answer."""
        data = self.client.recv(65536)
        now = time.monotonic()
        *events, self._rest = (self._rest + data).split(b"\n\n")
        if not self._begun:
            head = events[0] if events else self._rest
            if b"\r\n\r\n" not in head and data:
                return True
            if not head.startswith(b"HTTP/1.1 200"):
                raise BenchError(f"opening an event stream: {head[:100]!r}")
            self._begun = True
        for event in events:
            number, due = event.rpartition(b"data: ")[2].split()
            self.out_of_order += int(number) != self.got
            self.got += 1
            late.append((now - float(due)) * 1e3)
        return bool(data) and not self._rest.endswith(b"0\r\n\r\n")


def run(upstream: int, quick: bool) -> Outcome:
    count, seconds = (100, 3) if quick else (1000, 20)
    late: list[float] = []
    listeners: list[Listener] = []
    with setup(upstream, "event-streams") as system, contextlib.ExitStack() as stack:
        memory = Memory(system)
        selector = stack.enter_context(selectors.DefaultSelector())
        with memory.watched():
            deadline = time.monotonic() + seconds + 30
            while (selector.get_map() or len(listeners) < count) and time.monotonic() < deadline:
                # Who listens already is read while others come, a thousand a second.
                for _ in range(min(OPENED_AT_ONCE, count - len(listeners))):
                    listeners.append(Listener(system.port, seconds))
                    stack.enter_context(listeners[-1].client)
                    selector.register(listeners[-1].client, selectors.EVENT_READ, listeners[-1])
                for key, _ in selector.select(0.01 if len(listeners) < count else 1):
                    if not key.data.read(late):
                        selector.unregister(key.fileobj)
        growth = memory.growth
    expected = count * seconds * 10
    lost = expected - sum(one.got for one in listeners)
    out_of_order = sum(one.out_of_order for one in listeners)
    p99 = quantiles(late, n=100)[98] if len(late) > 1 else float("inf")
    return Outcome(
        f"p99 {p99:.1f} ms late, {lost} of {expected} lost, gateway + {growth['gateway']:.1f} MiB",
        passed=p99 <= 50 and lost == 0 and out_of_order == 0,
        good=p99 <= 20,
        raw={"streams": count, "seconds": seconds, "p99_ms": p99, "max_ms": max(late, default=0.0), "lost": lost},
    )
