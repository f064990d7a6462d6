"""Frames by the layouts in protocol/messages.toml: what they mean, and the plain values that stand on the wire."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
with (ROOT / "protocol" / "messages.toml").open("rb") as _file:
    MESSAGES: dict[str, Any] = tomllib.load(_file)
NUMBERS = {enum: {v["name"]: v["number"] for v in table["values"]} for enum, table in MESSAGES["enums"].items()}
SESSION = bytes(range(16))

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


def may_miss(element: Value) -> bool:
    """Whether a reader accepts a frame that ends before this element."""
    return "default" in element or (element.get("nil", False) and not element.get("required", False))


def edit(name: str, given: Value, element: str, replacement: Any) -> list[Any]:
    """A frame with one element replaced by plain values."""
    layout = [e["name"] for e in MESSAGES["frames"][name]["elements"]]
    values = plain(name, frame(name, **given))
    values[len(values) - len(layout) + layout.index(element)] = replacement
    return values
