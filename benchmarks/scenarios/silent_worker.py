"""SIGSTOP one of ten workers: it must be left out within a second, and nobody may notice after that."""

from __future__ import annotations

import os
import signal
import time

from bench.load import Background
from bench.processes import tree

from scenarios.setup import Outcome, Setup, failed, outcomes

TITLE = "worker silent (SIGSTOP), `auto`"
REQUIRED = "ejected ≤ 1 s; later requests unharmed"
GOOD = "0.5 s"
RATE = 2000
HARMED = 100.0
"""ms; the handler takes 10."""


def run(upstream: int, quick: bool) -> Outcome:
    before, after = (2.0, 4.0) if quick else (5.0, 15.0)
    with Setup(upstream, "silent-worker", entry="pause", workers=10) as system:
        log = system.folder / "shots.csv"
        with Background(system.port, RATE, before + after, log, connections=1024) as load:
            time.sleep(before)
            victim = next(process for process in system.processes.all if process.role == "workers")
            pids = tree([victim.pid])
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            stopped = time.time()
            try:
                total, shots = load.finish()
                metrics = system.counters()
            finally:
                for pid in pids:
                    os.kill(pid, signal.SIGCONT)
    later = [shot for shot in shots if shot.sent > stopped]
    harmed = [shot for shot in later if not shot.ok or shot.latency > HARMED]
    ejected = max((shot.sent - stopped for shot in harmed), default=0.0)
    after_1s = [shot for shot in harmed if shot.sent - stopped > 1.0]
    return Outcome(
        f"last harmed request {ejected:.2f} s after the stop; {len(harmed)} harmed, {len(failed(shots))} failed",
        passed=ejected <= 1.0,
        good=ejected <= 0.5,
        raw={
            "harmed": len(harmed),
            "harmed_after_1s": len(after_1s),
            "failed": outcomes(failed(shots)),
            "last_harmed_sent_after_s": ejected,
            "metrics": metrics,
            "load": total.__dict__,
        },
    )
