"""Comparing what a case expects with what was seen."""

import json
import re
from typing import Any, cast


def differs(expected: Any, seen: Any, where: str = "") -> str | None:
    """Where `seen` is not as expected, or None.

    A table asks for its keys only. `"*"` is anything but nil, `"nil"` nil, `"re:…"` a pattern, `"json:…"` JSON text
    that has what it says, `"0..9"` a number between.
    """
    if isinstance(expected, dict):
        table = cast("dict[str, Any]", expected)
        if isinstance(seen, list):
            return _headers(table, cast("list[Any]", seen), where)
        if not isinstance(seen, dict):
            return f"{where or 'value'}: expected {table}, seen {shown(seen)}"
        for key, value in table.items():
            found = differs(value, cast("dict[str, Any]", seen).get(key), f"{where}.{key}" if where else key)
            if found:
                return found
        return None
    if isinstance(expected, list):
        items = cast("list[Any]", expected)
        if not isinstance(seen, list) or len(cast("list[Any]", seen)) != len(items):
            return f"{where}: expected {items}, seen {shown(seen)}"
        for number, (one, other) in enumerate(zip(items, cast("list[Any]", seen), strict=True)):
            if found := differs(one, other, f"{where}[{number}]"):
                return found
        return None
    if isinstance(expected, str) and _matches(expected, seen):
        return None
    if not isinstance(expected, str) and expected == seen and isinstance(expected, bool) == isinstance(seen, bool):
        return None
    return f"{where}: expected {expected!r}, seen {shown(seen)}"


def _matches(expected: str, seen: Any) -> bool:
    if expected in ("*", "nil"):
        return (seen is None) == (expected == "nil")
    if isinstance(seen, bytes):
        seen = seen.decode("utf-8", "backslashreplace")
    if found := re.fullmatch(r"(\d+)\.\.(\d+)", expected):
        return isinstance(seen, int | float) and int(found[1]) <= seen <= int(found[2])
    if not isinstance(seen, str):
        return False
    if expected.startswith("re:"):
        return re.search(expected[3:], seen) is not None
    if expected.startswith("json:"):
        try:
            return differs(json.loads(expected[5:]), json.loads(seen)) is None
        except ValueError:
            return False
    return expected == seen


def _headers(expected: dict[str, Any], seen: list[Any], where: str) -> str | None:
    """Compare a list of {name, value} with a table; `"nil"` where the name must not be, a list where it repeats."""
    for name, value in expected.items():
        values = [one["value"] for one in seen if one["name"] == name]
        wanted: list[Any] = [] if value == "nil" else cast("list[Any]", value) if isinstance(value, list) else [value]
        if found := differs(wanted, values, f"{where}.{name}"):
            return found
    return None


def shown(value: Any) -> str:
    """What was seen, short enough for one line."""
    text = repr(value)
    return text if len(text) < 300 else f"{text[:300]}… ({len(text)} characters)"
