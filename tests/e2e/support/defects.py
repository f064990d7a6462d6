"""Tables of defects of the original: which test shows that each is not here."""

import re

from .process import ROOT


def has(reference: str) -> bool:
    """Whether there is such a test: `module.test` of this directory, `path::test`, or a case of tests/config."""
    if reference.endswith(".case"):
        return (ROOT / "tests/config/cases" / reference).is_file()
    file, _, name = reference.rpartition("::")
    if not file:
        module, name = reference.split(".")
        file = f"tests/e2e/{module}.py"
    return re.search(rf"^(def|func|fn|async fn) {name}\(", (ROOT / file).read_text("utf-8"), re.MULTILINE) is not None


def ids(counts: dict[str, int]) -> set[str]:
    """Return `A1` to `A20` for `{"A": 20}`."""
    return {f"{letter}{number + 1}" for letter, count in counts.items() for number in range(count)}
