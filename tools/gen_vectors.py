#!/usr/bin/env python3
"""Writes protocol/vectors/ from the layouts in protocol/messages.toml; with --check only says what differs.

It has an encoder of its own, so that the vectors judge every codec of the project and none of them judges itself.
"""

from __future__ import annotations

import json
import struct
import sys
import tomllib
from pathlib import Path
from typing import Any, cast

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "protocol" / "vectors"
with (ROOT / "protocol" / "messages.toml").open("rb") as _file:
    MESSAGES: dict[str, Any] = tomllib.load(_file)
NUMBERS = {enum: {v["name"]: v["number"] for v in table["values"]} for enum, table in MESSAGES["enums"].items()}
SESSION = bytes(range(16))


class Raw(bytes):
    """Bytes that are MessagePack already."""


def head(length: int, fix: int, small: int, marks: tuple[int | None, int, int]) -> bytes:
    """Marker and length in the smallest form; `fix` with up to `small` inside the marker."""
    if length <= small:
        return bytes([fix | length])
    if marks[0] is not None and length < 1 << 8:
        return bytes([marks[0], length])
    if length < 1 << 16:
        return bytes([marks[1]]) + length.to_bytes(2)
    return bytes([marks[2]]) + length.to_bytes(4)


def integer(value: int) -> bytes:
    """The smallest unsigned form, or the smallest signed one below zero."""
    if value < 0:
        return struct.pack("b", value) if value >= -32 else b"\xd0" + struct.pack("b", value)
    if value < 128:
        return bytes([value])
    for mark, size in ((0xCC, 1), (0xCD, 2), (0xCE, 4), (0xCF, 8)):
        if value < 1 << (8 * size):
            return bytes([mark]) + value.to_bytes(size)
    raise ValueError(value)


def pack(value: Any) -> bytes:
    """Canonical MessagePack."""
    match value:
        case Raw():
            return bytes(value)
        case None:
            return b"\xc0"
        case bool():
            return b"\xc3" if value else b"\xc2"
        case int():
            return integer(value)
        case float():
            return b"\xcb" + struct.pack(">d", value)
        case bytes():
            mark = head(len(value), 0, -1, (0xC4, 0xC5, 0xC6))
            return mark + value
        case str():
            data = value.encode()
            return head(len(data), 0xA0, 31, (0xD9, 0xDA, 0xDB)) + data
        case list():
            items = cast("list[Any]", value)
            return head(len(items), 0x90, 15, (None, 0xDC, 0xDD)) + b"".join(map(pack, items))
        case dict():
            table = cast("dict[Any, Any]", value)
            return head(len(table), 0x80, 15, (None, 0xDE, 0xDF)) + pack_pairs(table)
        case _:
            raise TypeError(f"packing {value!r}: no form for it")


def pack_pairs(table: dict[Any, Any]) -> bytes:
    """The pairs of a map."""
    return b"".join(pack(key) + pack(value) for key, value in table.items())


Value = dict[str, Any]


def by_type(kind: str, value: Any) -> Any:
    """A meaning as the plain values that stand on the wire."""
    if value is None:
        return None
    if kind.startswith("["):
        return [by_type(kind[1:-1], item) for item in value]
    if kind in MESSAGES["records"]:
        return elements(MESSAGES["records"][kind]["elements"], value)
    if kind in ("operation", "ws_operation"):
        layout = MESSAGES[f"{kind}s"][str(value["number"])]
        kept = [e for e in layout if "if_nil" not in e or value.get(e["if_nil"]) is None]
        return [value["number"], *elements(kept, value)]
    if kind in NUMBERS:
        return NUMBERS[kind][value]
    return bytes.fromhex(value) if kind == "bin" else value


def elements(layout: list[Value], value: Value) -> list[Any]:
    """The elements of one array."""
    return [by_type(element["type"], value.get(element["name"])) for element in layout]


