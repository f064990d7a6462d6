"""One module per remaining row of what the benchmark must show: TITLE, REQUIRED, GOOD and run(upstream, quick)."""

from __future__ import annotations

from importlib import import_module
from typing import Any

NAMES = (
    "services",
    "added_latency",
    "slow_handlers",
    "follower_threads",
    "no_worker",
    "kill_worker",
    "kill_nats",
    "silent_worker",
    "slow_worker",
    "overload",
    "rolling_restart",
    "soak",
    "growth_routes",
    "growth_plugins",
    "growth_connections",
    "stream_filter",
    "stopped_clients",
    "event_streams",
    "socket_echo",
    "socket_broadcast",
    "idle_sockets",
    "library_latency",
    "library_soak_go",
    "library_soak_c",
    "library_wrong_token",
    "library_two",
)


def run(name: str, upstream: int, quick: bool) -> dict[str, Any]:
    """Runs one scenario; the outcome as it is stored."""
    module = import_module(f"scenarios.{name}")
    outcome = module.run(upstream, quick)
    return {
        "name": name,
        "title": module.TITLE,
        "required": module.REQUIRED,
        "good": module.GOOD,
        "figure": outcome.figure,
        "passed": outcome.passed,
        "is_good": outcome.passed and outcome.good,
        "raw": outcome.raw,
    }
