"""The table rule ↔ cases: every rule of SPEC.md and every promise has a case, or a reason why it has none."""

import re
import tomllib

from .cases import HERE, Case
from .frames import ROOT

PAGE = HERE / "RULES.md"


def numbered() -> dict[str, str]:
    """Number and beginning of every rule."""
    text = (ROOT / "protocol/SPEC.md").read_text(encoding="utf-8")
    found = re.findall(r"^\*\*(\d+\.\d+)\*\* (.+)$", text, re.MULTILINE)
    return {number: re.split(r"(?<=[.:;]) ", words)[0].replace("|", "\\|") for number, words in found}


def promises() -> dict[str, str]:
    """Name and text of what a handler may rely on, whatever carries it."""
    return tomllib.loads((HERE / "promises.toml").read_text(encoding="utf-8"))


def page(cases: list[Case], reasons: dict[str, str]) -> str:
    """The page as it has to be."""
    lines = [
        "# Rules and the cases that judge them",
        "",
        "Written by `python -m conformance.runner --rules write` from `protocol/SPEC.md`, the cases and"
        " [`uncovered.toml`](uncovered.toml); CI compares. Sections that are drafts have no cases.",
        "",
        "| rule | says | cases |",
        "|---|---|---|",
    ]
    for number, words in numbered().items():
        lines.append(f"| {number} | {words} | {_cases(number, cases, reasons)} |")
    lines += [
        "",
        "# Promises to handlers",
        "",
        "From [`promises.toml`](promises.toml): what a handler may rely on, whatever language it is written in and"
        " whatever carries it, beyond the rules above.",
        "",
        "| promise | says | cases |",
        "|---|---|---|",
    ]
    for name, words in promises().items():
        lines.append(f"| `{name}` | {words} | {_cases(name, cases, reasons)} |")
    return "\n".join(lines) + "\n"


def _cases(rule: str, cases: list[Case], reasons: dict[str, str]) -> str:
    of = [f"`{case.id}`" for case in cases if rule in case.rules]
    return ", ".join(of) if of else f"none: {reasons[rule]}"


def check(cases: list[Case], *, write: bool) -> list[str]:
    """What is wrong with rules and cases; writes the page if asked to."""
    known = numbered() | promises()
    reasons: dict[str, str] = tomllib.loads((HERE / "uncovered.toml").read_text(encoding="utf-8"))
    covered = {number for case in cases for number in case.rules}
    wrong = [
        f"{case.id}: no rule or promise {number}" for case in cases for number in case.rules if number not in known
    ]
    wrong += [
        f"rule {number} has no case and no reason in uncovered.toml"
        for number in known
        if number not in covered | reasons.keys()
    ]
    wrong += [
        f"uncovered.toml: {number} has a case, or is no rule"
        for number in reasons
        if number in covered or number not in known
    ]
    if wrong:
        return wrong
    text = page(cases, reasons)
    if write:
        PAGE.write_text(text, encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
        return ["conformance/RULES.md is out of date: run `python -m conformance.runner --rules write`"]
    return []
