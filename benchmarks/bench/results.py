"""Raw results on disk: one JSON file per run, with everything needed to know what was measured and on what."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import tools
from bench.load import Load
from bench.matrix import Sample
from bench.places import REPOSITORY, RESULTS, WORK


def _git(*arguments: str) -> str:
    run = subprocess.run(["git", *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    return run.stdout.strip()


def machine() -> dict[str, Any]:
    cpus = Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*:\s*(.+)", cpus)
    memory = re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())
    return {
        "cpu": model[1] if model else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mib": int(memory[1]) // 1024 if memory else 0,
        "kernel": platform.release(),
        "load_average": os.getloadavg(),
    }


@dataclass
class Run:
    """One run of the benchmark."""

    started: str
    commit: str
    dirty: bool
    options: dict[str, Any]
    machine: dict[str, Any]
    versions: dict[str, str]
    titles: dict[str, str] = field(default_factory=dict[str, str])
    nginx_over_direct: float | None = None
    refused: str | None = None
    samples: list[Sample] = field(default_factory=list[Sample])
    scenarios: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    absent: dict[str, str] = field(default_factory=dict[str, str])
    """Systems that did not start or did not pass their functional check, with the reason."""

    @classmethod
    def begin(cls, options: dict[str, Any]) -> Run:
        return cls(
            started=datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%SZ"),
            commit=_git("rev-parse", "--short=12", "HEAD") or "unknown",
            dirty=bool(_git("status", "--porcelain", "--untracked-files=no")),
            options=options,
            machine=machine(),
            versions=tools.versions(),
        )

    @property
    def path(self) -> Path:
        return (WORK / "results" if self.options["quick"] else RESULTS) / f"{self.started}-{self.commit}.json"

    def save(self) -> Path:
        """Writes the run as it stands; called after every step, so that an interrupted run keeps what it has."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        content = {**self.__dict__, "samples": [sample.as_json() for sample in self.samples]}
        partial = self.path.with_suffix(".partial")
        partial.write_text(json.dumps(content, indent=1) + "\n")
        partial.replace(self.path)
        return self.path

    @classmethod
    def load(cls, path: Path) -> Run:
        content = json.loads(path.read_text())
        samples = [
            Sample(raw["round"], raw["system"], raw["shape"], Load(**raw["load"]), raw["cpu_us"])
            for raw in content.pop("samples")
        ]
        return cls(**content, samples=samples)
