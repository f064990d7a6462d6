"""Waiting for what the testee does."""

import asyncio
import os
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
PATIENCE = float(os.environ.get("NYLON_TEST_PATIENCE", "1"))
"""Slow machines multiply every patience by this."""


async def until(check: Callable[[], T | None], seconds: float, patience: float = PATIENCE) -> T | None:
    """What `check` returns once it returns something, or None when the time is over."""
    end = time.monotonic() + seconds * patience
    while True:
        if (found := check()) is not None:
            return found
        if time.monotonic() > end:
            return None
        await asyncio.sleep(0.005)
