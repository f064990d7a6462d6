"""Running the cases of one testee: several at a time, each with connections of its own."""

import asyncio
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .bus import Bus, Filter, untouched
from .cases import Case, FailedError
from .gateway_side import GatewaySide
from .programs import Program, Testee
from .report import FAILED, KNOWN, PASSED, SKIPPED, Result
from .web import Answer, Upstream, fetch
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


@dataclass
class Place:
    """One run of a case, under a name that no other run has: mutants run the same case at the same time."""

    case: Case
    mutant: Mutant | None = None
    name: str = ""
    wrong: str | None = None
    seconds: float = 0.0


@dataclass
class Running:
    """A testee that has been started, with what it needs."""

    testee: Testee
    url: str
    programs: list[Program] = field(default_factory=list[Program])
    upstream: Upstream = field(default_factory=Upstream)
    folder: Path = Path()
    address: str = ""
    admin: str = ""

    async def start(self, places: list[Place]) -> None:
        """Start what all cases share."""
        if self.testee.kind == "worker":
            self.programs.append(await self.worker("judged", {}))
            await self.warm(self.programs[0], "judged", "nylon")
            return
        await self.upstream.start()
        self.folder = Path(tempfile.mkdtemp(prefix="conformance-"))
        path = self.folder / "nylon.yaml"
        path.write_text(json.dumps(configuration(self.url, self.upstream.address, places), indent=1), encoding="utf-8")
        program = await Program.start([*self.testee.command, str(path)], self.testee.env)
        self.programs.append(program)
        self.address = (await program.line(r"listening(?=.*\blistener=http\b).*\baddress=['\"]?([^\s'\"]+)"))[1]
        self.admin = (await program.line(r"listening(?=.*\blistener=admin\b).*\baddress=['\"]?([^\s'\"]+)"))[1]
        for _ in range(400):
            if (await fetch(self.admin, "/readyz")).status == 200:
                return
            await asyncio.sleep(0.05)
        raise FailedError("the gateway is not ready after 20 s:\n" + "\n".join(program.lines[-20:]))

    async def worker(self, group: str, env: dict[str, str]) -> Program:
        """Start a process of a worker testee."""
        env = {**self.testee.env, **env, "NATS_SERVERS": self.url, "NATS_GROUP": group}
        return await Program.start(self.testee.command, env)

    async def stop(self) -> None:
        """End everything."""
        for program in self.programs:
            await program.kill()
        self.upstream.stop()
        if self.folder != Path():
            shutil.rmtree(self.folder)

    async def one(self, place: Place) -> None:
        """Run a case; what is wrong is in the place afterwards."""
        begun, mutant = time.monotonic(), place.mutant
        inward, outward = (mutant.inward(), mutant.outward()) if mutant else (untouched, untouched)
        bus = await Bus(self.url, inward, outward).open()
        try:
            if self.testee.kind == "worker":
                await self._worker_case(place, bus)
            else:
                side = WorkerSide(place.case, bus, place.name, group_of(place), self.address, self.upstream)
                if mutant:
                    side.mutate_answer = mutant.answer
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
    config: dict[str, Any] = {
        "http": ["127.0.0.1:0"],
        "metrics": ["127.0.0.1:0"],
        "threads": 2,
        "messaging": [{"name": "bus", "type": "nats", "servers": [nats]}],
        "plugins": [],
        "services": [{"name": "upstream", "service_type": "http", "endpoints": [_endpoint(upstream)]},
                     {"name": "nowhere", "service_type": "http", "endpoints": [{"ip": "127.0.0.1", "port": 1}]}],
        "routes": [],
    }  # fmt: skip
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
        config["routes"].append({
            "name": name,
            "route": {"type": "host", "value": f"{name}.test"},
            "middleware": links,
            "paths": [
                {"path": "/plugin", "service": {"name": service}},
                {"path": "/nowhere", "service": {"name": "nowhere"}},
                {"path": "/items/{id}", "service": {"name": "upstream"}},
                {"path": "/only-post", "service": {"name": "upstream"}, "methods": ["POST"]},
                {"path": ["/x", "/status/{n}", "/bytes/{n}", "/slow/{n}", "/late/{n}", "/cut/{n}",
                          "/events/{n}"],
                 "service": {"name": "upstream"}},
            ],
        })  # fmt: skip
    return config


def _endpoint(address: str) -> dict[str, Any]:
    host, port = address.rsplit(":", 1)
    return {"ip": host, "port": int(port)}


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
    known, results = testee.known(), list[Result]()
    mine = [case for case in cases if case.kind == testee.kind]
    places: list[Place] = []
    for case in mine:
        missing = [need for need in case.needs if need not in testee.features]
        if missing:
            results.append(Result(testee.name, case, SKIPPED, f"needs {', '.join(missing)}"))
        else:
            places.append(Place(case))
    await run_places(testee, url, places)
    for place in places:
        reason = known.get(place.case.id)
        verdict, text = (PASSED, "") if place.wrong is None else (FAILED, place.wrong)
        if reason is not None:
            verdict, text = (
                (FAILED, f"passes, but is listed as failing: {reason}") if place.wrong is None else (KNOWN, reason)
            )
        results.append(Result(testee.name, place.case, verdict, text, place.seconds))
    order = {case.id: number for number, case in enumerate(mine)}
    return sorted(results, key=lambda one: order[one.case.id])
