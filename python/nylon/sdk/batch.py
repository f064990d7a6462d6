"""Threads that run plugins interrupt none that serves connections: SCHED_BATCH (docs/decisions/0021, 0024)."""

import contextlib
import os
import sys
from collections.abc import Generator


def join() -> bool:
    """Put this thread under SCHED_BATCH, and so those that it starts; return whether it is.

    One with a policy of its own keeps it. Not allowed in some containers: handlers are slower for it, no more.
    """
    if sys.platform != "linux" or os.sched_getscheduler(0) != os.SCHED_OTHER:
        return False
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        return True
    return False


@contextlib.contextmanager
def joined() -> Generator[None]:
    """As `join`, for a while: threads that are started within stay there."""
    changed = join()
    try:
        yield
    finally:
        if changed and sys.platform == "linux":
            with contextlib.suppress(OSError):
                os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
