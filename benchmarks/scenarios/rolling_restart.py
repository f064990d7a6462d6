"""Every worker replaced, five times over, while requests come: none may fail."""

from __future__ import annotations

import time

from bench.load import Background
from bench.processes import BenchError

from scenarios.setup import Outcome, Setup, failed, outcomes

TITLE = "rolling restart of 10 workers, 5 cycles, 300k requests"
REQUIRED = "0 failed"
GOOD = "–"


def run(upstream: int, quick: bool) -> Outcome:
    workers, cycles, rate, requests = (3, 1, 1000, 10_000) if quick else (10, 5, 3000, 300_000)
    codes: dict[str, int] = {}
    with Setup(upstream, "rolling-restart", entry="counted", workers=workers) as system:
        log = system.folder / "shots.csv"
        started = time.monotonic()
        with Background(system.port, rate, requests / rate, log, connections=1024) as load:
            time.sleep(1)
            # the restarts are spread over the load, so that all of it meets them
            pace = (requests / rate - 3) / (workers * cycles)
            for number in range(workers * cycles):
                due = started + 1 + pace * number
                time.sleep(max(0.0, due - time.monotonic()))
                old = next(process for process in system.processes.all if process.role == "workers")
                system.add_worker()
                code = old.terminate()
                codes[str(code)] = codes.get(str(code), 0) + 1
                system.processes.all.remove(old)
            restarts_took = time.monotonic() - started
            total, shots = load.finish()
        system.processes.check()
        metrics = system.counters()
    if restarts_took > requests / rate + 1:
        raise BenchError(f"restarting: {workers * cycles} restarts took {restarts_took:.0f} s, longer than the load")
    lost = failed(shots)
    unclean = {code: count for code, count in codes.items() if code != "0"}
    return Outcome(
        f"{len(lost)} of {len(shots):,} failed in {workers * cycles} restarts"
        + (f", exit codes {unclean}" if unclean else ""),
        passed=not lost and not unclean,
        good=not lost and not unclean,
        raw={"failed": outcomes(lost), "exit_codes": codes, "metrics": metrics, "load": total.__dict__},
    )
