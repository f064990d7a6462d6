"""Runs one command for as long as its parent lives, however the parent ends.

    python -I -S guard.py GRACE_SECONDS DIRECTORY POLICY COMMAND…

Standard input is a pipe that the parent holds and never writes to. When it closes, because the parent let go of it,
crashed, or was killed with SIGKILL, the command is asked to end, killed after the grace, and DIRECTORY (or `-`) is
removed. POLICY `batch` runs the command under SCHED_BATCH and with a timer slack of a millisecond where the system has
them, so that it interrupts nobody in the middle of their turn when it wakes, and wakes less often by itself
(docs/operating.md); `-` leaves both alone. The guard imports nothing of Nylon: it starts in milliseconds and has no
threads of Rust in it.
"""

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_TIMERSLACK = 29
_TIMER_SLACK_NS = 1_000_000


def _die_with_guard() -> None:
    # A second net, for the guard's own SIGKILL. It is bound to the guard's main thread, which lives as long as it does.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _wait_for_parent() -> None:
    while os.read(0, 4096):
        pass


def main(arguments: list[str]) -> int:
    """Run the command to its end and return its exit code."""
    grace, directory, policy, *command = arguments
    # A Ctrl-C in the terminal is for the parent, which then decides; the pipe says what it decided.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if policy == "batch":
        _schedule_as_batch()
    try:
        child = subprocess.Popen(  # no thread has been started yet
            command,
            stdin=subprocess.DEVNULL,
            preexec_fn=_before_command,  # noqa: PLW1509
        )
        threading.Thread(target=_end_with_parent, args=(child, float(grace)), daemon=True).start()
        return child.wait()
    finally:
        if directory != "-":
            shutil.rmtree(Path(directory), ignore_errors=True)


def _schedule_as_batch() -> None:
    if sys.platform == "linux":
        # Not allowed in some containers: the command is slower for it, no more.
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        # A Go program that works all the time wakes itself some ten thousand times a second to look after its threads.
        ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, ctypes.c_ulong(_TIMER_SLACK_NS))


def _before_command() -> None:
    _die_with_guard()
    # What is ignored here would stay ignored in the command.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def _end_with_parent(child: "subprocess.Popen[bytes]", grace: float) -> None:
    _wait_for_parent()
    child.terminate()
    try:
        child.wait(grace)
    except subprocess.TimeoutExpired:
        child.kill()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
