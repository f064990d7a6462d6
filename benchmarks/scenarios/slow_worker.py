"""One of ten workers is ten times slower: `auto` must give it a tenth of the work, not a tenth of the requests."""

from __future__ import annotations

from statistics import median

from bench.load import Load, open_loop

from scenarios.setup import Outcome, Setup, capacity

TITLE = "one of 10 workers 10× slower (sleep), open loop at half capacity"
REQUIRED = "`auto` p99 ≤ 1.5 × healthy"
GOOD = "1.2 ×"
PAUSE_MS = 5


class OneSlow(Setup):
    """The last worker pauses ten times as long."""

    def launch(self) -> None:
        self.count -= 1
        super().launch()
        self.count += 1
        self.add_worker(BENCH_PAUSE_MS=str(PAUSE_MS * 10))


def run(upstream: int, quick: bool) -> Outcome:
    seconds, rounds = (2, 1) if quick else (5, 5)
    env = {"BENCH_PAUSE_MS": str(PAUSE_MS)}
    loads: dict[str, list[Load]] = {"healthy": [], "one slow": []}
    with (
        Setup(upstream, "all-healthy", entry="pause", workers=10, env=env) as healthy,
        OneSlow(upstream, "one-slow", entry="pause", workers=10, env=env) as slow,
    ):
        rate = capacity(healthy.port, quick, connections=200) / 2
        for _ in range(rounds):
            for name, system in (("healthy", healthy), ("one slow", slow)):
                loads[name].append(open_loop(system.port, rate, seconds, warmup=2, connections=512))
    p99 = {name: median(load.p99 for load in found) for name, found in loads.items()}
    ratio = p99["one slow"] / p99["healthy"]
    not_ok = sum(load.not_ok for found in loads.values() for load in found)
    return Outcome(
        f"{ratio:.2f} × ({p99['healthy']:.1f} → {p99['one slow']:.1f} ms)" + (f", {not_ok} not 2xx" if not_ok else ""),
        passed=ratio <= 1.5 and not_ok == 0,
        good=ratio <= 1.2,
        raw={"rate": rate, "loads": {name: [load.__dict__ for load in found] for name, found in loads.items()}},
    )
