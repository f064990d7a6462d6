"""Every file of `cases/` is a test: what it says comes in, and below `----` what must come out.

    # what the case is about
    http: [...]                 the runtime file, nylon.yaml
    ---- conf/a.yaml            any number of further files
    routes: [...]
    ----
    warning: ...                warnings, if there are any
    {...}                       the snapshot: of the keys at the top, those that are shown must be equal
    error: ...                  or instead of it every problem, in order

`NYLON_UPDATE=1` writes what comes out into the files; read the diff.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from nylon.config import ConfigError, Server, compile, load

CASES = sorted((Path(__file__).parent / "cases").glob("*.case"))
EMBEDDED = {"inside": Server("nats://127.0.0.1:4999", "gateway", "secret")}


def split(text: str) -> tuple[dict[str, str], str]:
    files: dict[str, str] = {}
    name = "nylon.yaml"
    parts: dict[str, list[str]] = {name: []}
    expected: list[str] | None = None
    for line in text.splitlines(keepends=True):
        if expected is not None:
            expected.append(line)
        elif line.rstrip() == "----":
            expected = []
        elif line.startswith("---- "):
            name = line[5:].strip()
            parts[name] = []
        else:
            parts[name].append(line)
    files = {name: "".join(lines) for name, lines in parts.items()}
    return files, "".join(expected or [])


def outcome(shown: dict[str, Any] | None) -> tuple[list[str], dict[str, Any] | None]:
    try:
        loaded = load(Path("nylon.yaml"))
    except ConfigError as error:
        return [f"error: {problem}" for problem in error.problems], None
    snapshot = json.loads(compile(loaded.config, cores=2, embedded=EMBEDDED))
    lines = [f"warning: {warning}" for warning in loaded.warnings]
    return lines, {key: value for key, value in snapshot.items() if shown is None or key in shown}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_case(case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = case.read_text(encoding="utf-8")
    files, expected = split(text)
    for name, content in files.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    lines = [line for line in expected.splitlines() if line.startswith(("warning: ", "error: "))]
    body = "\n".join(line for line in expected.splitlines() if line not in lines).strip()
    snapshot = json.loads(body) if body else None
    actual_lines, actual = outcome(snapshot)
    if os.environ.get("NYLON_UPDATE"):
        shown = json.dumps(actual, indent=2, ensure_ascii=False) if actual is not None else ""
        head = text[: len(text) - len(expected)]
        case.write_text(head + "\n".join([*actual_lines, *([shown] if shown else [])]) + "\n", encoding="utf-8")
        return
    assert (actual_lines, actual) == (lines, snapshot)


def test_there_are_cases() -> None:
    assert len(CASES) > 30
