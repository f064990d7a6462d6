"""Waiting for conditions. Nothing in the tests sleeps for a fixed time in the hope that it is enough."""

import os
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

# Slow machines multiply every patience by this.
PATIENCE = float(os.environ.get("NYLON_TEST_PATIENCE", "1"))


def eventually(check: Callable[[], T], *, seconds: float = 10.0, what: str = "condition") -> T:
    """Call `check` until it returns something true; its last exception is the reason when it never does."""
    end = time.monotonic() + seconds * PATIENCE
    last: object = None
    while True:
        try:
            value = check()
        except (AssertionError, OSError, KeyError, IndexError, ValueError) as error:
            last = error
        else:
            if value:
                return value
            last = value
        if time.monotonic() > end:
            raise AssertionError(f"waiting for {what}: not within {seconds * PATIENCE:.0f} s, last: {last!r}")
        time.sleep(0.01)
