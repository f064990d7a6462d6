"""Cases are data: conformance/cases/<kind>/<topic>.toml."""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parents[1]
Step = dict[str, Any]


class CaseError(Exception):
    """A case that cannot be run as it stands: its author's mistake, not the testee's."""


class FailedError(Exception):
    """The testee did otherwise: what was expected and what was seen."""


@dataclass(frozen=True)
class Case:
    """One story of a testee and what must come of it."""

    id: str
    topic: str
    kind: str
    title: str
    rules: list[str]
    steps: list[Step]
    needs: list[str] = field(default_factory=list[str])
    # worker: a process of its own, with these variables; gateway: what differs in the configuration
    own: dict[str, str] | None = None
    config: dict[str, Any] = field(default_factory=dict[str, Any])
    # plugin: the payload of a chain with one entry; None where `config.chain` says more
    plan: dict[str, Any] | None = None


def load() -> list[Case]:
    """Every case, in the order of the files."""
    cases: list[Case] = []
    for path in sorted((HERE / "cases").glob("*/*.toml")):
        for table in tomllib.loads(path.read_text(encoding="utf-8"))["case"]:
            kind = path.parent.name
            table["id"] = f"{kind}.{path.stem}.{table['id']}"
            try:
                cases.append(Case(topic=path.stem, kind=kind, **table))
            except TypeError as error:
                raise CaseError(f"{path}: {table['id']}: {error}") from None
    names = [case.id for case in cases]
    if twice := {name for name in names if names.count(name) > 1}:
        raise CaseError(f"case ids that stand twice: {', '.join(sorted(twice))}")
    return cases
