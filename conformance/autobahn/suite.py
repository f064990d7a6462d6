"""The suite itself. It is written in Python 2.7, so it runs in a process of its own with an interpreter of its own."""

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conformance.runner.cases import CaseError
from conformance.runner.programs import Program

VERSION = "25.10.1"
PLACE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nylon" / f"autobahn-{VERSION}"
"""Where it is installed: a user's base of that interpreter alone."""
PATIENCE = 1800.0
"""Seconds that a run may take; each case has its own limit, so this only ends a suite that hangs."""


@dataclass(frozen=True)
class Seen:
    """What the suite says of one case."""

    behavior: str
    close: str
    text: str


def interpreter() -> str:
    """Find a Python 2.7: AUTOBAHN_PYTHON, the PATH, pyenv."""
    pyenv = sorted((Path.home() / ".pyenv" / "versions").glob("2.7*/bin/python2.7"))
    given = [os.environ.get("AUTOBAHN_PYTHON"), shutil.which("python2.7"), *map(str, pyenv)]
    for one in filter(None, map(shutil.which, filter(None, given))):
        if subprocess.run([one, "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0:
            return one
    raise CaseError("looking for Python 2.7 with pip, which the Autobahn suite needs: not found; set AUTOBAHN_PYTHON")


def install(python: str) -> None:
    """Fetch the suite from PyPI, unless it is there."""
    env = {**os.environ, "PYTHONUSERBASE": str(PLACE)}
    look = [python, "-c", "import autobahntestsuite.wstest"]
    if subprocess.run(look, env=env, capture_output=True, check=False).returncode == 0:
        return
    print(f"installing autobahntestsuite {VERSION} into {PLACE}")
    command = [python, "-m", "pip", "install", "--quiet", "--user", f"autobahntestsuite=={VERSION}"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CaseError(f"{' '.join(command)}:\n{done.stderr[-2000:]}")


async def run(
    python: str, servers: Mapping[str, str], cases: Sequence[str], folder: Path
) -> dict[str, dict[str, Seen]]:
    """Let it loose on servers, told by name and URL, one after the other: what it says of each case."""
    spec = folder / "spec.json"
    agents = [{"agent": name, "url": url} for name, url in servers.items()]
    wanted = {"servers": agents, "cases": list(cases), "exclude-cases": [], "exclude-agent-cases": {}}
    spec.write_text(json.dumps({"outdir": str(folder / "reports"), **wanted}), encoding="utf-8")
    command = [python, "-m", "autobahntestsuite.wstest", "-m", "fuzzingclient", "-s", str(spec)]
    program = await Program.start(command, {"PYTHONUSERBASE": str(PLACE), "PYTHONWARNINGS": "ignore"})
    try:
        status = await asyncio.wait_for(program.process.wait(), PATIENCE)
    finally:
        await program.kill()
    index = folder / "reports" / "index.json"
    if status or not index.exists():
        raise CaseError("the suite has failed:\n" + "\n".join(program.lines[-30:]))
    table = json.loads(index.read_text(encoding="utf-8"))
    return {name: {case: seen(folder, row) for case, row in table[name].items()} for name in servers}


def seen(folder: Path, row: dict[str, Any]) -> Seen:
    """One row of its index, with the words of its report."""
    report = json.loads((folder / "reports" / row["reportfile"]).read_text(encoding="utf-8"))
    status = (report["httpResponse"] or "no answer").split("\r\n")[0]
    text = f"{report['result']} {report['resultClose']}{'' if ' 101 ' in status else f' ({status})'}"
    return Seen(row["behavior"], row["behaviorClose"], text)
