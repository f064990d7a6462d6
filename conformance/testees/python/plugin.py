"""A worker that does what the payload of each session asks for; conformance/README.md has the words.

`{"request_filter": [{"do": "set_status", "status": 201}, {"do": "end"}], "logging": [{"do": "note"}]}`
"""

import asyncio
import json
import os
import threading
import time
from collections.abc import Awaitable
from typing import Any

from sockets import websocket
from streams import Filter, FilterAsync, at_once, stream, take
from words import Step, digest, initialized, note, readings

from nylon import (
    LoggingContext,
    NatsPlugin,
    Phase,
    PhaseHandler,
    RequestFilterContext,
    ResponseBodyFilterContext,
    ResponseFilterContext,
)

plugin = NatsPlugin(
    max_sessions=int(os.environ.get("TESTEE_MAX_SESSIONS", "1024")),
    max_body_bytes=int(os.environ.get("TESTEE_MAX_BODY_BYTES", str(10 << 20))),
    drain_timeout=float(os.environ.get("TESTEE_DRAIN_SECONDS", "25")),
    ping_interval=float(os.environ.get("TESTEE_PING_SECONDS", "5")),
    max_threads=int(os.environ.get("TESTEE_MAX_THREADS", "32")),
)


@plugin.on_initialize
def initialize(config: dict[str, Any]) -> None:
    """`{"sleep_ms": …}` takes so long, `{"fail": true}` fails."""
    initialized.append(config)
    print("NOTE " + json.dumps({"initialize": config}) + "\n", end="", flush=True)
    threading.Event().wait(config.get("sleep_ms", 0) / 1000)
    if config.get("fail"):
        raise RuntimeError("asked to fail")


def simple(ctx: Any, step: Step, state: list[str]) -> bool:
    """What needs no waiting; whether the word is known."""
    request, response = ctx.request, ctx.response
    match step["do"]:
        case "set_header":
            response.set_header(step["name"], step["value"])
        case "add_header":
            response.add_header(step["name"], step["value"])
        case "remove_header":
            response.remove_header(step["name"])
        case "set_status":
            response.set_status(step["status"])
        case "body_raw":
            response.body_raw(step.get("text", "").encode() or b"0123456789abcdef" * (step.get("size", 0) // 16))
        case "body_text":
            response.body_text(step["text"])
        case "body_html":
            response.body_html(step["text"])
        case "body_json":
            response.body_json(step["value"])
        case "redirect":
            response.redirect(step["url"], *([step["code"]] if "code" in step else []))
        case "request_set":
            request.set_header(step["name"], step["value"])
        case "request_add":
            request.add_header(step["name"], step["value"])
        case "request_remove":
            request.remove_header(step["name"])
        case "report":
            response.set_header("x-report", json.dumps(readings(ctx, step["what"])))
        case "report_body":
            response.body_json(readings(ctx, step["what"]))
        case "remember":
            state.append(step["text"])
        case "recall":
            response.set_header("x-recall", ",".join(state))
        case "note":
            note(ctx, step, state=state)
        case "raise":
            raise RuntimeError("asked to raise")
        case "end":
            ctx.end()
        case "next":
            ctx.next()
        case _:
            return False
    return True


def attempt(ctx: Any, step: Step, state: list[str]) -> bool:
    """`"try": true` notes what is raised and goes on."""
    try:
        return simple(ctx, step, state)
    except Exception as error:
        if not step.get("try"):
            raise
        note(ctx, {}, raised=type(error).__name__)
        return True


def run(ctx: Any, state: list[str]) -> None:
    """The plan of this phase, in a thread."""
    for step in ctx.payload.get(ctx.phase, []):
        if attempt(ctx, step, state):
            continue
        match step["do"]:
            case "sleep":
                end = time.monotonic() + step["ms"] / 1000
                while time.monotonic() < end and not (ctx.cancelled and step.get("watch", True)):
                    threading.Event().wait(0.005)
                note(ctx, {}, slept=True, cancelled=ctx.cancelled)
            case "read_request_body":
                digest(ctx, ctx.request.body())
            case "read_response_body":
                digest(ctx, ctx.response.read_body())
            case "stream":
                at_once(stream(ctx, step, plain=True))
            case "take":
                at_once(take(ctx, step, plain=True))
            case "websocket":
                at_once(websocket(ctx, step, plain=True))
            case _:
                raise ValueError(f"nobody knows {step}")


async def run_async(ctx: Any, state: list[str]) -> None:
    """The same, as a coroutine."""
    for step in ctx.payload.get(ctx.phase, []):
        if attempt(ctx, step, state):
            continue
        match step["do"]:
            case "sleep":
                try:
                    await asyncio.sleep(step["ms"] / 1000)
                except asyncio.CancelledError:
                    note(ctx, {}, slept=True, cancelled=True)
                    raise
                note(ctx, {}, slept=True, cancelled=ctx.cancelled)
            case "read_request_body":
                body: Awaitable[bytes] = ctx.request.body()
                digest(ctx, await body)
            case "read_response_body":
                answer: Awaitable[bytes] = ctx.response.read_body()
                digest(ctx, await answer)
            case "stream":
                await stream(ctx, step, plain=False)
            case "take":
                await take(ctx, step, plain=False)
            case "websocket":
                await websocket(ctx, step, plain=False)
            case _:
                raise ValueError(f"nobody knows {step}")


@plugin.handler("plan")
class Plan(PhaseHandler):
    """All four phases."""

    def __init__(self) -> None:
        self.state: list[str] = []

    def request_filter(self, ctx: RequestFilterContext) -> None:
        """As the payload says."""
        run(ctx, self.state)

    def response_filter(self, ctx: ResponseFilterContext) -> None:
        """As the payload says."""
        run(ctx, self.state)

    def response_body_filter(self, ctx: ResponseBodyFilterContext) -> None:
        """As the payload says."""
        run(ctx, self.state)

    def logging(self, ctx: LoggingContext) -> None:
        """As the payload says."""
        run(ctx, self.state)


@plugin.handler("plan_async")
class PlanAsync(PhaseHandler):
    """All four phases, as coroutines."""

    def __init__(self) -> None:
        self.state: list[str] = []

    async def request_filter(self, ctx: RequestFilterContext) -> None:
        """As the payload says."""
        await run_async(ctx, self.state)

    async def response_filter(self, ctx: ResponseFilterContext) -> None:
        """As the payload says."""
        await run_async(ctx, self.state)

    async def response_body_filter(self, ctx: ResponseBodyFilterContext) -> None:
        """As the payload says."""
        await run_async(ctx, self.state)

    async def logging(self, ctx: LoggingContext) -> None:
        """As the payload says."""
        await run_async(ctx, self.state)


@plugin.handler("request only")
class RequestOnly(PhaseHandler):
    """One phase; a name that has to be escaped."""

    def __init__(self) -> None:
        """Begin without memories."""
        self.state: list[str] = []

    def request_filter(self, ctx: RequestFilterContext) -> None:
        """As the payload says."""
        run(ctx, self.state)


@plugin.handler("request_logging")
def request_logging(phase: Phase) -> None:
    """Two phases, registered by a function that runs once per session."""
    state: list[str] = []

    @phase.request_filter
    def request(ctx: RequestFilterContext) -> None:
        run(ctx, state)

    @phase.logging
    def log(ctx: LoggingContext) -> None:
        run(ctx, state)


plugin.handler("filter_stream")(Filter)
plugin.handler("filter_stream_async")(FilterAsync)

if __name__ == "__main__":
    plugin.run()
