"""A plugin for the gateway's own process: what it was configured with, and room for two sessions at a time."""

import json
import threading
import time
from typing import Any

from nylon import HttpError, PhaseHandler, Plugin, RequestFilterContext

plugin = Plugin(max_sessions=2)
taken: list[Any] = []


def note(**values: Any) -> None:
    """A line in the gateway's output that tests look for."""
    print("NOTE " + json.dumps(values) + "\n", end="", flush=True)


@plugin.on_initialize
def initialize(config: dict[str, Any]) -> None:
    if config.get("refuse"):
        raise ValueError("asked to refuse")
    taken.append(config.get("value"))


@plugin.on_shutdown
def shutdown() -> None:
    note(shutdown=True)


@plugin.handler("service")
class Service(PhaseHandler):
    """Answers with every configuration that was taken; `x-do` asks for something else."""

    def request_filter(self, ctx: RequestFilterContext) -> None:
        match ctx.request.header("x-do"):
            case "spin":  # holds the GIL as Python code does: in turns
                end = time.monotonic() + float(ctx.request.header("x-seconds") or 2)
                while time.monotonic() < end and not ctx.cancelled:
                    pass
            case "wait":
                note(waiting=ctx.request.header("x-id"))
                while not ctx.cancelled:
                    threading.Event().wait(0.005)
            case "stuck":
                note(stuck=ctx.request.header("x-id"))
                threading.Event().wait(60)
            case "refuse":
                raise HttpError(418, "refused")
            case _:
                pass
        ctx.response.body_json({"taken": taken, "payload": ctx.payload})
        return ctx.end()
