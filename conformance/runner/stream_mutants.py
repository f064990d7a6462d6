"""Deliberate bugs of bodies that are streamed, in either direction."""

from dataclasses import replace

from .changes import drop, edit, followed, no_gap, passes, put, renumbered, shift, without_nth
from .runs import Mutant

W, G, P = "worker.streams.", "gateway.streams.", "gateway.pieces."

WORKERS = [
    Mutant(
        "streams beyond its credit",
        "worker",
        [W + "credit", W + "small_pieces"],
        outward=edit("OPEN", put(credit=1 << 20)),
    ),
    Mutant("ends cleanly what it has cut", "worker", [W + "raises"], edit("STREAM_END", put(outcome="Ok"))),
    Mutant("ends cleanly what was left open", "worker", [W + "left_open"], edit("STREAM_END", put(outcome="Ok"))),
    Mutant("loses a piece of its stream", "worker", [W + "stream"], without_nth("DATA", 2)),
    Mutant("streams under another id", "worker", [W + "stream"], edit("DATA", shift("id", 1))),
    Mutant("ends its stream by DATA", "worker", [W + "stream"], edit("DATA", put(more=False))),
    Mutant("streams DATA of kind body", "worker", [W + "stream"], edit("DATA", put(kind="Body"))),
    Mutant("ends its stream twice", "worker", [W + "stream"], followed("STREAM_END", "STREAM_END")),
    Mutant("never ends its stream", "worker", [W + "stream"], drop("STREAM_END")),
    Mutant(
        "answers behind its stream",
        "worker",
        [W + "stream"],
        followed("STREAM_END", "RESULT", ops=[], action="End", first=None, timing=None),
    ),
    Mutant(
        "grants what nobody has taken",
        "worker",
        [W + "request_stream"],
        renumbered(
            lambda name, values, _: (
                [(name, values), ("CREDIT", {**values, "id": values["call_id"], "bytes": 32768})]
                if name == "FETCH"
                else [(name, values)]
            )
        ),
    ),
    Mutant(
        "asks for what came along",
        "worker",
        [W + "came_along"],
        renumbered(
            lambda name, values, _: (
                [
                    ("FETCH", {**values, "call_id": 1, "what": "RequestStream", "max_bytes": 1 << 20}),
                    (name, {**values, "first": None}),
                ]
                if name == "RESULT"
                else [(name, values)]
            )
        ),
    ),
    Mutant("never grants for what was taken", "worker", [W + "request_stream"], without_nth("CREDIT")),
    Mutant(
        "has all the time behind an upload",
        "worker",
        [W + "upload_deadline"],
        outward=edit("OPEN", put(remaining_ms=90_000)),
    ),
    Mutant("fetches what it streams as a whole", "worker", [W + "echo"], edit("FETCH", put(what="RequestBody"))),
    Mutant("probes with an old number", "worker", [W + "probe_of_its_own"], edit("PROBE", shift("seq", -1))),
    Mutant("takes a gap in a stream for nothing", "worker", [W + "gap"], outward=no_gap),
    Mutant("does not look at the number of a PROBE", "worker", [W + "probe_gap"], outward=no_gap),
    Mutant("streams on when the client has left", "worker", [W + "client_gone"], outward=drop("ABORT")),
    Mutant(
        "says that its filter is buffered", "worker", [W + "filter"], edit("STREAM", lambda v: _buffered(v["first"]))
    ),
]


def _buffered(first: dict[str, object] | None) -> None:
    if first is not None:
        first["body_mode"] = "Buffered"


GATEWAYS = [
    Mutant("ends a cut stream cleanly", "gateway", [G + "abort"], answer=lambda answer: replace(answer, cut=False)),
    Mutant(
        "ends a stream of a lost worker cleanly", "gateway", [G + "worker_gone"], answer=lambda a: replace(a, cut=False)
    ),
    Mutant("loses a piece of a stream", "gateway", [G + "stream"], answer=lambda a: replace(a, body=a.body[:-1])),
    Mutant("loses trailers", "gateway", [P + "filter"], answer=lambda answer: replace(answer, trailers=[])),
    Mutant(
        "feeds a stream beyond its credit",
        "gateway",
        [P + "request_stream_credit"],
        edit("DATA", lambda values: values.update(bytes=values["bytes"] * 8)),
    ),
    Mutant(
        "grants what no client has taken",
        "gateway",
        [G + "slow_client"],
        edit("CREDIT", lambda values: values.update(bytes=values["bytes"] * 64)),
    ),
    Mutant("never grants for a stream", "gateway", [G + "long"], without_nth("CREDIT")),
    Mutant("loses a piece of what it feeds", "gateway", [P + "request_stream"], without_nth("DATA", 2)),
    Mutant(
        "keeps a short body that was read",
        "gateway",
        [P + "request_stream_then_next", P + "request_stream_in_part"],
        request=lambda seen: {**seen, "length": 0},
    ),
    Mutant("lets a body pass that was taken", "gateway", [P + "request_stream_taken"], answer=passes),
    Mutant(
        "lets an upload pass whose worker hangs",
        "gateway",
        [P + "upload_deadline", P + "upload_without_credit"],
        answer=passes,
    ),
    Mutant("feeds under another id", "gateway", [P + "request_stream"], edit("DATA", shift("id", 1))),
    Mutant("never ends what it feeds", "gateway", [P + "filter"], edit("DATA", put(more=True))),
    Mutant("takes a gap in a stream for nothing", "gateway", [G + "gap"], outward=no_gap),
    Mutant("does not look at the number of a PROBE", "gateway", [G + "probe_gap"], outward=no_gap),
    Mutant("takes STREAM in a stream", "gateway", [G + "second_stream"], outward=without_nth("STREAM", 2)),
    Mutant(
        "takes STREAM in any phase",
        "gateway",
        [G + "in_a_response_filter"],
        outward=renumbered(
            lambda name, values, _: (
                [("RESULT", {**values, "action": "Next", "timing": None})] if name == "STREAM" else [(name, values)]
            )
        ),
    ),
    Mutant("tells no worker that the client has left", "gateway", [G + "client_gone"], drop("ABORT")),
    Mutant("brings a streaming filter its body", "gateway", [P + "filter"], edit("PHASE", put(body=b"data: 1"))),
    Mutant(
        "runs the streaming entry's own filter", "gateway", [G + "stream"], edit("PHASE", put(phase="ResponseFilter"))
    ),
]