def plain(name: str, value: Value) -> list[Any]:
    """A whole frame as the plain values that stand on the wire."""
    frame = MESSAGES["frames"][name]
    start: list[Any] = [NUMBERS["FrameType"][frame["kind"]]]
    if frame.get("session", True):
        start += [bytes.fromhex(value["session"]), value["generation"], value["seq"], value["phase_seq"]]
    return start + elements(frame["elements"], value)


def with_defaults(kind: str, layout: list[Value], given: Value) -> Value:
    """Every element named, those not given as the protocol reads a missing one."""
    out: Value = {}
    for element in layout:
        name = element["name"]
        if name in given:
            out[name] = complete(element["type"], given[name])
        elif element.get("if_nil") and given.get(element["if_nil"]) is not None:
            continue
        elif "default" in element:
            default = element["default"]
            enum = element["type"] in NUMBERS
            out[name] = next(k for k, n in NUMBERS[element["type"]].items() if n == default) if enum else default
        elif element.get("nil"):
            out[name] = None
        else:
            raise KeyError(f"{kind}.{name}")
    unknown = given.keys() - out.keys()
    if unknown:
        raise KeyError(f"{kind}: {unknown}")
    return out


def complete(kind: str, value: Any) -> Any:
    """Defaults of nested values."""
    if value is None:
        return None
    if kind.startswith("["):
        return [complete(kind[1:-1], item) for item in value]
    if kind in MESSAGES["records"]:
        return with_defaults(kind, MESSAGES["records"][kind]["elements"], value)
    if kind in ("operation", "ws_operation"):
        layout = MESSAGES[f"{kind}s"][str(value["number"])]
        rest = {k: v for k, v in value.items() if k != "number"}
        return {"number": value["number"], **with_defaults(kind, layout, rest)}
    return value


def frame(name: str, **given: Any) -> Value:
    """The full meaning of a frame."""
    layout = MESSAGES["frames"][name]
    start: Value = {}
    if layout.get("session", True):
        header = {"session": SESSION.hex(), "generation": 1, "seq": 0, "phase_seq": 0}
        start = {key: given.pop(key, default) for key, default in header.items()}
    return start | with_defaults(name, layout["elements"], given)


def text(value: str) -> str:
    """Bytes of a text, as the vectors write bytes."""
    return value.encode().hex()


SNAPSHOT: Value = {
    "method": "GET",
    "scheme": "https",
    "host": "shop.example",
    "port": 0,
    "path": "/items/7",
    "query": "a=1&b=%20",
    "params": [{"name": "id", "value": "7"}],
    "headers": [
        {"name": "authorization", "value": text("Bearer abc")},
        {"name": "cookie", "value": text("a=1")},
        {"name": "cookie", "value": text("b=2")},
        {"name": "x-latin", "value": "e9"},
        {"name": "x-empty", "value": ""},
    ],
    "client_ip": "192.0.2.1",
    "timestamp_ms": 1_760_000_000_123,
    "content_length": None,
    "tls": True,
    "websocket": False,
    "request_id": "01J9Z0",
    "attributes": {},
}
SMALL: Value = {
    "method": "GET",
    "scheme": "http",
    "host": "a.test",
    "port": 8080,
    "path": "/",
    "query": "",
    "params": [],
    "headers": [],
    "client_ip": "::1",
}
RESPONSE: Value = {
    "status": 200,
    "headers": [
        {"name": "content-type", "value": text("text/plain")},
        {"name": "set-cookie", "value": text("a=1")},
        {"name": "set-cookie", "value": text("b=2")},
    ],
    "body_bytes": 70_000,
    "duration_ms": 12,
    "error": None,
    "body_length": 70_000,
}
FIRST: Value = {"worker": "w1", "mask": 0b1001, "body_mode": "Buffered", "credit": 32768}
REVISION: Value = {"hash": "00ff" * 16, "loaded_ms": 1_760_000_000_000}
OPEN: Value = {
    "v": 1,
    "reply": "nylon.v1.h.gw1.0.7",
    "entry": "auth",
    "phase": "RequestFilter",
    "remaining_ms": 5000,
    "mono_ms": 123_456_789,
    "snapshot": SNAPSHOT,
}
SMALL_OPEN = OPEN | {"snapshot": SMALL}
PHASE: Value = {"phase": "ResponseFilter", "remaining_ms": 5000, "mono_ms": 1, "response": RESPONSE}
BEAT: Value = {
    "v": 1,
    "group": "auth_workers",
    "worker": "w1",
    "seq": 0,
    "load": 0,
    "limit": 1024,
    "state": "Ready",
    "entries": [{"entry": "auth", "mask": 1, "body_mode": "Buffered"}],
}
OPS: list[Value] = [
    {"number": 102, "status": 401},
    {"number": 100, "name": "WWW-Authenticate", "value": text("Bearer")},
    {"number": 101, "name": "Server"},
    {"number": 410, "name": "set-cookie", "value": text("a=1")},
    {"number": 410, "name": "set-cookie", "value": text("b=2")},
    {"number": 103, "bytes": text('{"error":"unauthorized"}')},
]
REQUEST_OPS: list[Value] = [
    {"number": 400, "name": "x-auth-user", "value": text("jo")},
    {"number": 401, "name": "authorization"},
    {"number": 402, "name": "x-role", "value": text("admin")},
]

