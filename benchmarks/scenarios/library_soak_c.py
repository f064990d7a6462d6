"""Five million requests through a library in C: memory must be back where it was."""

from __future__ import annotations

from bench import tools

from scenarios.library_soak import soak
from scenarios.setup import Outcome

TITLE = "5M requests through a C library"
REQUIRED = "RSS + < 1 %, no session left"
GOOD = "–"


def run(upstream: int, quick: bool) -> Outcome:
    return soak(upstream, "c", tools.c_library(), 20_000 if quick else 5_000_000)
