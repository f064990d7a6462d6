"""What the log is told about handlers: failures, and writes without effect."""

import logging
import threading

from nylon.sdk.logs import say

_told: set[tuple[str, str, str, str]] = set()
_told_lock = threading.Lock()


def failure(entry: str, phase: str, request_id: str, error: BaseException) -> None:
    """A handler has raised. The id is the one that the client got."""
    cause = f"{type(error).__name__}: {error}"
    say(logging.ERROR, "handler raised", entry=entry, phase=phase, id=request_id, cause=cause, error=error)


def ignored(entry: str, phase: str, what: str, why: str, request_id: str) -> None:
    """A write had no effect; told once per entry, phase and reason."""
    key = (entry, phase, what, why)
    with _told_lock:
        if key in _told:
            return
        _told.add(key)
    say(logging.WARNING, "write ignored (told once)", entry=entry, phase=phase, id=request_id, what=what, why=why)
