"""Running the cases of one testee: several at a time, each with connections of its own."""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from .bus import Bus, Filter, untouched
from .cases import Case, FailedError
from .gateway import Gateway, base, route
from .gateway_side import GatewaySide
from .programs import Program, Testee
from .report import FAILED, KNOWN, PASSED, SKIPPED, Result
from .web import Answer, Upstream
from .worker_side import WorkerSide

AT_ONCE = 8


@dataclass(frozen=True)
class Mutant:
    """A bug of the testee that is not there: what it says, hears or answers is changed on its way to the judge."""

    name: str
    kind: str
    cases: list[str]
    inward: Callable[[], Filter] = lambda: untouched
    outward: Callable[[], Filter] = lambda: untouched
    answer: Callable[[Answer], Answer] = lambda answer: answer
    request: Callable[[dict[str, Any]], dict[str, Any]] = lambda seen: seen


@dataclass
class Place:
    """One run of a case, under a name that no other run has: mutants run the same case at the same time."""

    case: Case
    mutant: Mutant | None = None
    name: str = ""
    wrong: str | None = None
    # what a client and the upstream have seen of a plugin
    record: list[Any] = field(default_factory=list[Any])
    seconds: float = 0.0


@dataclass
class Running:
    """A testee that has been started, with what it needs."""

    testee: Testee
    url: str
    programs: list[Program] = field(default_factory=list[Program])
    upstream: Upstream = field(default_factory=Upstream)
    gateway: Gateway | None = None

    async def start(self, places: list[Place]) -> None:
        """Start what all cases share."""
        if self.testee.kind == "worker":
            self.programs.append(await self.worker("judged", {}))
            await self.warm(self.programs[0], "judged", "nylon")
            return
        await self.upstream.start()
        self.gateway = await Gateway.start(self.testee, configuration(self.url, self.upstream.address, places))

    async def worker(self, group: str, env: dict[str, str]) -> Program:
        """Start a process of a worker testee."""
        env = {**self.testee.env, **env, "NATS_SERVERS": self.url, "NATS_GROUP": group}
        return await Program.start(self.testee.command, env)

    async def stop(self) -> None:
        """End everything."""
        for program in self.programs:
            await program.kill()
        self.upstream.stop()
        if self.gateway is not None:
            await self.gateway.stop()

    async def one(self, place: Place) -> None:
        """Run a case; what is wrong is in the place afterwards."""
        begun, mutant = time.monotonic(), place.mutant
        inward, outward = (mutant.inward(), mutant.outward()) if mutant else (untouched, untouched)
        bus = await Bus(self.url, inward, outward).open()
        try:
            if self.testee.kind == "worker":
                await self._worker_case(place, bus)
            else:
                assert self.gateway is not None
                address = self.gateway.address
                side = WorkerSide(place.case, bus, place.name, group_of(place), address, self.upstream)
                if mutant:
                    side.client.mutate_answer, side.client.mutate_request = mutant.answer, mutant.request
                await side.run()
        except FailedError as error:
            place.wrong = str(error)
        finally:
            await bus.close()
        place.seconds = time.monotonic() - begun

    async def warm(self, program: Program, group: str, prefix: str) -> None:
        """Open until it is answered: the first Initialize is over, and what is judged is no process that starts."""
        case = Case("warm", "warm", "worker", "warm", [], [{"warm": "request only"}])
        bus = await Bus(self.url).open()
        try:
            await GatewaySide(case, bus, program, group, prefix).run()
        finally:
            await bus.close()

    async def _worker_case(self, place: Place, bus: Bus) -> None:
        if place.case.own is None:
            await GatewaySide(place.case, bus, self.programs[0], "judged").run()
            return
        env = dict(place.case.own)
        group = env.pop("group", "") or place.name
        program, prefix = await self.worker(group, env), env.get("NYLON_PREFIX", "nylon")
        try:
            if "initialize" not in place.case.needs:
                await self.warm(program, group, prefix)
            await GatewaySide(place.case, bus, program, group, prefix).run()
        finally:
            await program.kill()


def group_of(place: Place) -> str:
    """The group of the workers of a place: where the case asks for it with letters that need escaping."""
    return str(place.case.config.get("group", "{}")).format(place.name)


def configuration(nats: str, upstream: str, places: Iterable[Place]) -> dict[str, Any]:
    """One gateway for all: each place has a host, a plugin and a group."""
    config = base(nats, upstream)
    prefixes = {place.case.config["prefix"] for place in places if "prefix" in place.case.config}
    config["messaging"] += [{"name": name, "type": "nats", "servers": [nats], "prefix": name} for name in prefixes]
    for place in places:
        case, name = place.case.config, place.name
        bus = case.get("prefix", "bus")
        plugin = {
            "name": name,
            "type": "messaging",
            "messaging": bus,
            "group": group_of(place),
            **case.get("plugin", {}),
        }
        config["plugins"].append(plugin)
        service = f"{name}-service"
        config["services"].append(
            {
                "name": service,
                "service_type": "plugin",
                "plugin": {"name": name, "entry": "service", **case.get("service", {})},
            }
        )
        links = [{"plugin": name, **link} for link in case.get("chain", [{"entry": "filter"}])]
        config["routes"].append(route(name, links, service))
    return config


async def run_places(testee: Testee, url: str, places: list[Place]) -> None:
    """Run cases, so many at a time."""
    for number, place in enumerate(places):
        place.name = f"p{number}"
    running = Running(testee, url)
    limit = asyncio.Semaphore(AT_ONCE)

    async def one(place: Place) -> None:
        async with limit:
            try:
                await asyncio.wait_for(running.one(place), 90)
            except TimeoutError:
                place.wrong = "not over after 90 s"

    try:
        await running.start(places)
        await asyncio.gather(*map(one, places))
    finally:
        await running.stop()


async def run_testee(testee: Testee, url: str, cases: list[Case]) -> list[Result]:
    """Every case of its kind that its features allow."""
    mine = [case for case in cases if case.kind == testee.kind]
    places, results = chosen(testee.name, testee.features, mine)
    if places:
        await run_places(testee, url, places)
    known = testee.known()
    results += [judged(testee.name, place, known.get(place.case.id)) for place in places]
    order = {case.id: number for number, case in enumerate(mine)}
    return sorted(results, key=lambda one: order[one.case.id])


def chosen(name: str, features: Sequence[str], cases: Iterable[Case]) -> tuple[list[Place], list[Result]]:
    """The places of those cases whose needs are met, and results for the others."""
    places, results = list[Place](), list[Result]()
    for case in cases:
        if missing := [need for need in case.needs if need not in features]:
            results.append(Result(name, case, SKIPPED, f"needs {', '.join(missing)}"))
        else:
            places.append(Place(case))
    return places, results


def judged(name: str, place: Place, reason: str | None) -> Result:
    """What came of a case that has run; `reason` is given if it is known to fail."""
    verdict, text = (PASSED, "") if place.wrong is None else (FAILED, place.wrong)
    if reason is not None:
        told = f"passes, but is listed as failing: {reason}"
        verdict, text = (FAILED, told) if place.wrong is None else (KNOWN, reason)
    return Result(name, place.case, verdict, text, place.seconds)
