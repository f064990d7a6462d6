"""A child process that cannot outlive this one: see guard.py."""

import io
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

_GUARD = Path(__file__).with_name("guard.py")


class Child:
    """A command under its guard. It ends when `stop` is called or this process is gone."""

    def __init__(  # noqa: PLR0913 (what subprocess.Popen takes, too)
        self,
        command: Sequence[str],
        *,
        grace: float,
        directory: Path | None = None,
        environment: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdout: int | None = None,
        stderr: int | None = None,
        batch: bool = False,
    ) -> None:
        """Start `command`; it has `grace` seconds to end when asked. `directory` is removed after it.

        With `batch` it interrupts nobody in the middle of their turn when it wakes (SCHED_BATCH, timer slack).
        `stdout` and `stderr` are as for subprocess.Popen.
        """
        policy = "batch" if batch else "-"
        self._guard = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_GUARD), str(grace), str(directory or "-"), policy, *command],
            stdin=subprocess.PIPE,
            stdout=stdout,
            stderr=stderr,
            env=dict(environment) if environment is not None else None,
            cwd=cwd,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """Process id of the guard."""
        return self._guard.pid

    @property
    def stderr(self) -> IO[bytes] | None:
        """What the command writes to its standard error, if a pipe was asked for."""
        return self._guard.stderr

    def output(self) -> bytes:
        """Wait until the command's standard output ends; return all of it, if a pipe was asked for."""
        with self._guard.stdout or io.BytesIO() as pipe:
            return pipe.read()

    def ended(self) -> int | None:
        """Return the exit code of the command, or None while it runs."""
        return self._guard.poll()

    def wait(self) -> int:
        """Wait until the command has ended by itself; return its exit code."""
        return self._guard.wait()

    def ask_to_end(self) -> None:
        """Let go of the pipe: the command gets SIGTERM, and SIGKILL after its grace."""
        if self._guard.stdin is not None:
            self._guard.stdin.close()

    def stop(self) -> int:
        """Ask the command to end and wait until it has; return its exit code."""
        self.ask_to_end()
        return self._guard.wait()
