"""Deliberate bugs of WebSockets and rooms."""

from collections.abc import Callable
from dataclasses import replace

from .bus import Filter, Message
from .changes import drop, edit, first, followed, no_gap, put, renumbered, shift, without_nth
from .frames import Values
from .runs import Mutant

W, G, R = "worker.websockets.", "gateway.websockets.", "gateway.rooms."


def _room(change: Callable[[Message], list[Message]]) -> Callable[[], Filter]:
    """Change what passes on the subject of a room."""
    return lambda: lambda message: change(message) if ".v1.room." in message.subject else [message]


def _operation(**what: object) -> Callable[[Values], None]:
    return lambda values: values["operation"].update(what)


def _close_without_code(values: Values) -> None:
    if "code" in values["operation"]:
        values["operation"]["code"] = 1000


def _stays(values: Values) -> None:
    if values["operation"]["number"] == 311:
        values["operation"]["room"] = "another"


def _answer(values: Values, call: int) -> Values:
    return {**values, "id": call, "bytes": b"", "more": False, "kind": "Body"}


WORKERS = [
    Mutant("upgrades without its headers", "worker", [W + "upgrade"], edit("UPGRADE", put(ops=[]))),
    Mutant("forgets the sub-protocol", "worker", [W + "upgrade"], edit("UPGRADE", put(subprotocol=None))),
    Mutant(
        "takes a refusal for an upgrade",
        "worker",
        [W + "refused"],
        outward=renumbered(
            lambda name, values, _: (
                [("WS_OPEN", {**values, "connection_id": 7})] if name == "ERROR" else [(name, values)]
            )
        ),
    ),
    Mutant("speaks under another connection's id", "worker", [W + "upgrade"], edit("DATA", shift("id", 1))),
    Mutant("changes the kind of a message", "worker", [W + "upgrade"], edit("DATA", put(kind="Binary"))),
    Mutant("says that more of a message follows", "worker", [W + "upgrade"], edit("DATA", put(more=True))),
    Mutant("speaks beyond its credit", "worker", [W + "long"], outward=edit("OPEN", put(credit=1 << 20))),
    Mutant("never grants for messages", "worker", [W + "grants"], without_nth("CREDIT")),
    Mutant(
        "grants messages that nobody has taken",
        "worker",
        [W + "grants"],
        renumbered(
            lambda name, values, _: (
                [(name, values), ("CREDIT", {**values, "id": 7, "bytes": 12800})]
                if name == "UPGRADE"
                else [(name, values)]
            )
        ),
    ),
    Mutant("takes pieces for messages", "worker", [W + "pieces"], outward=edit("DATA", put(more=False))),
    Mutant("leaves its websocket open", "worker", [W + "returns", W + "returns_async"], without_nth("WS_OP")),
    Mutant("closes as if all were well", "worker", [W + "returns"], edit("WS_OP", _close_without_code)),
    Mutant("closes twice", "worker", [W + "close"], followed("WS_OP", "WS_OP")),
    Mutant(
        "ends its phase before the websocket is closed",
        "worker",
        [W + "returns"],
        followed("WS_OP", "RESULT", ops=[], action="End", first=None, timing=None),
    ),
    Mutant("never ends its phase", "worker", [W + "upgrade"], drop("RESULT")),
    Mutant("fails behind its websocket", "worker", [W + "upgrade"], edit("RESULT", put(action="Next"))),
    Mutant(
        "does not wait for the answer to a join",
        "worker",
        [W + "rooms"],
        outward=renumbered(
            lambda name, values, _: (
                [(name, values), *(("DATA", _answer(values, 1 << 31 | one)) for one in range(1, 4))]
                if name == "WS_OPEN"
                else [(name, values)]
            )
        ),
    ),
    Mutant("uses one call id for all", "worker", [W + "rooms"], edit("WS_OP", put(call_id=9))),
    Mutant("speaks to another room", "worker", [W + "rooms"], edit("WS_OP", _operation(room="another"))),
    Mutant("takes a gap in a websocket for nothing", "worker", [W + "gap"], outward=no_gap),
    Mutant("does not look at a PROBE in a websocket", "worker", [W + "probe_gap"], outward=no_gap),
    Mutant("does not close when it drains", "worker", [W + "drain"], drop("WS_OP")),
    Mutant("takes what is beyond its limit", "worker", [W + "too_long"], drop("ABORT")),
]


