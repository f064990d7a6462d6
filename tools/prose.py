"""Holds the documentation to the truth: no path that does not exist, no YAML that does not load, no command unknown.

Checked in README.md, CONTRIBUTING.md and docs/*.md: links between pages, paths in backticks, fenced `yaml` blocks
(whole configurations, told by their `http:`, go through the loader), fenced `python` blocks (run), and `nylon …`
commands in fenced `sh` blocks (they must exist).
"""

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import typer

from nylon.cli.app import app
from nylon.config import ConfigError, load
from nylon.config.document import Document

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("crates/", "python/", "docs/", "examples/", "tests/", "tools/", "protocol/", "benchmarks/", ".ci/", "sdk/")

_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
_CODE = re.compile(r"`([^`\s]+)`")
_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)


def pages() -> list[Path]:
    """Return every page written for people."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def check(page: Path) -> Iterator[str]:
    """Yield what is not true on `page`."""
    text = page.read_text(encoding="utf-8")
    prose = _FENCE.sub("", text)
    for target in _LINK.findall(prose):
        if "://" not in target and not (page.parent / target).exists():
            yield f"link to {target}, which does not exist"
    for path in _CODE.findall(prose):
        if path.startswith(ROOMS) and "*" not in path and "<" not in path and not (ROOT / path.rstrip("/")).exists():
            yield f"path {path}, which does not exist"
    for language, body in _FENCE.findall(text):
        yield from _block(language, body)


def _block(language: str, body: str) -> Iterator[str]:
    if language == "python":
        try:
            exec(compile(body, "snippet", "exec"), {"__name__": "snippet"})
        except Exception as error:  # noqa: BLE001 (whatever the snippet raises is what is wrong with it)
            yield f"python that does not run: {type(error).__name__}: {error}"
    elif language == "yaml":
        yield from _yaml(body)
    elif language in ("sh", "console"):
        commands = set(typer.main.get_group(app).commands)
        for command in re.findall(r"^(?:\$ )?(?:\.venv/bin/)?nylon (\S+)", body, re.MULTILINE):
            if command not in commands:
                yield f"command `nylon {command}`, which does not exist"


def _yaml(body: str) -> Iterator[str]:
    try:
        Document(Path("snippet.yaml"), body)
        if not re.search(r"^http:", body, re.MULTILINE):
            return
        with tempfile.TemporaryDirectory() as directory:
            file = Path(directory) / "nylon.yaml"
            file.write_text(body, encoding="utf-8")
            for warning in load(file).warnings:
                yield f"configuration with a warning: {warning.text}"
    except ConfigError as error:
        yield f"configuration that does not load: {error}"


def main() -> int:
    """Print what is not true; return whether anything was."""
    os.chdir(ROOT)
    found = [f"{page.relative_to(ROOT)}: {problem}" for page in pages() for problem in check(page)]
    print("\n".join(found) or f"{len(pages())} pages hold")
    return min(len(found), 1)


if __name__ == "__main__":
    sys.exit(main())
