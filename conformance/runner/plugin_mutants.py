"""Deliberate bugs of a gateway that carries a plugin: would the judge see them in what clients and the upstream see?

A mutant is caught by a case that fails, or, where the case looks at nothing of it, by the comparison of transports.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from .cases import Case, CaseError
from .changes import passes, without
from .likeness import unlike
from .plugin_runs import run_houses
from .programs import Testee
from .report import FAILED, PASSED, Result
from .runs import Mutant, Place
from .web import Answer

A, F, R, H, S, P = (f"plugin.{topic}." for topic in ("answers", "failures", "results", "readers", "streams", "phases"))
Q = "plugin.request_headers."


def _body(change: Callable[[bytes], bytes]) -> Callable[[Answer], Answer]:
    return lambda answer: replace(answer, body=change(answer.body))


def _headers(change: Callable[[list[dict[str, str]]], list[dict[str, str]]]) -> Callable[[Answer], Answer]:
    return lambda answer: replace(answer, headers=change(answer.headers))


def _reached(
    change: Callable[[list[dict[str, str]]], list[dict[str, str]]],
) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda seen: {**seen, "headers": change(seen["headers"])}


PLUGINS = [
    Mutant("forgets the status that was set", "plugin", [R + "end"], answer=passes),
    Mutant("overwrites the upstream's status", "plugin", [R + "status_kept"], answer=passes),
    Mutant("cuts a body without a word", "plugin", [R + "filter"], answer=_body(lambda body: body[:-1])),
    Mutant("does not filter the body", "plugin", [A + "early"], answer=_body(bytes.lower)),
    Mutant(
        "adds where it should replace",
        "plugin",
        [R + "header"],
        answer=_headers(lambda old: [*old, {"name": "set-cookie", "value": "a=1"}]),
    ),
    Mutant(
        "loses a cookie",
        "plugin",
        [R + "add"],
        answer=_headers(lambda old: [one for one in old if one["value"] != "c=3"]),
    ),
    Mutant("runs no response filter on its own errors", "plugin", [A + "unreachable"], answer=without("x-filter")),
    Mutant("gives no id", "plugin", [F + "raised"], answer=without("x-request-id")),
    Mutant("lets what failed pass", "plugin", [F + "raised", F + "illegal_status"], answer=passes),
    Mutant("lets a cut stream look whole", "plugin", [S + "raised"], answer=lambda answer: replace(answer, cut=False)),
    Mutant("forgets trailers", "plugin", [S + "trailers"], answer=lambda answer: replace(answer, trailers=[])),
    Mutant("runs a chain backwards", "plugin", [P + "order"], answer=_headers(lambda old: old[::-1])),
    Mutant(
        "lets a client's header pass beside the handler's",
        "plugin",
        [Q + "set"],
        request=_reached(lambda old: [*old, {"name": "x-user", "value": "evil"}]),
    ),
    Mutant("keeps the body to itself", "plugin", [H + "body"], request=lambda seen: {**seen, "body": b""}),
    # no case looks at these: the comparison of transports has to
    Mutant(
        "sends a header more over one transport",
        "plugin",
        [R + "end_bare"],
        answer=_headers(lambda old: [*old, {"name": "server", "value": "nylon"}]),
    ),
    Mutant("orders headers in another way", "plugin", [R + "add"], answer=_headers(lambda old: sorted(old, key=str))),
    Mutant(
        "says an error with another text",
        "plugin",
        [F + "raised"],
        answer=_body(lambda body: body.replace(b"the plugin", b"it")),
    ),
    Mutant(
        "sends a header more to the upstream",
        "plugin",
        [Q + "add"],
        request=_reached(lambda old: [*old, {"name": "x-extra", "value": "1"}]),
    ),
]


async def run(testee: Testee, gateway: Testee, url: str, cases: list[Case], wanted: list[str]) -> list[Result]:
    """Run the mutants over the testee's last transport, each case once without, to be compared with."""
    by_id = {case.id: case for case in cases}
    mutants = [one for one in PLUGINS if not wanted or one.name in wanted]
    if unknown := [name for one in mutants for name in one.cases if name not in by_id]:
        raise CaseError(f"nobody knows case {', '.join(unknown)}")
    every = [Place(by_id[name], mutant) for mutant in mutants for name in mutant.cases]
    sound = {name: Place(by_id[name]) for name in {place.case.id for place in every}}
    places = [*every, *sound.values()]
    for number, place in enumerate(places):
        place.name = f"p{number:03}m"
    if places:
        await run_houses(testee, testee.transports[-1], gateway, url, [(place, "") for place in places])
    if wrong := next((place for place in sound.values() if place.wrong), None):
        raise CaseError(f"{wrong.case.id} fails without any mutant: {wrong.wrong}")
    results: list[Result] = []
    for mutant in mutants:
        of = [place for place in every if place.mutant is mutant]
        caught = [place.wrong or unlike(sound[place.case.id].record, place.record) for place in of]
        case = replace(of[0].case, topic="mutants", title=mutant.name)
        if any(caught):
            results.append(Result(testee.name, case, PASSED, next(filter(None, caught))))
        else:
            text = f"'{mutant.name}' is not caught by {', '.join(mutant.cases)}"
            results.append(Result(testee.name, case, FAILED, text))
    return results
