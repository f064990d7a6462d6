"""What a client and an upstream have seen of a plugin must be the same, byte by byte, whatever carried it."""

import json
from dataclasses import dataclass, field
from typing import Any, cast

from .match import shown

VARY = ("date", "x-request-id", "sec-websocket-accept")
"""Headers that no two answers share."""


@dataclass
class Likeness:
    """The first record of each case, and whose it was; later ones are compared with it."""

    first: dict[str, tuple[str, Any]] = field(default_factory=dict[str, tuple[str, Any]])

    def compare(self, case: str, testee: str, record: list[Any]) -> str | None:
        """What differs, in a case that was kept, from what was seen of the first testee; None if nothing does."""
        whose, other = self.first.setdefault(case, (testee, record))
        found = unlike(other, record)
        return f"otherwise than {whose}: {found}" if found else None


def unlike(one: Any, other: Any, where: str = "") -> str | None:
    """Where two records differ, or None."""
    if type(one) is type(other) and isinstance(one, dict):
        left, right = cast("dict[str, Any]", one), cast("dict[str, Any]", other)
        for key in [*left, *(key for key in right if key not in left)]:
            if found := unlike(left.get(key), right.get(key), f"{where}.{key}" if where else key):
                return found
        return None
    if isinstance(one, list) and isinstance(other, list):
        items, others = cast("list[Any]", one), cast("list[Any]", other)
        if len(items) == len(others):
            pairs = enumerate(zip(items, others, strict=True))
            return next((found for n, (a, b) in pairs if (found := unlike(a, b, f"{where}[{n}]"))), None)
    return None if one == other else f"{where}: {shown(one)}, here {shown(other)}"


def leveled(seen: dict[str, Any], place: str) -> dict[str, Any]:
    """What was seen, without what differs between any two runs: ids, dates, the place's name, the spaces of JSON.

    The place's name has the same length in all runs, so that lengths stay comparable.
    """
    headers = cast("list[dict[str, str]]", seen.get("headers", []))
    ids = [one["value"] for one in headers if one["name"] == "x-request-id"]

    def level(value: Any) -> Any:
        if isinstance(value, bytes):
            value = value.decode("latin-1")
        if isinstance(value, str):
            value = value.replace(place, "PLACE")
            for one in ids:
                value = value.replace(one, "ID")
            return value
        if isinstance(value, list):
            return [level(one) for one in cast("list[Any]", value)]
        if isinstance(value, dict):
            return {key: level(one) for key, one in cast("dict[str, Any]", value).items()}
        return value

    out: dict[str, Any] = level(seen)
    fixed = [one for one in cast("list[dict[str, str]]", out.get("headers", [])) if one["name"] not in VARY]
    is_json = any(one["name"] == "content-type" and one["value"] == "application/json" for one in fixed)
    if is_json and (value := _json(out.get("body", ""))) is not None:
        # how JSON is spaced is each language's own affair
        out["body"] = value
        out.pop("length", None)
        fixed = [one for one in fixed if one["name"] != "content-length"]
    for one in fixed:
        if one["name"].startswith("x-") and (value := _json(one["value"])) is not None:
            one["value"] = value
    if "headers" in out:
        out["headers"] = fixed
    return out


def _json(text: str) -> Any:
    """The value of a JSON object or array; None for anything else."""
    if not text.startswith(("{", "[")):
        return None
    try:
        return json.loads(text)
    except ValueError:
        return None
