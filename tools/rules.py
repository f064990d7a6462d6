"""House rules that no linter knows: one outside engine per room, no sleeping tests, no names that mean nothing.

Each rule is a function that yields `file:line: what is wrong`. CONTRIBUTING.md has them by number.
"""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Rule 1. Which crate may name which engine.
ENGINES = {
    "async-nats": {"nylon-messaging"},
    "hyper": {"nylon-proxy"},
    "hyper-util": {"nylon-proxy"},
    "pyo3": {"nylon-py"},
    "matchit": {"nylon-routing"},
    "libloading": {"nylon-ffi"},
}
# Rule 2. Where `unsafe` may stand.
UNSAFE = {"nylon-py", "nylon-ffi"}
# Rule 3. Names of rooms that say nothing.
EMPTY_NAMES = {"utils", "util", "common", "helpers", "helper", "manager", "misc"}
# Rule 4. In Rust a sleep is told by its text: it may stand in a loop that looks at a condition, or in a closure:
# a peer that is slow on purpose.
SLEEP = re.compile(r"\b(?:thread::sleep|time::sleep)\(")
WAITS_FOR = re.compile(r"\bwhile\b|\bloop\b|\|[\w, ]*\| \{")


def files(*patterns: str) -> list[Path]:
    """Return the tracked and new files that match."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return [ROOT / name for name in listed.splitlines() if (ROOT / name).exists()]


def engines() -> Iterator[str]:
    """Rule 1: one outside engine, one room."""
    for path in files("crates/*/Cargo.toml"):
        manifest = tomllib.loads(path.read_text(encoding="utf-8"))
        crate = path.parent.name
        for name in manifest.get("dependencies", {}):
            allowed = ENGINES.get(name)
            if allowed is not None and crate not in allowed:
                yield f"{path.relative_to(ROOT)}:1: {crate} may not use {name}: its room is {', '.join(allowed)}"


def unsafe() -> Iterator[str]:
    """Rule 2: `unsafe` only where C or Python is on the other side."""
    for path in files("crates/*.rs"):
        crate = path.relative_to(ROOT / "crates").parts[0]
        if crate in UNSAFE:
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            code = line.split("//")[0]
            if re.search(r"\bunsafe\s*(\{|fn|impl)", code) or "allow(unsafe_code)" in code:
                yield f"{path.relative_to(ROOT)}:{number}: unsafe outside {', '.join(sorted(UNSAFE))}"


def empty_names() -> Iterator[str]:
    """Rule 3: a file is called after what it is for."""
    for path in files("crates", "python", "tests", "tools", "benchmarks", "conformance"):
        name = path.relative_to(ROOT)
        for part in (*name.parts[:-1], name.stem):
            if part in EMPTY_NAMES:
                yield f"{name}:1: '{part}' says nothing about what is in it"


def sleeping_tests() -> Iterator[str]:
    """Rule 4: tests wait for conditions, not for time. A sleep that has a reason says it: `# sleep: why`."""
    for path in files("tests/*.py", "crates/*/tests/*.rs", "crates/*/tests.rs"):
        text = path.read_text(encoding="utf-8")
        lines = text.splitlines()
        for number in _python_sleeps(text) if path.suffix == ".py" else _rust_sleeps(lines):
            if "sleep: " not in lines[number - 1]:
                where = f"{path.relative_to(ROOT)}:{number}"
                yield f"{where}: a test that sleeps; wait for a condition, or say '# sleep: why'"

    for path in files("sdk/go/*_test.go", "examples/*_test.go"):
        lines = path.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines, 1):
            if "time.Sleep(" in line and "sleep: " not in "".join(lines[max(0, number - 2) : number]):
                where = f"{path.relative_to(ROOT)}:{number}"
                yield f"{where}: a test that sleeps; wait for a condition, or say '// sleep: why'"


def _rust_sleeps(lines: list[str]) -> Iterator[int]:
    for number, line in enumerate(lines, 1):
        if SLEEP.search(line) and not WAITS_FOR.search("\n".join(lines[max(0, number - 14) : number])):
            yield number


def _python_sleeps(text: str) -> Iterator[int]:
    """Lines of tests that sleep themselves. Loops wait for something; what a test defines may be slow on purpose."""
    tests = [node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    todo: list[ast.AST] = [test for test in tests if test.name.startswith("test_")]
    while todo:
        for node in ast.iter_child_nodes(todo.pop()):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("time.sleep", "asyncio.sleep", "sleep"):
                yield node.lineno
            if not isinstance(node, ast.While | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
                todo.append(node)


RULES = (engines, unsafe, empty_names, sleeping_tests)


def main() -> int:
    """Print every violation; return how many there are."""
    found = [problem for rule in RULES for problem in rule()]
    print("\n".join(found) or f"{len(RULES)} house rules kept")
    return min(len(found), 1)


if __name__ == "__main__":
    sys.exit(main())
