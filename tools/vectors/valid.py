"""Frames that every codec has to read, and to write just so."""

from __future__ import annotations

from vectors.layouts import NUMBERS, Value, frame, plain
from vectors.packing import pack


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
RESULT_NEXT: Value = {"ops": [], "action": "Next"}
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
