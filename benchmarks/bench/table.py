"""Markdown from a run: what was required and shown, then every system."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median

from bench.matrix import Sample
from bench.requirements import judge
from bench.results import Run


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return [*lines, ""]


def _verdict(passed: bool, good: bool) -> str:
    return "good" if passed and good else "pass" if passed else "**FAIL**"


def _ratios(run: Run) -> list[str]:
    rows = [
        (
            judged.ratio.title,
            ("≤ " if judged.ratio.at_most else "") + f"{judged.ratio.required:g}",
            ("≤ " if judged.ratio.at_most else "") + f"{judged.ratio.good:g}",
            f"{judged.measured:.2f}",
            f"{judged.lowest:.2f}–{judged.highest:.2f}",
            _verdict(judged.passed, judged.good),
        )
        for judged in judge(run.samples)
    ]
    if not rows:
        return []
    head = ("ratio of medians, bare, 64 connections", "required", "good", "measured", "by round", "verdict")
    return ["## Required ratios", "", *_table(head, rows)]


def _scenarios(run: Run) -> list[str]:
    rows = [
        (
            scenario["title"],
            scenario["required"],
            scenario["good"],
            scenario["figure"],
            _verdict(scenario["passed"], scenario["is_good"]),
        )
        for scenario in run.scenarios
    ]
    if not rows:
        return []
    return ["## Scenarios", "", *_table(("scenario", "required", "good", "measured", "verdict"), rows)]


def _cpu(samples: Sequence[Sample], role: str) -> str:
    found = [sample.cpu_us[role] for sample in samples if role in sample.cpu_us]
    return f"{median(found):.1f}" if found else ""


def _cell(run: Run, cell: str) -> list[str]:
    systems: dict[str, list[Sample]] = {}
    for sample in run.samples:
        if sample.cell == cell:
            systems.setdefault(sample.system, []).append(sample)
    if not systems:
        return []
    nginx = systems.get("nginx")
    base = median(sample.load.rps for sample in nginx) if nginx else None
    rows: list[tuple[str, ...]] = []
    for name, samples in systems.items():
        rps = median(sample.load.rps for sample in samples)
        rows.append(
            (
                run.titles.get(name, name),
                f"{rps:,.0f}",
                f"{rps / base:.2f}" if base else "",
                *(f"{median(getattr(s.load, q) for s in samples):.2f}" for q in ("p50", "p99", "maximum")),
                str(sum(sample.load.not_ok for sample in samples)),
                *(_cpu(samples, role) for role in ("gateway", "nats-server", "workers")),
            )
        )
    shape, _, load = cell.partition("/")
    title = (
        f"open loop at half of its capacity, {shape}" if load == "open" else f"closed loop, {load} connections, {shape}"
    )
    head = (
        "system",
        "req/s",
        "÷ nginx",
        "p50 ms",
        "p99 ms",
        "max ms",
        "not 2xx",
        "gateway µs",
        "nats µs",
        "workers µs",
    )
    return [f"## {title[0].upper()}{title[1:]}", "", *_table(head, rows)]


def markdown(run: Run) -> str:
    """The whole report."""
    versions = ", ".join(f"{name} {version}" for name, version in sorted(run.versions.items()))
    what = ", ".join(f"{name} {value}" for name, value in run.options.items() if not isinstance(value, list))
    lines = [
        f"# Benchmark {run.started}",
        "",
        f"Commit {run.commit}{' with changes' if run.dirty else ''} on {run.machine['cores']} cores of"
        f" {run.machine['cpu']}, kernel {run.machine['kernel']}, load average before"
        f" {run.machine['load_average'][0]:.1f}. {what}.",
        "",
        f"Versions: {versions}.",
        "",
    ]
    if run.nginx_over_direct is not None:
        lines += [f"nginx's proxy ÷ direct at the start: {run.nginx_over_direct:.0%}.", ""]
    if run.refused:
        lines += [f"**Refused:** {run.refused}", ""]
    lines += [*_ratios(run), *_scenarios(run)]
    for cell in dict.fromkeys(sample.cell for sample in run.samples):
        lines += _cell(run, cell)
    if run.absent:
        lines += ["## Not measured", ""]
        lines += [f"- {run.titles.get(name, name)}: {reason.splitlines()[0]}" for name, reason in run.absent.items()]
        lines.append("")
    return "\n".join(lines)
