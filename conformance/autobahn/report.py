"""What the suite has said, in short."""

import re
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from conformance.runner.cases import HERE

from .suite import VERSION, Seen

SECTIONS = {
    "1": "framing",
    "2": "pings and pongs",
    "3": "reserved bits",
    "4": "opcodes",
    "5": "fragmentation",
    "6": "UTF-8",
    "7": "close handshake",
    "9": "limits and performance",
    "10": "automatic fragmentation",
    "12": "compression: payloads",
    "13": "compression: parameters",
}
GOOD = ("OK", "NON-STRICT", "INFORMATIONAL")
OPTIONAL = ("12", "13")
"""Sections about an extension that a server need not have."""

AT_ONCE = "what breaks the protocol ends the connection at once: the message before it is not answered any more"
NOT_STRICT = {
    "3": AT_ONCE,
    "4": AT_ONCE,
    "5": AT_ONCE,
    "6": "text that is no UTF-8 is noticed when all of its frame has come",
}
"""Why cases of a section are not strict."""

All = Mapping[str, Mapping[str, Seen]]
"""By server and case."""


def section(case: str) -> str:
    """`9` of `9.1.6`."""
    return case.split(".")[0]


def verdict(one: Seen) -> str:
    """The word for a case; how the connection was closed counts as well."""
    closed = one.close in GOOD or one.behavior == "UNIMPLEMENTED"
    return one.behavior if closed or one.behavior not in GOOD else f"CLOSE {one.close}"


def is_bad(case: str, one: Seen) -> bool:
    """Whether it is to be mended."""
    return verdict(one) not in (*GOOD, *(["UNIMPLEMENTED"] if section(case) in OPTIONAL else []))


def tally(seen: All) -> Iterator[str]:
    """Yield the rows of a table: how many cases of each section had which verdict."""
    yield "| section | " + " | ".join(seen) + " |"
    yield "|---" * (len(seen) + 1) + "|"
    for number, title in SECTIONS.items():
        cells: list[str] = []
        for cases in seen.values():
            counts = Counter(verdict(one) for case, one in cases.items() if section(case) == number)
            cells.append(", ".join(f"{count} {word}" for word, count in counts.most_common()))
        if any(cells):
            yield f"| {number} {title} | " + " | ".join(cells) + " |"


def reason(case: str, one: Seen) -> str:
    """Why it is not OK; the suite says so little of what it finds not strict."""
    return NOT_STRICT.get(section(case), one.text) if verdict(one) == "NON-STRICT" else one.text


def rest(seen: All) -> Iterator[str]:
    """Yield a line for each reason why cases are neither OK nor unimplemented, with the cases and where it is so."""
    where: dict[tuple[str, str, str], list[str]] = {}
    for server, cases in seen.items():
        for case, one in cases.items():
            if verdict(one) not in ("OK", "UNIMPLEMENTED") or is_bad(case, one):
                where.setdefault((case, verdict(one), reason(case, one)), []).append(server)
    lines: dict[str, list[str]] = {}
    for (case, word, why), servers in sorted(where.items(), key=lambda item: list(map(int, item[0][0].split(".")))):
        places = "" if len(servers) == len(seen) else f" over {', '.join(servers)}"
        lines.setdefault(f"{word}{places}: {why}", []).append(case)
    for line, cases in lines.items():
        yield f"- {', '.join(cases)} {line}"


def text(seen: All) -> str:
    """For a terminal."""
    return "\n".join([*tally(seen), "", *rest(seen)])


def page(seen: All) -> str:
    """Return the report that is kept."""
    lock = (HERE.parent / "Cargo.lock").read_text(encoding="utf-8")
    framing = re.search(r'name = "tungstenite"\nversion = "(.*)"', lock)
    git = ["git", "describe", "--always", "--dirty", "--exclude=*", "--abbrev=12"]
    commit = subprocess.run(git, cwd=HERE, capture_output=True, text=True, check=True).stdout.strip()
    head = [
        "# The Autobahn suite, and what it says",
        "",
        "Written by `make autobahn`; not edited.",
        "",
        f"autobahntestsuite {VERSION} against tungstenite {framing[1] if framing else '?'} of commit {commit}, "
        f"{datetime.now(UTC):%Y-%m-%d}. The gateway is the server, and a plugin sends back what it gets.",
        "",
    ]
    notes = ["", "12 and 13 are about permessage-deflate, which is not offered. What is not OK besides:", ""]
    return "\n".join([*head, *tally(seen), *notes, *(list(rest(seen)) or ["none"]), ""])
