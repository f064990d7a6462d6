"""Two Go libraries, so two Go runtimes, in one gateway. BENCH_SOAK_SECONDS says for how long."""

from __future__ import annotations

import os
import time
from pathlib import Path

from bench import tools
from bench.load import closed_loop
from bench.processes import rss_bytes

from scenarios.libraries import InLibrary
from scenarios.setup import Outcome

TITLE = "two Go libraries in one gateway"
REQUIRED = "no request fails, RSS + < 5 % after the first fifth"
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
    done = bad = 0
    sizes: list[int] = []
    with Two(upstream, "library-two", tools.go_library()) as gateway:
        began = time.monotonic()
        while (elapsed := time.monotonic() - began) < length:
            load = closed_loop(gateway.port, 64, min(5.0, max(1.0, length - elapsed)))
            done, bad = done + load.requests, bad + load.not_ok
            sizes.append(rss_bytes(gateway.processes.roots("gateway")))
    settled = max(sizes[: len(sizes) // 5 + 1])
    growth = sizes[-1] / settled - 1
    return Outcome(
        f"{bad} of {done:,} failed in {length:.0f} s, {growth:+.1%} of {settled / 2**20:.0f} MiB",
        passed=bad == 0 and growth < LIMIT,
        good=True,
        raw={"requests": done, "bad": bad, "rss": sizes},
    )
