"""Two Go libraries, so two Go runtimes, in one gateway. BENCH_SOAK_SECONDS says for how long."""

from __future__ import annotations

import os
from pathlib import Path

from bench import tools

from scenarios.endurance import endure
from scenarios.libraries import InLibrary
from scenarios.setup import Outcome

TITLE = "two Go libraries in one gateway"
REQUIRED = "no request fails, RSS + < 5 % behind the warm-up"
GOOD = "–"
LIMIT = 0.05


class Two(InLibrary):
    """Every request passes both."""

    def write_config(self) -> Path:
        path = super().write_config()
        lines: list[str] = []
        for line in path.read_text().splitlines():
            lines.append(line)
            if "type: ffi" in line:
                lines.append(f'  - {{name: second, type: ffi, file: "{tools.second_go_library()}"}}')
            if "plugin: auth, entry: auth" in line:
                lines.append(line.replace("plugin: auth", "plugin: second"))
        path.write_text("\n".join(lines))
        return path


def run(upstream: int, quick: bool) -> Outcome:
    length = 5.0 if quick else float(os.environ.get("BENCH_SOAK_SECONDS", "600"))
    with Two(upstream, "library-two", tools.go_library()) as gateway:
        endured = endure(gateway, length)
    load, growth = endured.load, endured.growth("gateway")
    return Outcome(
        f"{load.not_ok} of {load.requests:,} failed in {load.seconds:.0f} s, {growth}",
        passed=load.not_ok == 0 and growth.share < LIMIT,
        good=True,
        raw={"requests": load.requests, "bad": load.not_ok, "rss": endured.sizes["gateway"]},
    )
