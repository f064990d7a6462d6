"""What must be refused, and as what."""

from __future__ import annotations

from typing import Any

from vectors.layouts import MESSAGES, SESSION, Value, by_type, complete, edit, frame, may_miss, plain
from vectors.packing import Raw, pack
from vectors.valid import BEAT, CLOSES, FIRST, PHASE, RESULT_NEXT, SMALL, SMALL_OPEN, VALID


def nested(depth: int) -> Raw:
    """An element that makes the frame this deep, the frame itself being 1."""
    return Raw(b"\x91" * (depth - 1) + b"\x00")


def invalid(name: str) -> list[Value]:
    """What must be refused, and as what."""
    given = next(iter(VALID[name].values()))
    values = plain(name, frame(name, **given))
    whole = pack(values)
    layout = MESSAGES["frames"][name]["elements"]
    first = len(values) - len(layout)
    required = [i for i, element in enumerate(layout) if not may_miss(element)]
    cases: list[tuple[str, str, bytes]] = [
        ("cut in the middle", "truncated", whole[: len(whole) // 2]),
        ("the last byte is missing", "truncated", whole[:-1]),
        ("a byte follows", "trailing", whole + b"\x00"),
        ("a map instead of an array", "type", pack({"type": values[0]})),
        ("an empty array", "missing", pack([])),
        ("an extension with a number as key", "type", pack([*values[:-1], {1: 2}])),
        ("extensions that are nil", "type", pack([*values[:-1], None])),
        ("nested too deep", "depth", pack([*values, nested(33)])),
        (
            "longer than it is",
            "truncated",
            pack(Raw(bytes([0xDC]) + (len(values) + 1).to_bytes(2))) + b"".join(map(pack, values)),
        ),
    ]
    if required:
        cases.append(("the last required element is missing", "missing", pack(values[: first + required[-1]])))
        replaced = list(values)
        replaced[first + required[0]] = 1.5
        cases.append(("a float", "type", pack(replaced)))
    if MESSAGES["frames"][name].get("session", True):
        cases += [
            ("a session id of 15 bytes", "session_id", pack([values[0], SESSION[:15], *values[2:]])),
            ("a session id as text", "type", pack([values[0], "0" * 16, *values[2:]])),
            ("a negative generation", "type", pack([*values[:2], -1, *values[3:]])),
            ("a sequence number of 2^32", "range", pack([*values[:3], 1 << 32, *values[4:]])),
            ("no phase sequence", "missing", pack(values[:4])),
        ]
    cases += [(n, kind, pack(p)) for n, kind, p in INVALID_MORE.get(name, [])]
    return [{"name": n, "error": kind, "hex": data.hex()} for n, kind, data in cases]


def op(value: list[Any]) -> list[Any]:
    """A RESULT with this one operation."""
    return edit("RESULT", RESULT_NEXT, "ops", [value])


def snapshot(index: int, replacement: Any) -> list[Any]:
    """An OPEN with one element of its snapshot replaced."""
    values = by_type("snapshot", complete("snapshot", SMALL))
    values[index] = replacement
    return edit("OPEN", SMALL_OPEN, "snapshot", values)


DATA: Value = {"id": 1, "bytes": ""}
INVALID_MORE: dict[str, list[tuple[str, str, Any]]] = {
    "OPEN": [
        ("version 2", "version", edit("OPEN", SMALL_OPEN, "v", 2)),
        ("phase 0", "range", edit("OPEN", SMALL_OPEN, "phase", 0)),
        ("phase 5", "range", edit("OPEN", SMALL_OPEN, "phase", 5)),
        ("a time of 2^53", "range", edit("OPEN", SMALL_OPEN, "mono_ms", 1 << 53)),
        ("payload as text", "type", edit("OPEN", SMALL_OPEN, "payload", "{}")),
        ("entry that is not utf-8", "utf8", edit("OPEN", SMALL_OPEN, "entry", Raw(b"\xa1\xff"))),
        ("more as a number", "type", edit("OPEN", SMALL_OPEN, "more", 1)),
        ("no snapshot", "type", edit("OPEN", SMALL_OPEN, "snapshot", None)),
        ("a snapshot that ends early", "missing", edit("OPEN", SMALL_OPEN, "snapshot", ["GET", "http", "a.test"])),
        ("a port of 65536", "range", snapshot(3, 65536)),
        ("a header value as text", "type", snapshot(7, [["a", "b"]])),
        ("a header name as bytes", "type", snapshot(7, [[b"a", b"b"]])),
        ("a header of three elements", "range", snapshot(7, [["a", b"b", b"c"]])),
        ("a header of one element", "range", snapshot(7, [["a"]])),
        ("headers as a map", "type", snapshot(7, {"a": b"b"})),
        ("a parameter value as bytes", "type", snapshot(6, [["a", b"b"]])),
        ("four billion headers", "truncated", snapshot(7, Raw(b"\xdd\xff\xff\xff\xff"))),
        ("a path of four billion bytes", "truncated", snapshot(4, Raw(b"\xdb\xff\xff\xff\xff"))),
    ],
    "PHASE": [
        ("phase 9", "range", edit("PHASE", PHASE, "phase", 9)),
        ("status 65536", "range", edit("PHASE", PHASE, "response", [65536, []])),
        ("a response without headers", "missing", edit("PHASE", PHASE, "response", [200])),
    ],
    "ACCEPT": [
        ("an unknown body mode", "range", edit("ACCEPT", {"first": FIRST}, "first", ["w1", 1, 7, 0])),
        ("a worker that is nil", "type", edit("ACCEPT", {"first": FIRST}, "first", [None, 1, 0, 0])),
    ],
    "FETCH": [
        ("something unknown", "range", edit("FETCH", {"call_id": 1, "what": "Config", "max_bytes": 1}, "what", 999))
    ],
    "DATA": [
        ("bytes as text", "type", edit("DATA", DATA, "bytes", "abc")),
        ("an unknown kind", "range", edit("DATA", DATA, "kind", 4)),
        ("an id of 2^32", "range", edit("DATA", DATA, "id", 1 << 32)),
    ],
    "RESULT": [
        ("an unknown operation", "unknown_operation", op([999])),
        ("a reserved operation", "unknown_operation", op([420, "/x"])),
        ("a method that is no operation", "unknown_operation", op([104, b""])),
        ("action 0", "range", edit("RESULT", RESULT_NEXT, "action", 0)),
        ("action 3", "range", edit("RESULT", RESULT_NEXT, "action", 3)),
        ("a status of 65536", "range", op([102, 65536])),
        ("a status as text", "type", op([102, "200"])),
        ("a header value as text", "type", op([100, "a", "b"])),
        ("a header without value", "missing", op([100, "a"])),
        ("an operation without number", "missing", op([])),
        ("an operation that is no array", "type", op(Raw(b"\x01"))),  # type: ignore[arg-type]
        ("a body by id without total", "missing", op([103, None, 1])),
        ("a body of nothing", "missing", op([103])),
        ("ops as nil", "type", edit("RESULT", RESULT_NEXT, "ops", None)),
    ],
    "STREAM": [
        ("an unknown operation", "unknown_operation", edit("STREAM", {"ops": [], "stream_id": 1}, "ops", [[999]]))
    ],
    "STREAM_END": [("an unknown outcome", "range", edit("STREAM_END", {"outcome": "Ok"}, "outcome", 2))],
    "WS_OP": [
        (
            "an unknown operation",
            "unknown_operation",
            edit("WS_OP", {"call_id": 1, "operation": {"number": 310, "room": "a"}}, "operation", [301, b""]),
        )
    ],
    "WS_CLOSED": [("a code of 65536", "range", edit("WS_CLOSED", {"code": 1000, "reason": ""}, "code", 65536))],
    "BEAT": [
        ("version 2", "version", edit("BEAT", BEAT, "v", 2)),
        ("an entry without mode", "missing", edit("BEAT", BEAT, "entries", [["auth", 1]])),
    ],
    "BATCH": [
        ("no frame", "missing", edit("BATCH", {"frames": []}, "frames", [])),
        ("a frame that is not wrapped", "type", edit("BATCH", {"frames": []}, "frames", [plain("CLOSE", CLOSES[0])])),
        ("a frame as text", "type", edit("BATCH", {"frames": []}, "frames", ["frame"])),
        ("frames that are nil", "type", edit("BATCH", {"frames": []}, "frames", None)),
    ],
}


def general() -> list[Value]:
    """Payloads that are no frame at all."""
    cases = {
        "nothing": ("truncated", b""),
        "nil": ("type", b"\xc0"),
        "an unknown type": ("unknown_frame", pack([22, SESSION, 0, 0, 0])),
        "type 0": ("unknown_frame", pack([0, SESSION, 0, 0, 0])),
        "a type that is text": ("type", pack(["open", SESSION, 0, 0, 0])),
        "the byte that MessagePack never uses": ("type", b"\x91\xc1"),
        "an array of four billion": ("truncated", b"\xdd\xff\xff\xff\xff\x13"),
    }
    return [{"name": name, "error": kind, "hex": data.hex()} for name, (kind, data) in cases.items()]
