"""What stands short in a case, as it stands in a frame."""

import time
from typing import Any

from .cases import Step


def now() -> int:
    """Monotonic milliseconds of the judge."""
    return int(time.monotonic() * 1000)


def body_of(step: Step) -> bytes | None:
    """`body` is text, `size` so many bytes of a pattern."""
    if "size" in step:
        return b"0123456789abcdef" * (step["size"] // 16) + b"x" * (step["size"] % 16)
    return step["body"].encode() if "body" in step else None


def response_of(given: Any) -> Any:
    """Return a response with what the case leaves out."""
    if given is None:
        return None
    headers = [[name, value.encode()] for name, value in given.get("headers", [["content-type", "text/plain"]])]
    return {"status": 200, **given, "headers": headers}
