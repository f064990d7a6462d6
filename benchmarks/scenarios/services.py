"""The comparison with `auth_request`, every process a service: systemd gives each a session, and kernels with autogroup
share time among sessions first."""

from __future__ import annotations

from statistics import median

from bench.load import closed_loop
from bench.processes import Processes, free_port
from bench.shapes import BARE
from bench.systems.base import System
from bench.systems.nylon import OURS
from bench.systems.peers import Direct, NginxGranianAsgi, NginxGranianRsgi

from scenarios.setup import Outcome

TITLE = "NATS + Python auth (sync) + upstream ÷ nginx auth_request → Granian, each process a service"
REQUIRED = "2.0"
GOOD = "3"


class Upstream(Direct):
    name = "services-direct"


def run(upstream: int, quick: bool) -> Outcome:
    del upstream  # it is in the session of this program
    rounds, seconds = (1, 1) if quick else (5, 2)
    auth = next(kind for kind in OURS if kind.name == "nylon-auth-sync-2")
    kinds: tuple[type[System], ...] = (auth, NginxGranianRsgi, NginxGranianAsgi)
    rates: dict[str, list[float]] = {kind.name: [] for kind in kinds}
    Processes.apart = True
    try:
        with Upstream(free_port()) as direct:
            for number in range(rounds):
                for kind in kinds if number % 2 else reversed(kinds):
                    with kind(direct.port) as system:
                        closed_loop(system.port, 64, 1, BARE)
                        rates[kind.name].append(closed_loop(system.port, 64, seconds, BARE).rps)
    finally:
        Processes.apart = False
    ours, *theirs = (median(rates[kind.name]) for kind in kinds)
    ratio = ours / max(theirs)
    return Outcome(
        f"{ratio:.2f}: {ours:,.0f} and {max(theirs):,.0f} req/s",
        passed=ratio >= 2,
        good=ratio >= 3,
        raw={"rates": rates},
    )
