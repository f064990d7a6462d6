"""A million requests through a library in Go: memory must be back where it was."""

from __future__ import annotations

from bench import tools

from scenarios.library_soak import soak
from scenarios.setup import Outcome

TITLE = "1M requests through a Go library"
REQUIRED = "RSS + < 1 %, no session left"
GOOD = "–"


def run(upstream: int, quick: bool) -> Outcome:
    return soak(upstream, "go", tools.go_library(), 20_000 if quick else 1_000_000)
