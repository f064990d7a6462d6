"""What a later version, or a careless writer, may send."""

from __future__ import annotations

from typing import Any, cast

from vectors.layouts import MESSAGES, Value, by_type, edit, frame, may_miss, plain
from vectors.packing import Raw, pack, pack_pairs
from vectors.valid import BEAT, FIRST, RESPONSE, RESULT_NEXT, REVISION, SMALL_OPEN, VALID

LATER = [1.5, Raw(b"\xd6\xff\x00\x00\x00\x01"), {"new": [None, {1: -5}]}, Raw(b"\xc7\x03\x05abc"), -1, b"\x00", "x"]


def wide(values: list[Any]) -> list[Any]:
    """The same with every integer in its widest form, every length in a wide one."""
    out: list[Any] = []
    for value in values:
        match value:
            case bool() | None | Raw():
                out.append(value)
            case int():
                out.append(Raw(b"\xcf" + value.to_bytes(8)))
            case list():
                items = cast("list[Any]", value)
                out.append(Raw(b"\xdd" + len(items).to_bytes(4) + b"".join(map(pack, wide(items)))))
            case str():
                out.append(Raw(b"\xdb" + len(value.encode()).to_bytes(4) + value.encode()))
            case bytes():
                out.append(Raw(b"\xc6" + len(value).to_bytes(4) + value))
            case dict():
                table = cast("dict[Any, Any]", value)
                out.append(Raw(b"\xdf" + len(table).to_bytes(4) + pack_pairs(table)))
            case _:
                out.append(value)
    return out


def shortest(name: str, value: Value) -> tuple[Value, list[Any]]:
    """The frame cut after its last required element, and what that means."""
    layout = MESSAGES["frames"][name]["elements"]
    keep = max((i + 1 for i, e in enumerate(layout) if not may_miss(e)), default=0)
    kept = {e["name"] for e in layout[:keep]}
    header = {k: v for k, v in value.items() if k in ("session", "generation", "seq", "phase_seq") and k not in kept}
    given = {k: v for k, v in value.items() if k in kept}
    if not MESSAGES["frames"][name].get("session", True):
        header = {}
    meaning = frame(name, **header, **given)
    values = plain(name, meaning)
    return meaning, values[: len(values) - len(layout) + keep]


def future(name: str) -> list[Value]:
    """What a later version, or a careless writer, may send."""
    given = next(iter(VALID[name].values()))
    value = frame(name, **given)
    cases: list[tuple[str, Value, Any]] = [
        ("elements of a later version follow", value, plain(name, value) + LATER),
        ("integers and lengths in wide forms", value, wide(plain(name, value))),
    ]
    if all(element["name"] != "ext" for element in MESSAGES["frames"][name]["elements"]):
        raise KeyError(f"{name} has no ext")
    meaning, values = shortest(name, value)
    cases.append(("only what is required", meaning, values))
    extended = value | {"ext": {"later": {"a": [1, None, True]}, "and": "more"}}
    cases.append(("extensions nobody knows", extended, plain(name, extended)))
    cases += FUTURE_MORE.get(name, [])
    return [{"name": n, "hex": pack(p).hex(), "value": v} for n, v, p in cases]


def grown(name: str, given: Value, element: str) -> tuple[str, Value, Any]:
    """A record inside a frame that has grown."""
    value = frame(name, **given)
    kind = next(e["type"] for e in MESSAGES["frames"][name]["elements"] if e["name"] == element)
    record = by_type(kind, value[element])
    return (f"the {element} has grown", value, edit(name, given, element, record + LATER))


FUTURE_MORE: dict[str, list[tuple[str, Value, Any]]] = {
    "OPEN": [
        grown("OPEN", SMALL_OPEN, "snapshot"),
        grown("OPEN", SMALL_OPEN | {"revision": REVISION}, "revision"),
        grown("OPEN", SMALL_OPEN | {"response": RESPONSE}, "response"),
        (
            "a short snapshot",
            frame("OPEN", **SMALL_OPEN),
            edit("OPEN", SMALL_OPEN, "snapshot", ["GET", "http", "a.test", 8080, "/", "", [], [], "::1"]),
        ),
        (
            "signed forms of numbers",
            frame("OPEN", **SMALL_OPEN | {"remaining_ms": 100}),
            edit("OPEN", SMALL_OPEN, "remaining_ms", Raw(b"\xd1\x00\x64")),
        ),
    ],
    "ACCEPT": [
        grown("ACCEPT", {"first": FIRST}, "first"),
        (
            "mask bits of later phases",
            frame("ACCEPT", first=FIRST | {"mask": 0xFF}),
            plain("ACCEPT", frame("ACCEPT", first=FIRST | {"mask": 0xFF})),
        ),
    ],
    "RESULT": [
        (
            "an operation has grown",
            frame("RESULT", **RESULT_NEXT | {"ops": [{"number": 101, "name": "a"}]}),
            edit("RESULT", RESULT_NEXT, "ops", [[101, "a", *LATER]]),
        ),
        grown("RESULT", RESULT_NEXT | {"timing": {"queue_us": 1, "handler_us": 2}}, "timing"),
    ],
    "WS_OP": [
        (
            "what is wanted has grown",
            frame("WS_OP", call_id=1, operation={"number": 310, "room": "a"}),
            edit("WS_OP", {"call_id": 1, "operation": {"number": 310, "room": "a"}}, "operation", [310, "a", *LATER]),
        ),
    ],
    "ABORT": [
        (
            "an unknown reason is read as protocol",
            frame("ABORT", reason="Protocol"),
            edit("ABORT", {"reason": "Gap"}, "reason", 200),
        )
    ],
    "BUSY": [
        (
            "an unknown reason is read as full",
            frame("BUSY", worker="w1", reason="Full"),
            edit("BUSY", {"worker": "w1", "reason": "Full"}, "reason", 9),
        )
    ],
    "ERROR": [
        (
            "an unknown code",
            frame("ERROR", call_id=None, code="later", text=""),
            plain("ERROR", frame("ERROR", call_id=None, code="later", text="")),
        )
    ],
    "BEAT": [
        (
            "an unknown state is read as initializing",
            frame("BEAT", **BEAT | {"state": "Initializing"}),
            edit("BEAT", BEAT, "state", 77),
        ),
        ("an entry has grown", frame("BEAT", **BEAT), edit("BEAT", BEAT, "entries", [["auth", 1, 0, *LATER]])),
    ],
}
