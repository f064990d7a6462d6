"""Deliberate bugs: would the judge see them? Each changes what passes between testee and judge, by the judge's codec.

A mutant is caught when one of its cases fails. Nothing of this is built into a testee.
"""

from dataclasses import replace

from . import socket_mutants, stream_mutants
from .bus import Message
from .cases import Case, CaseError
from .changes import (
    double,
    drop,
    edit,
    elsewhere,
    first,
    frames,
    header,
    learning,
    only_once,
    passes,
    put,
    remembers_first,
    reverse,
    rewrite,
    righting,
    shift,
    shorten,
    unescaped,
    without,
)
from .frames import decode
from .msgpack import RefusedError, pack, unpack, widest
from .programs import Testee
from .report import FAILED, PASSED, Result
from .runs import Mutant, Place, run_places

W, S, R, B, T, F = (
    "worker.frames.",
    "worker.sessions.",
    "worker.results.",
    "worker.bodies.",
    "worker.time.",
    "gateway.failures.",
)
G, C, D = "gateway.sessions.", "gateway.choice.", "gateway.bodies."

WORKERS = [
    Mutant("drops the number of its frames", "worker", [S + "four_phases"], edit("RESULT", put(seq=0))),
    Mutant("changes the generation", "worker", [S + "next"], edit("RESULT", shift("generation", 1))),
    Mutant("answers in the wrong phase run", "worker", [S + "four_phases"], edit("RESULT", put(phase_seq=0))),
    Mutant("repeats first", "worker", [S + "four_phases"], remembers_first),
    Mutant("never says first", "worker", [S + "next"], edit("RESULT", put(first=None))),
    Mutant("answers twice", "worker", [S + "next"], double("RESULT")),
    Mutant("does not escape its subjects", "worker", [S + "escaped_group"], outward=unescaped),
    Mutant("ignores ABORT", "worker", [S + "abort", S + "abort_async"], outward=drop("ABORT")),
    Mutant("never says BUSY", "worker", [T + "full"], drop("BUSY")),
    Mutant("announces another mask", "worker", [S + "mask_of_a_function"], edit("RESULT", first(mask=15))),
    Mutant("cuts its bodies", "worker", [B + "long_answer"], edit("DATA", shorten)),
    Mutant("reorders operations", "worker", [R + "operations"], edit("RESULT", reverse)),
    Mutant(
        "answers logging",
        "worker",
        [S + "logging_first"],
        outward=edit("OPEN", put(phase="RequestFilter", response=None)),
    ),
    Mutant("never says ACCEPT", "worker", [T + "accept"], drop("ACCEPT")),
    Mutant("writes wide integers", "worker", [S + "next"], rewrite("RESULT", widest)),
    Mutant("takes a gap for nothing", "worker", [S + "gap"], drop("ABORT")),
    Mutant("ends in any phase", "worker", [S + "four_phases"], edit("RESULT", put(action="End"))),
    Mutant("beats for another group", "worker", [T + "beats"], edit("BEAT", put(group="another"))),
    Mutant(
        "beats too seldom",
        "worker",
        [T + "beats"],
        frames(lambda k, v, m: [m] if k != "BEAT" or v["seq"] % 3 == 0 else []),
    ),
    Mutant("runs an open that is too old", "worker", [T + "old_open"], outward=edit("OPEN", put(remaining_ms=90_000))),
    Mutant(
        "spends credit that it has not",
        "worker",
        [B + "long_answer_without_credit"],
        outward=edit("OPEN", put(credit=1 << 20)),
    ),
    Mutant("never probes its gateway", "worker", [S + "probes_its_gateway"], drop("PROBE")),
    Mutant("never grants", "worker", [B + "fetch"], drop("CREDIT")),
    Mutant("loses the rest of a message", "worker", [W + "batch"], outward=lambda: _first_of_batch),
    Mutant("answers another subject", "worker", [S + "next"], elsewhere("9")),
]


def _first_of_batch(message: Message) -> list[Message]:
    name, values = decode(message.data)
    return [message.with_data(values["frames"][0])] if name == "BATCH" else [message]


