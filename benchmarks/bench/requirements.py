"""What the matrix must show: ratios of medians at 64 connections, bare requests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from bench.matrix import Sample

CELL = "bare/64"


@dataclass(frozen=True)
class Ratio:
    """`over` is the best of several systems where a peer has variants."""

    title: str
    system: str
    over: tuple[str, ...]
    required: float
    good: float
    at_most: bool = False
    """Whether smaller is better."""
    value: Callable[[Sample], float] = lambda sample: sample.load.rps


GRANIAN = ("nginx-granian-rsgi", "nginx-granian-asgi")

RATIOS = (
    Ratio("proxy only ÷ nginx proxy", "nylon-proxy", ("nginx",), 0.85, 1.0),
    Ratio(
        "NATS + Python auth (sync) + upstream ÷ nginx auth_request → Granian", "nylon-auth-sync-2", GRANIAN, 2.0, 3.0
    ),
    Ratio("the same ÷ Envoy ext_proc → Python", "nylon-auth-sync-2", ("envoy-ext_proc",), 8.0, 12.0),
    Ratio("async handler ÷ sync handler", "nylon-auth-async-2", ("nylon-auth-sync-2",), 0.75, 0.9),
    Ratio("plugin service, 1 worker ÷ nginx proxy", "nylon-service-1", ("nginx",), 1.0, 1.4),
    Ratio(
        "plugin service, 1 worker: p99 ÷ nginx's",
        "nylon-service-1",
        ("nginx",),
        2.0,
        2.0,
        at_most=True,
        value=lambda sample: sample.load.p99,
    ),
    Ratio("plugin service, 10 workers ÷ nginx proxy", "nylon-service-10", ("nginx",), 0.8, 1.0),
    Ratio("in-process Python ÷ NATS Python, service", "nylon-python-service", ("nylon-service-1",), 1.3, 1.5),
    Ratio("FFI (Go) auth + upstream ÷ nginx proxy", "nylon-auth-ffi", ("nginx",), 0.6, 0.8),
    Ratio("the same without the mask symbol", "nylon-auth-ffi-without-mask", ("nginx",), 0.45, 0.6),
    Ratio("NATS (Go, 2 workers) ÷ FFI (Go), auth + upstream", "nylon-auth-go-2", ("nylon-auth-ffi",), 0.68, 0.8),
)


@dataclass(frozen=True)
class Judged:
    ratio: Ratio
    measured: float
    lowest: float
    """Smallest ratio of one round."""
    highest: float

    @property
    def passed(self) -> bool:
        bound = self.ratio.required
        return self.measured <= bound if self.ratio.at_most else self.measured >= bound

    @property
    def good(self) -> bool:
        bound = self.ratio.good
        return self.measured <= bound if self.ratio.at_most else self.measured >= bound


def by_round(samples: Sequence[Sample], system: str, value: Callable[[Sample], float]) -> dict[int, float]:
    return {s.round: value(s) for s in samples if s.system == system and s.cell == CELL}


def judge(samples: Sequence[Sample]) -> list[Judged]:
    """The ratios whose both sides were measured."""
    found: list[Judged] = []
    for ratio in RATIOS:
        ours = by_round(samples, ratio.system, ratio.value)
        sides = [side for name in ratio.over if (side := by_round(samples, name, ratio.value))]
        if not ours or not sides:
            continue
        theirs = max(sides, key=lambda side: median(side.values()))
        each = [ours[number] / theirs[number] for number in ours if theirs.get(number)]
        measured = median(ours.values()) / median(theirs.values())
        found.append(Judged(ratio, measured, min(each, default=measured), max(each, default=measured)))
    return found
