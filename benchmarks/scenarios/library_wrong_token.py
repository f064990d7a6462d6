"""A million requests with a wrong token, over a library and over NATS: none may reach the upstream."""

from __future__ import annotations

from bench import tools
from bench.systems.nylon import Nylon
from bench.systems.nylon_go import GO

from scenarios.libraries import WRONG, InLibrary, Reached, requests
from scenarios.setup import Outcome

TITLE = "1M requests with a wrong token each over a library, inline and on NATS, 512 connections"
REQUIRED = "0 reach the upstream"
GOOD = "–"


def run(upstream: int, quick: bool) -> Outcome:
    wanted = 10_000 if quick else 1_000_000
    workers = next(kind for kind in GO if kind.name == "nylon-auth-go-2")
    systems: dict[str, Nylon] = {
        "library": InLibrary(upstream, "library-wrong", tools.go_library()),
        "inline": InLibrary(upstream, "library-wrong-inline", tools.go_library(), executor="inline"),
        "nats": workers(upstream),
    }
    passed: dict[str, int] = {}
    sent: dict[str, int] = {}
    for name, system in systems.items():
        with system:
            counted = Reached(upstream)
            sent[name], refused = requests(system.port, wanted, connections=512, shape=WRONG, seconds=1 if quick else 5)
            # whatever the gateway says, the upstream knows
            passed[name] = max(counted.count(), sent[name] - refused)
    return Outcome(
        ", ".join(f"{name} {passed[name]} of {sent[name]:,}" for name in systems),
        passed=not any(passed.values()),
        good=True,
        raw={"sent": sent, "passed": passed},
    )
