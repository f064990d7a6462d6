"""Frames by their layout in protocol/messages.toml: meaning from bytes, bytes from meaning.

Values stand as in protocol/vectors (25.4), but `bin` is `bytes`.
"""

import tomllib
from pathlib import Path
from typing import Any, cast

from .msgpack import Pairs, RefusedError, pack, unpack

ROOT = Path(__file__).resolve().parents[2]
Values = dict[str, Any]
TABLE: Values = tomllib.loads((ROOT / "protocol/messages.toml").read_text(encoding="utf-8"))
NUMBERS: dict[str, dict[str, int]] = {
    name: {one["name"]: one["number"] for one in enum["values"]} for name, enum in TABLE["enums"].items()
}
NAMES = {name: {number: word for word, number in enum.items()} for name, enum in NUMBERS.items()}
FRAMES: dict[int, str] = {NUMBERS["FrameType"][frame["kind"]]: name for name, frame in TABLE["frames"].items()}
HEADER = [{"name": "generation", "type": "u32"}, {"name": "seq", "type": "u32"}, {"name": "phase_seq", "type": "u32"}]
LIMITS = {"u16": 1 << 16, "u32": 1 << 32, "u53": 1 << 53}


def layout(name: str) -> list[Values]:
    """Every element of a frame after its type."""
    frame = TABLE["frames"][name]
    return [
        *([{"name": "session", "type": "session"}, *HEADER] if frame.get("session", True) else []),
        *frame["elements"],
    ]


def _typed(kind: str, value: Any) -> Any:
    if kind.startswith("["):
        if not isinstance(value, list) or isinstance(value, Pairs):
            raise RefusedError("type")
        return [_typed(kind[1:-1], item) for item in cast("list[Any]", value)]
    if kind in LIMITS:
        if not isinstance(value, int) or isinstance(value, bool):
            raise RefusedError("type")
        if not 0 <= value < LIMITS[kind]:
            raise RefusedError("range")
        return value
    if kind in NAMES:
        if not isinstance(value, int) or isinstance(value, bool):
            raise RefusedError("type")
        if value in NAMES[kind]:
            return NAMES[kind][value]
        if "unknown" not in TABLE["enums"][kind] or value < 0:
            raise RefusedError("range")
        return TABLE["enums"][kind]["unknown"]
    if kind in TABLE["records"]:
        record = TABLE["records"][kind]
        return _elements(record["elements"], value, exact=record.get("exact", False))
    if kind in ("operation", "ws_operation"):
        return _operation(kind, value)
    if kind == "session":
        if not isinstance(value, bytes):
            raise RefusedError("type")
        if len(value) != 16:
            raise RefusedError("session_id")
        return value
    if kind == "ext":
        if not isinstance(value, Pairs) or not all(isinstance(key, str) for key, _ in value):
            raise RefusedError("type")
        return _open(value)
    if not isinstance(value, {"str": str, "bin": bytes, "bool": bool}[kind]):
        raise RefusedError("utf8" if kind == "str" else "type")
    return value


def _open(value: Any) -> Any:
    """Return what stands in an extension, the first of repeated keys counting (4.5)."""
    if isinstance(value, Pairs):
        return {key: _open(item) for key, item in reversed(value)}
    return [_open(item) for item in cast("list[Any]", value)] if isinstance(value, list) else value


def _operation(kind: str, value: Any) -> Values:
    if not isinstance(value, list) or isinstance(value, Pairs):
        raise RefusedError("type")
    items = cast("list[Any]", value)
    if not items:
        raise RefusedError("missing")
    if not isinstance(items[0], int):
        raise RefusedError("type")
    found = TABLE[f"{kind}s"].get(str(items[0]))
    if found is None:
        raise RefusedError("unknown_operation")
    return {"number": items[0], **_elements(found, items[1:])}


def _elements(elements: list[Values], value: Any, *, exact: bool = False) -> Values:
    if not isinstance(value, list) or isinstance(value, Pairs):
        raise RefusedError("type")
    items = cast("list[Any]", value)
    if exact and len(items) != len(elements):
        raise RefusedError("missing" if len(items) < len(elements) else "type")
    out: Values = {}
    for number, element in enumerate(elements):
        name, kind = element["name"], element["type"]
        if element.get("if_nil") and out[element["if_nil"]] is not None:
            continue
        if number >= len(items):
            if "default" in element:
                default = element["default"]
                out[name] = NAMES[kind][default] if kind in NAMES else default
            elif element.get("nil") and not element.get("required"):
                out[name] = None
            else:
                raise RefusedError("missing")
        elif items[number] is None and element.get("nil"):
            out[name] = None
        else:
            out[name] = _typed(kind, items[number])
    return out


def decode(data: bytes) -> tuple[str, Values]:
    """Name and values of a frame, or RefusedError."""
    value = unpack(data)
    if not isinstance(value, list) or isinstance(value, Pairs):
        raise RefusedError("type")
    items = cast("list[Any]", value)
    if not items:
        raise RefusedError("missing")
    if not isinstance(items[0], int) or isinstance(items[0], bool):
        raise RefusedError("type")
    if items[0] not in FRAMES:
        raise RefusedError("unknown_frame")
    name = FRAMES[items[0]]
    values = _elements(layout(name), items[1:])
    if name in ("OPEN", "BEAT") and values["v"] != TABLE["version"]:
        raise RefusedError("version")
    if name == "BATCH" and not values["frames"]:
        raise RefusedError("range")
    return name, values


def _plain(kind: str, value: Any) -> Any:
    if value is None:
        return None
    if kind.startswith("["):
        return [_plain(kind[1:-1], item) for item in value]
    if kind in TABLE["records"]:
        return _listed(TABLE["records"][kind]["elements"], value)
    if kind in ("operation", "ws_operation") and isinstance(value, dict):
        given = cast("Values", value)
        elements = TABLE[f"{kind}s"][str(given["number"])]
        kept = [one for one in elements if "if_nil" not in one or given.get(one["if_nil"]) is None]
        return [given["number"], *_listed(kept, given)]
    return NUMBERS[kind][value] if kind in NUMBERS and isinstance(value, str) else value


def _listed(elements: list[Values], value: Any) -> list[Any]:
    """Return positional elements of named ones; a list stands for itself, so that a case can be wrong on purpose."""
    if isinstance(value, list):
        return cast("list[Any]", value)
    out: list[Any] = []
    for element in elements:
        given = value.get(element["name"], element.get("default"))
        out.append(_plain(element["type"], given))
    return out


def plain(name: str, values: Values) -> list[Any]:
    """Return the positional elements of a frame."""
    return [NUMBERS["FrameType"][TABLE["frames"][name]["kind"]], *_listed(layout(name), values)]


def encode(name: str, values: Values) -> bytes:
    """Return the bytes of a frame."""
    return pack(plain(name, values))


def is_smallest(data: bytes) -> bool:
    """Whether a frame was written as 4.2 wants it."""
    return pack(unpack(data)) == data
