"""What came of the cases, for people and for CI."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import quoteattr

from .cases import Case

PASSED, FAILED, KNOWN, SKIPPED = "passed", "failed", "known", "not applicable"


@dataclass
class Result:
    """One case of one testee."""

    testee: str
    case: Case
    verdict: str
    text: str = ""
    seconds: float = 0.0


def table(results: list[Result]) -> str:
    """By testee and topic, then a line for each case that failed."""
    lines = [f"{'testee':<24} {'topic':<14} {'passed':>7} {'failed':>7} {'known':>6} {'n/a':>5}"]
    for testee, topic in dict.fromkeys((one.testee, one.case.topic) for one in results):
        of = [one.verdict for one in results if (one.testee, one.case.topic) == (testee, topic)]
        counts = [of.count(verdict) for verdict in (PASSED, FAILED, KNOWN, SKIPPED)]
        lines.append("{:<24} {:<14} {:>7} {:>7} {:>6} {:>5}".format(testee, topic, *counts))
    for one in results:
        if one.verdict in (FAILED, KNOWN):
            lines.append(f"{one.verdict.upper()} {one.testee} {one.case.id} [{', '.join(one.case.rules)}]: {one.text}")
    return "\n".join(lines)


def write(results: Iterable[Result], json_file: Path | None, junit_file: Path | None) -> None:
    """Write the same for machines."""
    results = list(results)
    if json_file is not None:
        rows = [
            {"testee": one.testee, "case": one.case.id, "rules": one.case.rules, "verdict": one.verdict,
             "text": one.text, "seconds": round(one.seconds, 3)}
            for one in results
        ]  # fmt: skip
        json_file.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    if junit_file is not None:
        cases: list[str] = []
        for one in results:
            inner = {
                FAILED: f"<failure message={quoteattr(one.text)}/>",
                KNOWN: f"<skipped message={quoteattr(one.text)}/>",
                SKIPPED: f"<skipped message={quoteattr(one.text)}/>",
            }.get(one.verdict, "")
            name = f"classname={quoteattr(one.testee)} name={quoteattr(one.case.id)} time='{one.seconds:.3f}'"
            cases.append(f"<testcase {name}>{inner}</testcase>")
        failed = sum(one.verdict == FAILED for one in results)
        body = "\n".join(cases)
        junit_file.write_text(
            f"<testsuite name='conformance' tests='{len(results)}' failures='{failed}'>\n{body}\n</testsuite>\n",
            encoding="utf-8",
        )
