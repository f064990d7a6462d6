"""The runner's own codec before the vectors: who judges must be right first (25.1 to 25.3)."""

import json
from typing import Any, cast

from .frames import ROOT, decode, encode
from .msgpack import RefusedError


def _hex(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list):
        return [_hex(item) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {key: _hex(item) for key, item in cast("dict[str, Any]", value).items()}
    return value


def check() -> list[str]:
    """Every vector that the codec reads or writes otherwise."""
    wrong: list[str] = []
    for path in sorted((ROOT / "protocol/vectors").glob("*/*.json")):
        kind = path.parent.name
        for case in json.loads(path.read_text(encoding="utf-8"))["cases"]:
            label, data = f"{kind}/{path.stem}: {case['name']}", bytes.fromhex(case["hex"])
            try:
                name, values = decode(data)
            except RefusedError as error:
                if kind != "invalid":
                    wrong.append(f"{label}: refused for {error}")
                continue
            if kind == "invalid":
                wrong.append(f"{label}: read, must be refused for {case['error']}")
            elif _hex(values) != case["value"]:
                wrong.append(f"{label}: read as {_hex(values)}")
            elif kind == "valid" and encode(name, values) != data:
                wrong.append(f"{label}: written as {encode(name, values).hex()}")
    return wrong
