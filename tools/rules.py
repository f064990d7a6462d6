"""House rules that no linter knows: one outside engine per room, no sleeping tests, no names that mean nothing.

Each rule is a function that yields `file:line: what is wrong`. CONTRIBUTING.md has them by number.
"""

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
# Rule 4. The places that are allowed to wait by sleeping: each test language has one `eventually`, and handlers under
# test may be slow on purpose.
SLEEP = re.compile(r"\b(?:time\.sleep|thread::sleep|tokio::time::sleep)\(")


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
    for path in files("crates", "python", "tests", "tools", "benchmarks"):
        name = path.relative_to(ROOT)
        for part in (*name.parts[:-1], name.stem):
            if part in EMPTY_NAMES:
                yield f"{name}:1: '{part}' says nothing about what is in it"


def sleeping_tests() -> Iterator[str]:
    """Rule 4: tests wait for conditions. `sleep(` needs a reason on its line, or an `eventually` around it."""
    for path in files("tests/*.py", "crates/*/tests/*.rs", "crates/*/tests.rs"):
        lines = path.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines, 1):
            # sleep(600) is a process that waits to be killed
            if not SLEEP.search(line) or "sleep(600)" in line or "sleep:" in line:
                continue
            above = "\n".join(lines[max(0, number - 14) : number])
            if re.search(r"\bwhile\b|\bloop\b", above) or "def behave" in above:
                continue
            yield f"{path.relative_to(ROOT)}:{number}: a test that sleeps; wait for a condition, or add '# sleep: why'"


RULES = (engines, unsafe, empty_names, sleeping_tests)


def main() -> int:
    """Print every violation; return how many there are."""
    found = [problem for rule in RULES for problem in rule()]
    print("\n".join(found) or f"{len(RULES)} house rules kept")
    return min(len(found), 1)


if __name__ == "__main__":
    sys.exit(main())
