"""1,000 routes instead of one."""

from __future__ import annotations

from pathlib import Path

from bench.systems.nylon import NylonProxy

from scenarios import growth
from scenarios.setup import Outcome

TITLE = "routes 1 → 1,000"
REQUIRED, GOOD = growth.REQUIRED, growth.GOOD

ROUTE = """  - name: route-{number}
    route: {{type: host, value: "host-{number}.test"}}
    paths:
      - path: ["/", "/items/{{id}}", "/{{*path}}"]
        service: {{name: upstream}}
"""


class Routes(NylonProxy):
    """The proxy with more routes before the one that is used."""

    def __init__(self, upstream: int, count: int) -> None:
        self.name = f"scenario-routes-{count}"
        super().__init__(upstream)
        self.count = count

    def write_config(self) -> Path:
        path = super().write_config()
        text = path.read_text()
        more = "".join(ROUTE.format(number=number) for number in range(self.count - 1))
        path.write_text(text.replace("routes:\n", "routes:\n" + more))
        return path


def run(upstream: int, quick: bool) -> Outcome:
    return growth.compare(Routes(upstream, 1), Routes(upstream, 1000), quick)
