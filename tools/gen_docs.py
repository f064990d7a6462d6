"""Writes every generated page and file of the project; with --check it only says which are out of date.

A generator is a function in this file that returns the text of one file, or None if it cannot be made here. Generated
files name their source in line 1.
"""

import difflib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import python_reference
from pydantic_core import PydanticUndefined

from nylon.config import RuntimeFile
from nylon.config.schema import schema, sections
from nylon.config.section import Key, Section, keys
from nylon.control.exit_codes import EXPLAINED

ROOT = Path(__file__).resolve().parent.parent

# Headings of the reference, for sections that are not the value of a key of the same name.
_TITLES = {"RuntimeFile": "Top level"}


def configuration_reference() -> str:
    """docs/configuration.md, from the models in python/nylon/config."""
    lines = [
        "<!-- generated from python/nylon/config by `make generate` -->",
        "# Configuration reference",
        "",
        "`nylon run -c FILE` reads one runtime file. Routes, services and plugins stand in it, or in the files of",
        "`config_dir`; `nylon check -c FILE` says what is wrong with them, `nylon schema` prints the JSON schema for",
        "your editor. Unknown keys are errors. Durations are written `500ms`, `5s` or `2m`; sizes in bytes or as",
        "`64KiB`, `10MiB`. Relative paths start at the working directory.",
        "",
        "`nylon check` imports plugins of `type: python` and the targets of `workers:`, as `nylon run` does, and so",
        "runs what stands at their top; it does not initialize them. `--no-import` is for places where that must not",
        "be, or cannot.",
        "",
        "In the tables, a key without a default is required if it says so.",
        "",
    ]
    for section in sections(RuntimeFile):
        lines += _section(section)
    return "\n".join(lines).rstrip() + "\n"


def json_schema() -> str:
    """docs/nylon.schema.json, what `nylon schema` prints."""
    return (
        json.dumps({"$comment": "generated from python/nylon/config by `make generate`", **schema()}, indent=2) + "\n"
    )


def exit_codes() -> str:
    """docs/exit-codes.md, from python/nylon/control/exit_codes.py."""
    lines = [
        "<!-- generated from python/nylon/control/exit_codes.py by `make generate` -->",
        "# Exit codes of `nylon`",
        "",
        "| code | meaning |",
        "|---|---|",
        *(f"| {int(code)} | {text} |" for code, text in EXPLAINED.items()),
        "| 128 + n | signal n came a second time: ended at once |",
        "",
    ]
    return "\n".join(lines)


def go_reference() -> str | None:
    """docs/go-reference.md, from the comments and examples of the Go SDK; None where there is no Go to read them."""
    go = shutil.which("go")
    if go is None:
        print("docs/go-reference.md is left as it is: there is no go")
        return None
    command = [go, "-C", str(ROOT / "sdk/go"), "run", "./internal/reference"]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, encoding="utf-8").stdout


GENERATED: dict[str, Callable[[], str | None]] = {
    "docs/configuration.md": configuration_reference,
    "docs/nylon.schema.json": json_schema,
    "docs/exit-codes.md": exit_codes,
    "docs/go-reference.md": go_reference,
    "docs/python-reference.md": python_reference.reference,
}


def _section(section: type[Section]) -> Iterator[str]:
    yield f"## {_TITLES.get(section.__name__, section.__name__)}"
    yield ""
    yield _text(section.__doc__)
    yield ""
    yield "| key | value | default | |"
    yield "|---|---|---|---|"
    for key in keys(section):
        yield f"| `{key.name}` | {_kind(key)} | {_default(key)} | {_text(key.info.description)} |"
    yield ""
    if section.ignored:
        yield "Accepted for files of the original, without effect: "
        yield "; ".join(f"`{name}` ({reason})" for name, reason in section.ignored.items()) + "."
        yield ""
    if section.not_built:
        yield "Not built yet, and refused: " + "; ".join(f"`{n}` ({r})" for n, r in section.not_built.items()) + "."
        yield ""


def _kind(key: Key) -> str:
    if key.section is not None:
        name = key.section.__name__
        link = f"[{name}](#{name.lower()})"
        return {None: link, list: f"list of {link}", dict: f"name → list of {link}"}[key.many]
    found = _types(_property(key))
    return " or ".join(dict.fromkeys(found)) or "any"


def _property(key: Key) -> dict[str, Any]:
    owner = next(s for s in sections(RuntimeFile) if any(k.info is key.info for k in keys(s)))
    return owner.model_json_schema()["properties"][key.name]


def _types(part: dict[str, Any]) -> Iterable[str]:
    if "anyOf" in part:
        for option in part["anyOf"]:
            yield from _types(option)
    elif "enum" in part:
        yield " \\| ".join(f"`{value}`" for value in part["enum"])
    elif "const" in part:
        yield f"`{part['const']}`"
    elif str(part.get("pattern", "")).endswith("(ms|s|m)$"):
        yield "duration"
    elif str(part.get("pattern", "")).endswith("GiB)$"):
        yield "size"
    elif part.get("type") == "array":
        yield "list of " + " or ".join(_types(part["items"]))
    elif part.get("type") not in (None, "null"):
        kind = str(part["type"])
        yield {"integer": "number", "boolean": "`true` \\| `false`", "string": "text"}.get(kind, kind)


def _default(key: Key) -> str:
    if key.info.is_required():
        return "required"
    value = key.info.get_default(call_default_factory=True)
    if value in (None, [], {}, PydanticUndefined) or isinstance(value, Section):
        return ""
    kind = _kind(key)
    if kind == "duration":
        return f"`{value // 1000}s`" if value % 1000 == 0 else f"`{value}ms`"
    if kind == "size" and value:
        return f"`{value >> 20}MiB`" if value % (1 << 20) == 0 else f"`{value >> 10}KiB`"
    return f"`{json.dumps(value) if not isinstance(value, str) else value}`"


def _text(description: str | None) -> str:
    return " ".join((description or "").split())


def main(arguments: list[str]) -> int:
    """Write or check everything; return how many files were out of date when checking."""
    stale = 0
    for name, make in GENERATED.items():
        path, text = ROOT / name, make()
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        if text is None or before == text:
            continue
        if "--check" in arguments:
            stale += 1
            sys.stdout.writelines(
                difflib.unified_diff(before.splitlines(True), text.splitlines(True), name, f"{name} (fresh)", n=1)
            )
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(f"wrote {name}")
    if stale:
        print(f"{stale} generated files are out of date; mend with: make generate")
    return stale


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