GATEWAYS = [
    Mutant("does not count its frames", "gateway", [G + "four_phases"], edit("PHASE", put(seq=1))),
    Mutant("changes the generation", "gateway", [G + "mask_skips"], edit("PHASE", shift("generation", 1))),
    Mutant("does not count phase runs", "gateway", [G + "mask_skips"], edit("PHASE", put(phase_seq=0))),
    Mutant(
        "sends phases that nobody registered", "gateway", [G + "mask_skips"], edit("PHASE", put(phase="ResponseFilter"))
    ),
    Mutant("never says CLOSE", "gateway", [G + "close"], drop("CLOSE")),
    Mutant("never says ABORT", "gateway", [G + "client_gone", F + "deadline"], drop("ABORT")),
    Mutant("does not log", "gateway", [G + "mask_skips"], drop("PHASE")),
    Mutant("does not escape subjects", "gateway", [G + "prefix"], edit("OPEN", put(entry="fil ter"))),
    Mutant("gives a slot that is none", "gateway", [G + "next"], edit("OPEN", put(reply="nylon.v1.h.x.01.1"))),
    Mutant("says twice what it opens", "gateway", [G + "next"], double("OPEN")),
    Mutant("uses one session id for all", "gateway", [F + "silent"], edit("OPEN", put(session=bytes(16)))),
    Mutant(
        "keeps the case of header names",
        "gateway",
        [G + "next"],
        edit("OPEN", header("snapshot", lambda s: s["headers"].append({"name": "X-Up", "value": b""}))),
    ),
    Mutant("cuts bodies", "gateway", [D + "request_body"], edit("DATA", shorten)),
    Mutant("ignores credit", "gateway", [D + "no_credit"], edit("DATA", lambda v: v.update(bytes=v["bytes"] * 8))),
    Mutant("never probes", "gateway", [G + "probe"], drop("PROBE")),
    Mutant("keeps a dead session to itself", "gateway", [G + "probe_of_a_dead_session"], drop("ABORT")),
    Mutant("forgets Retry-After", "gateway", [F + "no_worker"], answer=without("retry-after")),
    Mutant("forgets the id of the request", "gateway", [F + "handler_error"], answer=without("x-request-id")),
    Mutant("lets everything pass", "gateway", [F + "rubbish"], answer=passes),
    Mutant("ignores what the plugin sets", "gateway", [G + "end"], outward=edit("RESULT", put(ops=[]))),
    Mutant("applies what it should refuse", "gateway", [F + "unknown_operation"], outward=lambda: _known_only),
    Mutant("takes a gap for nothing", "gateway", [G + "gap"], outward=edit("RESULT", put(seq=0))),
    Mutant(
        "takes an answer of another session",
        "gateway",
        [G + "other_generation"],
        learning,
        righting,
    ),
    Mutant("writes wide integers", "gateway", [G + "next"], rewrite("OPEN", widest)),
    Mutant("appends bytes", "gateway", [G + "next"], rewrite("OPEN", lambda items: pack(items) + b"\xc0")),
    Mutant(
        "sends the payload of another run", "gateway", [G + "repeated_entry"], edit("PHASE", put(payload=b'{"n": 1}'))
    ),
    Mutant("does not try a second worker", "gateway", [F + "busy_draining"], lambda: only_once("OPEN")),
    Mutant("opens through the queue only", "gateway", [C + "least_loaded"], outward=drop("BEAT")),
]


def _known_only(message: Message) -> list[Message]:
    """Leave operations that nobody knows out of a RESULT."""
    try:
        decode(message.data)
    except RefusedError:
        items = unpack(message.data)
        items[5] = [one for one in items[5] if one[0] < 420]
        return [message.with_data(pack(items))]
    return [message]


async def run(testee: Testee, url: str, cases: list[Case], wanted: list[str]) -> list[Result]:
    """Run the mutants of this testee's kind; one that no case catches has failed."""
    by_id = {case.id: case for case in cases}
    every = [*WORKERS, *GATEWAYS]
    for more in (stream_mutants, socket_mutants):
        every += [*more.WORKERS, *more.GATEWAYS]
    mutants = [one for one in every if one.kind == testee.kind and (not wanted or one.name in wanted)]
    places: list[Place] = []
    for mutant in mutants:
        for name in mutant.cases:
            if name not in by_id:
                raise CaseError(f"mutant '{mutant.name}': nobody knows case {name}")
            places.append(Place(by_id[name], mutant))
    if places:
        await run_places(testee, url, places)
    results: list[Result] = []
    for mutant in mutants:
        of = [place for place in places if place.mutant is mutant]
        caught = next((place for place in of if place.wrong is not None), None)
        text = f"'{mutant.name}' is not caught by {', '.join(mutant.cases)}"
        case = replace((caught or of[0]).case, topic="mutants", title=mutant.name)
        results.append(Result(testee.name, case, PASSED if caught else FAILED, caught.wrong or "" if caught else text))
    return results
