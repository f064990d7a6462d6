"""The table rule ↔ cases: every numbered rule of SPEC.md has a case, or a reason why it has none."""

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
        of = [f"`{case.id}`" for case in cases if number in case.rules]
        lines.append(f"| {number} | {words} | {', '.join(of) if of else f'none: {reasons[number]}'} |")
    return "\n".join(lines) + "\n"


def check(cases: list[Case], *, write: bool) -> list[str]:
    """What is wrong with rules and cases; writes the page if asked to."""
    known = numbered()
    reasons: dict[str, str] = tomllib.loads((HERE / "uncovered.toml").read_text(encoding="utf-8"))
    covered = {number for case in cases for number in case.rules}
    wrong = [f"{case.id}: nobody knows rule {number}" for case in cases for number in case.rules if number not in known]
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