CLOSES = [frame("CLOSE", seq=2, phase_seq=1), frame("CLOSE", session="ff" * 16, generation=70_000, seq=1)]

VALID: dict[str, dict[str, Value]] = {
    "OPEN": {
        "a request filter": OPEN | {"payload": text('{"role":"admin"}'), "revision": REVISION},
        "the smallest request": SMALL_OPEN,
        "with the request body it has learned to send": SMALL_OPEN | {"body": text("a=1"), "credit": 65536},
        "an empty body is not the same as none": SMALL_OPEN | {"body": "", "payload": ""},
        "too large, the rest is fetched": SMALL_OPEN | {"more": True},
        "logging first, with the response": SMALL_OPEN
        | {
            "phase": "Logging",
            "response": RESPONSE | {"status": 503, "error": "no worker", "body_length": None},
        },
        "a websocket upgrade, sixteen headers, long values": SMALL_OPEN
        | {
            "snapshot": SMALL
            | {
                "websocket": True,
                "headers": [{"name": f"x-{i}", "value": "61" * (20 * i)} for i in range(16)],
                "path": "/" + "p" * 300,
                "content_length": (1 << 53) - 1,
            }
        },
        "largest numbers": SMALL_OPEN
        | {
            "generation": (1 << 32) - 1,
            "seq": (1 << 32) - 1,
            "phase_seq": (1 << 32) - 1,
            "remaining_ms": (1 << 53) - 1,
            "mono_ms": (1 << 53) - 1,
            "credit": (1 << 32) - 1,
        },
        "non-ascii text and an extension": SMALL_OPEN | {"entry": "prüfen", "ext": {"traceparent": "00-ab-cd-01"}},
    },
    "ACCEPT": {"accepted": {"first": FIRST}, "a streaming body filter": {"first": FIRST | {"body_mode": "Streaming"}}},
    "PHASE": {
        "a response filter": PHASE | {"seq": 1, "phase_seq": 1, "payload": text("{}")},
        "a body filter with its body": PHASE | {"phase": "ResponseBodyFilter", "body": text("hello")},
        "logging after the client has left": PHASE
        | {
            "phase": "Logging",
            "remaining_ms": 0,
            "response": RESPONSE | {"error": "client gone"},
        },
        "a second request filter of the same entry": PHASE | {"phase": "RequestFilter", "response": None},
    },
    "FETCH": {
        "the request body": {"call_id": 1, "what": "RequestBody", "max_bytes": 10_485_760, "first": FIRST},
        "the response body": {"seq": 2, "call_id": 2, "what": "ResponseBody", "max_bytes": 0},
        "the config": {"call_id": 3, "what": "Config", "max_bytes": 1_048_576, "first": FIRST},
        "an upload as it comes": {"call_id": 5, "what": "RequestStream", "max_bytes": 9_007_199_254_740_991},
        "a body to filter as it comes": {"seq": 1, "call_id": 1, "what": "ResponseStream", "max_bytes": 1 << 50},
        "the rest of the open": {"call_id": 4, "what": "OpenRest", "max_bytes": 1_048_576, "first": FIRST},
    },
    "DATA": {
        "the only piece": {"id": 1, "bytes": text("hello")},
        "more follows": {"seq": 3, "id": 1, "bytes": "00" * 300, "more": True},
        "an empty last piece": {"id": 1, "bytes": ""},
        "a stream": {"id": 9, "bytes": text("data: x\n\n"), "more": True, "kind": "Stream"},
        "a text message": {"id": 1, "bytes": text("hé"), "kind": "Text"},
        "a binary message": {"id": 1, "bytes": "00ff", "kind": "Binary"},
    },
    "CREDIT": {"a quarter window": {"seq": 4, "id": 1, "bytes": 8192}, "most": {"id": 0, "bytes": (1 << 32) - 1}},
    "RESULT": {
        "next without operations": {"ops": [], "action": "Next", "first": FIRST},
        "end with a refusal": {
            "ops": OPS,
            "action": "End",
            "first": FIRST,
            "timing": {"queue_us": 12, "handler_us": 345},
        },
        "changes to the request": {"ops": REQUEST_OPS, "action": "Next", "first": FIRST | {"mask": 0, "credit": 0}},
        "a later phase, a body sent before": {
            "seq": 5,
            "phase_seq": 2,
            "action": "Next",
            "ops": [{"number": 103, "bytes": None, "id": 7, "total": 1_000_000}],
        },
        "seventeen operations, an empty body": {
            "action": "End",
            "ops": [{"number": 102, "status": 200 + i} for i in range(16)] + [{"number": 103, "bytes": ""}],
        },
        "an illegal status is the gateway's to judge": {"ops": [{"number": 102, "status": 65535}], "action": "Next"},
    },
    "STREAM": {
        "server-sent events": {
            "ops": [{"number": 100, "name": "content-type", "value": text("text/event-stream")}],
            "stream_id": 9,
            "first": FIRST,
        }
    },
    "STREAM_END": {"complete": {"seq": 9, "outcome": "Ok"}, "cut short": {"outcome": "Abort"}},
    "UPGRADE": {
        "with a subprotocol": {"ops": [], "max_message_bytes": 1_048_576, "subprotocol": "chat", "first": FIRST},
        "without": {"ops": [{"number": 100, "name": "x-a", "value": ""}], "max_message_bytes": 65536},
    },
    "WS_OPEN": {"open": {"connection_id": 1}},
    "WS_CLOSED": {"normally": {"code": 1000, "reason": ""}, "going away": {"code": 1001, "reason": "restarting"}},
    "WS_ERROR": {"a protocol error": {"text": "invalid utf-8"}},
    "WS_OP": {
        "close": {"call_id": 1, "operation": {"number": 303, "code": 1000, "reason": "bye"}},
        "join": {"call_id": 2, "operation": {"number": 310, "room": "lobby"}},
        "leave": {"call_id": 3, "operation": {"number": 311, "room": "lobby"}},
        "broadcast text": {"call_id": 4, "operation": {"number": 312, "room": "lobby", "message": text("hi")}},
        "broadcast bytes": {"call_id": 5, "operation": {"number": 313, "room": "ré", "message": "00ff"}},
    },
    "ABORT": {
        **{reason: {"reason": reason} for reason in NUMBERS["AbortReason"]},
        "with a text": {"reason": "Gap", "text": "expected 3, got 5"},
    },
    "BUSY": {reason: {"worker": "w1", "reason": reason, "retry_after_ms": 250} for reason in NUMBERS["BusyReason"]},
    "ERROR": {
        "the handler raised": {
            "call_id": None,
            "code": "handler_error",
            "text": "KeyError",
            "log_id": "e7",
            "first": FIRST,
        },
        "a call failed": {"call_id": 3, "code": "body_too_large", "text": "limit 10485760"},
    },
    "CLOSE": {"close": {"seq": 2, "phase_seq": 1}},
    "PROBE": {"probe": {}},
    "BEAT": {
        "ready": BEAT | {"revision": REVISION},
        "busy and draining": BEAT
        | {"seq": 70_000, "load": 1024, "draining": True, "oldest_running_ms": 5000, "oldest_waiting_ms": 90},
        "no entries yet": BEAT | {"entries": [], "state": "Initializing"},
        "a failed first initialize": BEAT | {"state": "FailedFirst"},
        "a failed later one": BEAT | {"state": "FailedKeepingOld", "revision": REVISION, "group": "a.b c"},
    },
    "BATCH": {
        "two frames": {"frames": [pack(plain("CLOSE", close)).hex() for close in CLOSES]},
        "one frame": {"frames": [pack(plain("CLOSE", CLOSES[0])).hex()]},
        "what is in it is judged later": {"frames": ["c1", ""]},
    },
}

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


