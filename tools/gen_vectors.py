#!/usr/bin/env python3
"""Writes protocol/vectors/ from the layouts in protocol/messages.toml; with --check only says what differs."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from vectors.future import future
from vectors.invalid import general, invalid
from vectors.layouts import MESSAGES, ROOT, Value, frame, plain
from vectors.packing import pack
from vectors.valid import VALID

OUT = ROOT / "protocol" / "vectors"


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
