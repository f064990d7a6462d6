"""The matrix: every system × request shape × load, in interleaved rounds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import median

from bench.load import Load, closed_loop, open_loop
from bench.processes import BenchError
from bench.shapes import BARE, SHAPES, Shape
from bench.systems.base import System

FLOOR = 0.25
"""Below this share of direct, nginx's proxy says that the machine is too disturbed to compare anything."""


CELL_FLOOR = "bare/64"


class Refused(Exception):
    """The machine is unfit for measuring."""


@dataclass(frozen=True)
class Plan:
    rounds: int = 5
    seconds: float = 2.0
    warmup: float = 1.0
    connections: tuple[int, ...] = (64, 200)
    shapes: tuple[str, ...] = ("bare", "headers")
    open_loop: bool = True


@dataclass
class Sample:
    """One measured interval."""

    round: int
    system: str
    shape: str
    load: Load
    cpu_us: dict[str, float]
    """CPU-µs per answer, by role."""

    @property
    def cell(self) -> str:
        return cell(self.shape, self.load.kind, self.load.connections)

    def as_json(self) -> dict[str, object]:
        return {"cell": self.cell, **asdict(self)}


def cell(shape: str, kind: str, connections: int) -> str:
    return f"{shape}/open" if kind == "open" else f"{shape}/{connections}"


def measured(system: System, load: Callable[[], Load]) -> tuple[Load, dict[str, float]]:
    """One interval with the CPU time of the system's roles around it."""
    before = system.processes.cpu()
    result = load()
    after = system.processes.cpu()
    system.processes.check()
    if result.answered == 0:
        raise BenchError(f"measuring {system.name}: no answer at all: {result.outcomes}")
    return result, {role: (after[role] - before[role]) / result.answered * 1e6 for role in after}


def one_round(number: int, system: System, plan: Plan, say: Callable[[str], None]) -> list[Sample]:
    """Everything about one started system."""
    samples: list[Sample] = []
    closed_loop(system.port, plan.connections[0], plan.warmup)
    for name in plan.shapes:
        shape: Shape = SHAPES[name]
        for connections in plan.connections:

            def closed(shape: Shape = shape, connections: int = connections) -> Load:
                return closed_loop(system.port, connections, plan.seconds, shape)

            load, cpu = measured(system, closed)
            samples.append(Sample(number, system.name, name, load, cpu))
    if plan.open_loop:
        rate = samples[0].load.rps / 2

        def half() -> Load:
            return open_loop(system.port, rate, plan.seconds, warmup=plan.warmup, shape=BARE)

        load, cpu = measured(system, half)
        samples.append(Sample(number, system.name, "bare", load, cpu))
    first = samples[0]
    bad = sum(sample.load.not_ok for sample in samples)
    say(
        f"round {number}  {system.title:<40} {first.load.rps:>9,.0f} req/s  p99 {first.load.p99:>7.2f} ms"
        + (f"  NOT 2xx: {bad}" if bad else "")
    )
    return samples


def check_machine(direct: System, nginx: type[System], seconds: float) -> float:
    """nginx's proxy ÷ direct, measured now. Refused when it is below the floor."""
    bare = closed_loop(direct.port, 64, seconds)
    with nginx(direct.port) as proxy:
        proxied = closed_loop(proxy.port, 64, seconds)
    refuse_below_floor(proxied.rps, bare.rps)
    return proxied.rps / bare.rps


def refuse_below_floor(proxied: float, direct: float) -> None:
    if proxied < FLOOR * direct:
        raise Refused(
            f"nginx's proxy reaches {proxied:,.0f} req/s, {proxied / direct:.0%} of the {direct:,.0f} without it;"
            f" below {FLOOR:.0%} nothing measured here says anything: end what else uses this machine, and try again"
        )


def median_of(samples: Sequence[Sample], system: str, cell: str, value: Callable[[Sample], float]) -> float | None:
    found = [value(sample) for sample in samples if sample.system == system and sample.cell == cell]
    return median(found) if found else None
