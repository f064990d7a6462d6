#!/usr/bin/env python3
"""CPU-µs of one trivial phase in the worker, without a network: `auth/nylon_app.py` through the in-memory port.

.venv/bin/python benchmarks/phase.py [phases per round, 50000]
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "auth"))

from nylon_app import TOKEN, plugin

from nylon._core import Dispatcher, MemoryRun, MemorySession
from nylon.sdk.running import LoopLane, new_event_loop

ROUNDS = 7
TASKS = 100  # started in one turn of the loop, as a batch of jobs is


def begin(dispatcher: Dispatcher, entry: str, token: str) -> Callable[[int], MemoryRun]:
    # Few and short headers, as in the shape `bare`.
    headers = [("host", b"127.0.0.1:8080"), ("user-agent", b"phase"), ("authorization", token.encode())]
    session = MemorySession(
        entry,
        method="GET",
        scheme="http",
        host="127.0.0.1",
        port=8080,
        path="/",
        query="",
        params=[],
        headers=headers,
        client_ip="127.0.0.1",
        timestamp_ms=time.time_ns() // 1_000_000,
        content_length=None,
        websocket=False,
        request_id="phase",
        body=b"",
        max_body=10 << 20,
    )
    return lambda phase: session.run(dispatcher, phase, payload=None, response=None, body=b"")


def plain(run: Callable[[int], object], phases: int) -> float:
    began = time.thread_time()
    for _ in range(phases):
        run(1)
    return time.thread_time() - began


async def looped(run: Callable[[int], object], phases: int) -> float:
    began = time.thread_time()
    for _ in range(phases // TASKS):
        for _ in range(TASKS):
            run(1)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    return time.thread_time() - began


def main() -> None:
    phases = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
    dispatcher = Dispatcher([entry.compiled for entry in plugin.describe()], lambda: None)
    for what, entry, token in (
        ("auth", "auth", TOKEN),
        ("auth, refused", "auth", "Bearer wrong"),
        ("hello", "hello", TOKEN),
        ("auth_async", "auth_async", TOKEN),
    ):
        run = begin(dispatcher, entry, token)
        if entry.endswith("async"):
            loop = new_event_loop()
            lane = LoopLane(dispatcher, loop)
            best = min(loop.run_until_complete(looped(run, phases)) for _ in range(ROUNDS))
            lane.close()
            loop.close()
        else:
            best = min(plain(run, phases) for _ in range(ROUNDS))
        print(f"{what:14} {best / phases * 1e6:.2f}")


if __name__ == "__main__":
    main()
