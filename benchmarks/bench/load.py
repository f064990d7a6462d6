"""The two load generators: wrk for closed loops, our `loadgen` for open loops."""

from __future__ import annotations

import csv
import json
import math
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from bench import tools
from bench.places import HERE
from bench.processes import BenchError
from bench.shapes import BARE, Shape


@dataclass
class Load:
    """What one measured interval brought. Latencies in ms."""

    kind: str
    connections: int
    seconds: float
    requests: int
    """Answers of any status."""
    ok: int
    """2xx answers."""
    rps: float
    """2xx answers per second."""
    p50: float
    p90: float
    p99: float
    p999: float
    maximum: float
    outcomes: dict[str, int] = field(default_factory=dict[str, int])
    """Statuses and kinds of failure other than 2xx."""
    answered: int = 0
    """Answers in warm-up and measurement together: what CPU time was spent on."""
    rate: float | None = None
    """Requests per second asked for; open loop only."""
    other_p99: float | None = None
    """p99 of the answers that were not 2xx; open loop only."""
    marked_p99: float | None = None

    @property
    def not_ok(self) -> int:
        return sum(self.outcomes.values())


def closed_loop(port: int, connections: int, seconds: float, shape: Shape = BARE, path: str = "/") -> Load:
    """wrk with two threads, every connection asking again as soon as it is answered. wrk takes
    whole seconds and names no statuses, only counts."""
    command = [
        tools.find("wrk"),
        "-t2",
        f"-c{connections}",
        f"-d{math.ceil(seconds)}s",
        "-s",
        HERE / "configs/wrk-report.lua",
    ]
    for header in shape.headers:
        command += ["-H", header]
    command.append(f"http://127.0.0.1:{port}{path}")
    run = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, timeout=seconds + 30, check=False
    )
    line = next((line for line in run.stdout.splitlines() if line.startswith("{")), None)
    if run.returncode != 0 or line is None:
        raise BenchError(f"running wrk: code {run.returncode}: {run.stderr.strip() or run.stdout.strip()}")
    got = json.loads(line)
    outcomes = {name: got[name] for name in ("not_2xx", "connect", "read", "write", "timeout") if got[name]}
    elapsed = got["duration_us"] / 1e6
    ok = got["requests"] - got["not_2xx"]
    return Load(
        kind="closed",
        connections=connections,
        seconds=elapsed,
        requests=got["requests"],
        ok=ok,
        rps=ok / elapsed,
        p50=got["p50"] / 1e3,
        p90=got["p90"] / 1e3,
        p99=got["p99"] / 1e3,
        p999=got["p999"] / 1e3,
        maximum=got["max"] / 1e3,
        outcomes=outcomes,
        answered=got["requests"],
    )


def open_loop_command(
    port: int,
    rate: float,
    seconds: float,
    *,
    warmup: float = 0.0,
    connections: int = 256,
    shape: Shape = BARE,
    path: str = "/",
    marked_path: str = "/",
    marked_every: int = 0,
    timeout: float = 10.0,
    log: Path | None = None,
) -> list[str]:
    command = [str(tools.loadgen()), "--address", f"127.0.0.1:{port}", "--rate", f"{rate:.3f}"]
    command += ["--seconds", f"{seconds:g}", "--warmup", f"{warmup:g}", "--connections", str(connections)]
    command += ["--path", path, "--marked-path", marked_path, "--marked-every", str(marked_every)]
    command += ["--timeout", f"{timeout:g}"]
    for header in shape.headers:
        command += ["--header", header]
    if log is not None:
        command += ["--log", str(log)]
    return command


def parse_open(text: str, connections: int) -> Load:
    got = json.loads(text)
    quantiles = got["ok_us"]
    outcomes: dict[str, int] = got["outcomes"]
    ok = sum(count for outcome, count in outcomes.items() if outcome.startswith("2") and outcome.isdigit())
    answers = sum(count for outcome, count in outcomes.items() if outcome.isdigit())
    elapsed = max(got["seconds"], got["finished_us"] / 1e6 - got["warmup"])
    return Load(
        kind="open",
        connections=connections,
        seconds=elapsed,
        requests=answers,
        ok=ok,
        rps=ok / elapsed,
        p50=quantiles["p50"] / 1e3,
        p90=quantiles["p90"] / 1e3,
        p99=quantiles["p99"] / 1e3,
        p999=quantiles["p999"] / 1e3,
        maximum=quantiles["max"] / 1e3,
        outcomes={name: count for name, count in outcomes.items() if not (name.isdigit() and name.startswith("2"))},
        answered=got["answered"],
        rate=got["rate"],
        other_p99=got["other_us"]["p99"] / 1e3,
        marked_p99=got["marked_ok_us"]["p99"] / 1e3,
    )


def open_loop(port: int, rate: float, seconds: float, *, connections: int = 256, **options: object) -> Load:
    """Requests at fixed instants; latency counts from the instant a request was due. Options: `open_loop_command`."""
    command = open_loop_command(port, rate, seconds, connections=connections, **options)  # pyright: ignore[reportArgumentType]
    run = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 120, check=False)
    if run.returncode != 0:
        raise BenchError(f"running loadgen: {run.stderr.strip()}")
    return parse_open(run.stdout, connections)


@dataclass(frozen=True)
class Shot:
    """One request of an open loop. Times in seconds since 1970; latency from the due instant, in ms."""

    due: float
    sent: float
    latency: float
    outcome: str
    marked: bool

    @property
    def ok(self) -> bool:
        return self.outcome.isdigit() and self.outcome.startswith("2")

    @property
    def end(self) -> float:
        return self.due + self.latency / 1e3


class Background:
    """An open loop that runs while the scenario does something to the system."""

    def __init__(
        self, port: int, rate: float, seconds: float, log: Path, *, connections: int = 256, **options: object
    ) -> None:
        self.log = log
        self.connections = connections
        command = open_loop_command(port, rate, seconds, connections=connections, log=log, **options)  # pyright: ignore[reportArgumentType]
        self.popen = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def __enter__(self) -> Background:
        return self

    def __exit__(self, *_: object) -> None:
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.communicate()

    def finish(self) -> tuple[Load, list[Shot]]:
        output, errors = self.popen.communicate()
        if self.popen.returncode != 0:
            raise BenchError(f"running loadgen: {errors.strip()}")
        started: float = json.loads(output)["started_unix"]
        with self.log.open() as lines:
            shots = [
                Shot(
                    due=started + int(row["due_us"]) / 1e6,
                    sent=started + int(row["sent_us"]) / 1e6,
                    latency=int(row["latency_us"]) / 1e3,
                    outcome=row["outcome"],
                    marked=row["class"] == "1",
                )
                for row in csv.DictReader(lines)
            ]
        self.log.unlink()
        return parse_open(output, self.connections), shots
