"""50 configured plugins instead of one; only one is in the chain."""

from __future__ import annotations

from pathlib import Path

from scenarios import growth
from scenarios.setup import Outcome, Setup

TITLE = "plugins configured 1 → 50"
REQUIRED, GOOD = growth.REQUIRED, growth.GOOD

PLUGIN = "  - {{name: plugin-{number}, type: messaging, messaging: local, group: group-{number}}}\n"


class Plugins(Setup):
    """More plugins, each with a group of its own."""

    def __init__(self, upstream: int, count: int) -> None:
        super().__init__(upstream, f"plugins-{count}", workers=1)
        self.plugins = count

    def write_config(self) -> Path:
        path = super().write_config()
        more = "".join(PLUGIN.format(number=number) for number in range(self.plugins - 1))
        path.write_text(path.read_text().replace("plugins:\n", "plugins:\n" + more))
        return path


def run(upstream: int, quick: bool) -> Outcome:
    return growth.compare(Plugins(upstream, 1), Plugins(upstream, 50), quick)