def may_miss(element: Value) -> bool:
    """Whether a reader accepts a frame that ends before this element."""
    return "default" in element or (element.get("nil", False) and not element.get("required", False))


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


def edit(name: str, given: Value, element: str, replacement: Any) -> list[Any]:
    """A frame with one element replaced by plain values."""
    layout = [e["name"] for e in MESSAGES["frames"][name]["elements"]]
    values = plain(name, frame(name, **given))
    values[len(values) - len(layout) + layout.index(element)] = replacement
    return values


def grown(name: str, given: Value, element: str) -> tuple[str, Value, Any]:
    """A record inside a frame that has grown."""
    value = frame(name, **given)
    kind = next(e["type"] for e in MESSAGES["frames"][name]["elements"] if e["name"] == element)
    record = by_type(kind, value[element])
    return (f"the {element} has grown", value, edit(name, given, element, record + LATER))


RESULT_NEXT: Value = {"ops": [], "action": "Next"}
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


def files() -> dict[Path, str]:
    """Every vector file with its text."""
    missing = MESSAGES["frames"].keys() ^ VALID.keys()
    if missing:
        raise KeyError(f"frames without vectors, or the other way round: {missing}")
    out: dict[Path, str] = {}

    def add(kind: str, name: str, cases: list[Value]) -> None:
        content = {"frame": name, "cases": cases}
        path = OUT / kind / f"{name.lower()}.json"
        out[path] = json.dumps(content, indent=1, ensure_ascii=False) + "\n"

    for name, cases in VALID.items():
        meanings = {case: frame(name, **given) for case, given in cases.items()}
        add(
            "valid",
            name,
            [{"name": case, "hex": pack(plain(name, value)).hex(), "value": value} for case, value in meanings.items()],
        )
        add("future", name, future(name))
        add("invalid", name, invalid(name))
    add("invalid", "ANY", general())
    return out


def main(arguments: list[str]) -> int:
    """Writes or compares."""
    if arguments not in ([], ["--check"]):
        print("usage: tools/gen_vectors.py [--check]", file=sys.stderr)
        return 2
    wanted = files()
    stale = sorted(set(OUT.rglob("*.json")) - wanted.keys())
    stale += [path for path, content in wanted.items() if not path.exists() or path.read_text("utf-8") != content]
    for path in stale:
        if arguments:
            print(f"{path.relative_to(ROOT)} is out of date: run tools/gen_vectors.py", file=sys.stderr)
        elif path in wanted:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted[path], encoding="utf-8")
        else:
            path.unlink()
    if not arguments:
        print(f"wrote {len(stale)} of {len(wanted)} files")
    return 1 if arguments and stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