GATEWAYS = [
    Mutant("never says WS_OPEN", "gateway", [G + "upgrade"], without_nth("WS_OPEN")),
    Mutant("says WS_OPEN twice", "gateway", [G + "upgrade"], followed("WS_OPEN", "WS_OPEN")),
    Mutant(
        "fails a request that is no handshake",
        "gateway",
        [G + "no_handshake"],
        edit("ERROR", put(code="protocol")),
    ),
    Mutant("forgets headers of the 101", "gateway", [G + "upgrade"], outward=edit("UPGRADE", put(ops=[]))),
    Mutant(
        "forgets the chosen sub-protocol",
        "gateway",
        [G + "sub_protocol"],
        outward=edit("UPGRADE", put(subprotocol=None)),
    ),
    Mutant("feeds messages beyond the credit", "gateway", [G + "credit"], outward=edit("UPGRADE", first(credit=32768))),
    Mutant("changes the kind of a message", "gateway", [G + "upgrade"], edit("DATA", put(kind="Binary"))),
    Mutant("loses a piece of a message", "gateway", [G + "long"], without_nth("DATA", 2)),
    Mutant("passes on half a message", "gateway", [G + "fragments"], edit("DATA", put(more=True))),
    Mutant("loses a fragment", "gateway", [G + "fragments"], outward=without_nth("DATA", 1)),
    Mutant("puts fragments together", "gateway", [R + "behind_the_message"], outward=edit("DATA", put(more=False))),
    Mutant("never says WS_CLOSED", "gateway", [G + "upgrade"], without_nth("WS_CLOSED")),
    Mutant("says WS_CLOSED twice", "gateway", [G + "no_code"], followed("WS_CLOSED", "WS_CLOSED")),
    Mutant("changes the code of a close", "gateway", [G + "no_code"], edit("WS_CLOSED", put(code=1000))),
    Mutant("hides that its client has gone", "gateway", [G + "client_gone"], without_nth("WS_ERROR")),
    Mutant(
        "speaks between WS_ERROR and WS_CLOSED",
        "gateway",
        [G + "client_gone"],
        followed("WS_ERROR", "CREDIT", id=1, bytes=1),
    ),
    Mutant(
        "closes with a code of its own",
        "gateway",
        [G + "closed_by_the_worker"],
        outward=edit("WS_OP", _close_without_code),
    ),
    Mutant(
        "takes what is too long", "gateway", [G + "too_long"], outward=edit("UPGRADE", put(max_message_bytes=1 << 20))
    ),
    Mutant("takes a gap in a websocket for nothing", "gateway", [G + "gap"], outward=no_gap),
    Mutant("takes RESULT in a websocket", "gateway", [G + "wrong_frames"], drop("ABORT")),
    Mutant("never answers a join", "gateway", [R + "join"], without_nth("DATA")),
    Mutant("answers a join before it hears", "gateway", [R + "join"], outward=_room(lambda _: [])),
    Mutant("lets answers cost credit", "gateway", [R + "members"], edit("DATA", put(bytes=b"x"))),
    Mutant("loses what is said in a room", "gateway", [R + "broadcast"], _room(lambda _: [])),
    Mutant("says twice what is said in a room", "gateway", [R + "join"], outward=_room(lambda one: [one, one])),
    Mutant(
        "forgets the kind of what is said",
        "gateway",
        [R + "broadcast"],
        _room(lambda one: [replace(one, data=b"\x03" + one.data[1:])]),
    ),
    Mutant("hears a room on after leaving it", "gateway", [R + "members"], outward=edit("WS_OP", _stays)),
    Mutant("broadcasts what is too long", "gateway", [R + "refused"], drop("ERROR")),
]
