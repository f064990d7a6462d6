"""What the testee says beside the protocol: what a handler sees, and lines that the judge reads."""

import json
from collections.abc import Iterable
from typing import Any

Step = dict[str, Any]
initialized: list[Any] = []


def readings(ctx: Any, names: Iterable[str]) -> dict[str, Any]:
    """What the readers of request and response say."""
    request, response = ctx.request, ctx.response
    readers: dict[str, Any] = {
        "method": lambda: request.method,
        "url": lambda: request.url,
        "path": lambda: request.path,
        "query": lambda: request.query,
        "params": lambda: dict(request.params),
        "host": lambda: request.host,
        "client_ip": lambda: request.client_ip,
        "headers": lambda: dict(request.headers),
        "bytes": lambda: request.content_length,
        "timestamp": lambda: request.timestamp_ms,
        "payload": lambda: ctx.payload,
        "request_id": lambda: ctx.request_id,
        "phase": lambda: ctx.phase,
        "session": lambda: ctx.session_uid,
        "status": lambda: response.status,
        "response_headers": lambda: dict(response.headers),
        "response_bytes": lambda: response.bytes_sent,
        "duration": lambda: response.duration_ms,
        "error": lambda: response.error,
        "initialized": lambda: initialized,
    }
    out: dict[str, Any] = {}
    for name in names:
        kind, _, argument = name.partition(":")
        match kind:
            case "header":
                out[name] = request.header(argument) or ""
            case "values":
                out[name] = request.headers.get_all(argument)
            case "response_header":
                out[name] = response.header(argument) or ""
            case _:
                out[name] = readers[name]()
    return out


def note(ctx: Any, step: Step, **more: Any) -> None:
    """A line that the judge reads."""
    seen = {
        "phase": ctx.phase,
        "id": ctx.request_id,
        "host": ctx.request.host,
        **readings(ctx, step.get("what", [])),
        **more,
    }
    print("NOTE " + json.dumps(seen) + "\n", end="", flush=True)


def digest(ctx: Any, body: bytes) -> None:
    """Leave the length of a body and how it begins where later steps find it."""
    print("NOTE " + json.dumps({"id": ctx.request_id, "body": len(body), "begins": body[:16].decode()}) + "\n", end="")
    if ctx.phase == "response_body_filter":
        ctx.response.body_raw(body.upper())
    else:
        ctx.response.set_header("x-body", f"{len(body)}:{body[:16].decode()}")
