"""What plugins of the tests say of themselves."""

import json
from typing import Any

from nylon import LoggingContext, PhaseHandler


def note(**values: Any) -> None:
    """A line in the worker's output that tests look for."""
    print("NOTE " + json.dumps(values) + "\n", end="", flush=True)


class Logged(PhaseHandler):
    """Notes what came of each request."""

    def logging(self, ctx: LoggingContext) -> None:
        note(
            logged=ctx.request.header("x-id"),
            status=ctx.response.status,
            bytes=ctx.response.bytes_sent,
            error=ctx.response.error,
        )
