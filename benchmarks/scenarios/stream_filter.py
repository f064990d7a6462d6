"""A large body through a body filter that works piece by piece: neither side may have it in memory."""

from __future__ import annotations

import socket
import threading
import time

from bench.processes import BenchError

from scenarios.setup import Outcome
from scenarios.streams import MIB, Memory, dial, setup

TITLE = "1 GiB through a chunk-mode body filter"
REQUIRED = "RSS of gateway and worker + < 32 MiB each"
GOOD = "16 MiB"


def source(total: int) -> int:
    """An upstream that answers each request with so many bytes; its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            connection, _ = listener.accept()
            with connection:
                request = b""
                while b"\r\n\r\n" not in request:
                    request += connection.recv(4096)
                length = total if b"/filtered" in request else 0
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % length)
                piece = bytes(65536)
                for _ in range(length // len(piece)):
                    connection.sendall(piece)

    threading.Thread(target=serve, daemon=True).start()
    return listener.getsockname()[1]


def fetch(port: int) -> int:
    """Bytes of the answer, chunk framing included."""
    got = 0
    with dial(port, "/filtered") as client:
        tail = b""
        while not tail.endswith(b"\r\n0\r\n\r\n"):
            data = client.recv(1 << 18)
            if not data:
                raise BenchError(f"reading a filtered body: it ended after {got} bytes")
            got += len(data)
            tail = (tail + data)[-16:]
    return got


def run(upstream: int, quick: bool) -> Outcome:
    total = (64 if quick else 1024) * MIB
    with setup(source(total), "stream-filter") as system:
        memory = Memory(system)
        begun = time.monotonic()
        with memory.watched():
            got = fetch(system.port)
        seconds = time.monotonic() - begun
        growth = memory.growth
    if got < total:
        raise BenchError(f"reading a filtered body: {got} of {total} bytes")
    return Outcome(
        ", ".join(f"{role} + {mib:.1f} MiB" for role, mib in growth.items())
        + f", {total / MIB:.0f} MiB at {total / MIB / seconds:.0f} MiB/s",
        passed=all(mib < 32 for mib in growth.values()),
        good=all(mib < 16 for mib in growth.values()),
        raw={"bytes": total, "seconds": seconds, "growth_mib": growth},
    )
