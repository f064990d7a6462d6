"""kill -9 one of ten workers under load: only what it had in hand may fail."""

from __future__ import annotations

import math
import signal
import time

from bench.load import Background
from bench.processes import tree

from scenarios.setup import Outcome, Setup, failed, outcomes

TITLE = "kill -9 one of 10 workers at 5k req/s"
REQUIRED = "failed ≤ sessions in flight there, none after 1 s"
GOOD = "only those accepted"
RATE = 5000


def run(upstream: int, quick: bool) -> Outcome:
    before, after = (2.0, 2.0) if quick else (5.0, 10.0)
    with Setup(upstream, "kill-worker", entry="counted", workers=10) as system:
        log = system.folder / "shots.csv"
        with Background(system.port, RATE, before + after, log, connections=1024) as load:
            time.sleep(before)
            victim = next(process for process in system.processes.all if process.role == "workers")
            pids = tree([victim.pid])
            victim.kill(signal.SIGKILL)
            killed = time.time()
            total, shots = load.finish()
        metrics = system.counters()
        # the counters are files: they still say what the dead process had in hand
        counters = [system.folder / f"in-flight-{pid}" for pid in pids]
        accepted = sum(int.from_bytes(path.read_bytes(), "little") for path in counters if path.exists())
    lost = failed(shots)
    in_flight = sum(shot.sent < killed < shot.end for shot in shots)
    share = in_flight / 10
    there = max(accepted, math.ceil(share + 3 * math.sqrt(share)))
    last = max((shot.sent - killed for shot in lost), default=0.0)
    return Outcome(
        f"{len(lost)} failed ({accepted} accepted, ≤ {there} in flight there), last sent {last * 1e3:.0f} ms after",
        passed=len(lost) <= there and last <= 1.0,
        good=len(lost) <= accepted,
        raw={
            "failed": outcomes(lost),
            "accepted_there": accepted,
            "in_flight_everywhere": in_flight,
            "last_failed_sent_after_s": last,
            "slowest_ms": total.maximum,
            "p99_ms": total.p99,
            "metrics": metrics,
            "load": total.__dict__,
        },
    )
