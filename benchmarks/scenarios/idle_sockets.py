"""10,000 WebSockets of a plugin that nobody speaks on: what each of them costs the gateway."""

from __future__ import annotations

import resource
import time

from bench.processes import BenchError, rss_bytes
from bench.sockets import clients

from scenarios.setup import Outcome, Setup
from scenarios.sockets import setup

TITLE = "10,000 idle plugin WebSockets"
REQUIRED = "< 20 KiB each in the gateway"
GOOD = "12 KiB"
WARM = 200


def _memory(system: Setup, role: str) -> int:
    return rss_bytes(system.processes.roots(role))


def run(upstream: int, quick: bool) -> Outcome:
    count = 1000 if quick else 10_000
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files < count + 500:
        raise BenchError(f"opening {count} sockets: only {files} files may be open (ulimit -n)")
    with setup(upstream, "idle-sockets") as system:
        # What the first ones allocate for all is not theirs.
        with clients([system.port], "/echo", WARM):
            pass
        before = {role: _memory(system, role) for role in ("gateway", "workers")}
        with clients([system.port], "/echo", count) as everybody:
            time.sleep(1 if quick else 30)
            each = {role: (_memory(system, role) - had) / count / 1024 for role, had in before.items()}
            for client in everybody:
                client.say()
                heard = client.first()
                if heard != (client.number, 0):
                    raise BenchError(f"the idle websocket {client.number} does not echo")
    return Outcome(
        f"{each['gateway']:.1f} KiB each in the gateway, {each['workers']:.1f} KiB in the worker",
        passed=each["gateway"] < 20,
        good=each["gateway"] <= 12,
        raw={"sockets": count, **each},
    )
