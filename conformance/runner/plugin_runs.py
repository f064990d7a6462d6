"""Running the cases of plugins: behind a gateway, over every transport that a testee declares, in both forms."""

import asyncio
import json
import time
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from .cases import Case, CaseError, FailedError
from .gateway import Gateway, base, route
from .likeness import Likeness
from .plugin_side import PluginSide
from .programs import Program, Testee, Transport
from .report import Result
from .runs import AT_ONCE, Place, chosen, judged
from .web import Upstream, fetch

FORMS = {"": "s", "async": "a"}
"""How handlers are written, and the letter of it in the names of places, which all have the same length."""
TWICE = ("plan", "filter_stream")
"""Entries that a testee has in both forms, the second one with `_async` behind its name."""


@dataclass
class House:
    """A gateway with a plugin over one transport, for cases that ask for the same settings."""

    testee: Testee
    transport: Transport
    gateway: Testee
    url: str
    number: int
    worker: Program | None = None
    running: Gateway | None = None
    upstream: Upstream = field(default_factory=Upstream)

    async def start(self, placed: list[tuple[Place, str]]) -> None:
        """Start all of it; ready when the plugin has answered once."""
        case = placed[0][0].case
        env, group = {**self.testee.env, **(case.own or {})}, f"house{self.number}"
        if self.transport.serves:
            told = {"NATS_SERVERS": self.url, "NATS_GROUP": group}
            self.worker = await Program.start(self.testee.command, {**env, **told})
        await self.upstream.start()
        config = {**base(self.url, self.upstream.address), **case.config.get("gateway", {})}
        plugin = {**self.transport.plugin, "name": "judged", **case.config.get("plugin", {})}
        if plugin["type"] == "messaging":
            plugin = {"group": group, "messaging": "bus", **plugin}
        else:
            del config["messaging"]
        config["plugins"] = [plugin]
        for place, form in placed:
            self.put(config, place, form)
        warm = {"plugin": "judged", "entry": "request only"}
        config["routes"].append(route("warm", [{**warm, "payload": {"request_filter": [{"do": "next"}]}}], "upstream"))
        self.running = await Gateway.start(self.gateway, config, env)
        for _ in range(200):
            if (await fetch(self.running.address, "/x", "warm.test")).status == 200:
                return
            await asyncio.sleep(0.05)
        raise CaseError("the plugin does not answer:\n" + "\n".join(self.teller.lines[-20:]))

    @staticmethod
    def put(config: dict[str, Any], place: Place, form: str) -> None:
        """The route of a place, its chain and its plugin service."""
        case, name = place.case, place.name

        def link(given: dict[str, Any]) -> dict[str, Any]:
            given = dict(given)
            entry, plan = given.pop("entry", "plan"), given.pop("plan", {})
            if entry in TWICE and form:
                entry += f"_{form}"
            return {"plugin": "judged", "entry": entry, "payload": plan, **given}

        chain = case.config.get("chain", [{"plan": case.plan}] if case.plan is not None else [])
        service = link(case.config.get("service", {}))
        service["name"] = service.pop("plugin")
        config["services"].append({"name": f"{name}-service", "service_type": "plugin", "plugin": service})
        links = [one if "plugin" in one else link(one) for one in chain]
        config["routes"].append({**route(name, links, f"{name}-service"), **case.config.get("route", {})})

    @property
    def teller(self) -> Program:
        """The process that the handlers run in."""
        if self.worker is not None:
            return self.worker
        assert self.running is not None
        return self.running.program

    async def one(self, place: Place) -> None:
        """Run a case; what is wrong is in the place afterwards."""
        assert self.running is not None
        begun = time.monotonic()
        side = PluginSide(place.case, place.name, self.running.address, self.upstream, self.teller)
        if place.mutant:
            side.client.mutate_answer, side.client.mutate_request = place.mutant.answer, place.mutant.request
        try:
            await asyncio.wait_for(side.run(), 60)
        except FailedError as error:
            place.wrong = str(error)
        except TimeoutError:
            place.wrong = "not over after 60 s"
        place.record, place.seconds = side.client.record, time.monotonic() - begun

    async def stop(self) -> None:
        """End everything."""
        if self.running is not None:
            await self.running.stop()
        self.upstream.stop()
        if self.worker is not None:
            await self.worker.kill()


async def run_houses(
    testee: Testee, transport: Transport, gateway: Testee, url: str, placed: list[tuple[Place, str]]
) -> None:
    """Run places, each with its form: a gateway for all that ask for the same settings."""

    def asked(of: tuple[Place, str]) -> str:
        case = of[0].case
        return json.dumps([case.own or {}, case.config.get("plugin", {}), case.config.get("gateway", {})])

    for count, (_, group) in enumerate(groupby(sorted(placed, key=asked), asked)):
        of = list(group)
        house = House(testee, transport, gateway, url, count)
        # what a plugin may do at one time is what settings are often about
        limit = asyncio.Semaphore(1 if of[0][0].case.own or "plugin" in of[0][0].case.config else AT_ONCE)

        async def one(place: Place, house: House = house, limit: asyncio.Semaphore = limit) -> None:
            async with limit:
                await house.one(place)

        try:
            await house.start(of)
            await asyncio.gather(*(one(place) for place, _ in of))
        finally:
            await house.stop()


async def run_plugins(testee: Testee, gateway: Testee, url: str, cases: list[Case], likeness: Likeness) -> list[Result]:
    """Every case of a plugin over every transport of this testee; what differs from the first has failed."""
    known, results = testee.known(), list[Result]()
    mine = [case for case in cases if case.kind == "plugin"]
    order = {case.id: number for number, case in enumerate(mine)}
    for transport in testee.transports if mine else []:
        testee.make_transport(transport)
        label = f"{testee.name}/{transport.name}"
        features = [*(one for one in testee.features if one not in transport.lacks), *transport.has, transport.name]
        places, skipped = chosen(label, features, mine)
        results += skipped
        placed = [
            (Place(place.case, name=f"p{order[place.case.id]:03}{letter}"), form)
            for place in places
            for form, letter in FORMS.items()
            if not form or (form in features and both(place.case))
        ]
        await run_houses(testee, transport, gateway, url, placed)
        for place, form in placed:
            reason = known.get(f"{transport.name} {place.case.id}", known.get(place.case.id))
            whose = f"{label} {form}".strip()
            if place.wrong is None:
                place.wrong = likeness.compare(place.case.id, whose, place.record)
            results.append(judged(whose, place, reason))
    return sorted(results, key=lambda one: order[one.case.id])


def both(case: Case) -> bool:
    """Whether an entry of the case has another form."""
    links = case.config.get("chain", [{}] if case.plan is not None else [])
    used = [*links, *([case.config["service"]] if "service" in case.config else [])]
    return any(one.get("entry", "plan") in TWICE and "plugin" not in one for one in used)
