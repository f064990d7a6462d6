"""A child process whose log can be waited for."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from .patience import eventually
from .scratch import scratch

ROOT = Path(__file__).resolve().parents[3]
NYLON = (sys.executable, "-m", "nylon")


class Process:
    """A child with its output collected line by line; always gone at the end of the `with` block."""

    def __init__(
        self, arguments: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> None:
        self.arguments = list(arguments)
        self.lines: list[str] = []
        self._child = subprocess.Popen(
            self.arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env={**os.environ, "TMPDIR": str(scratch()), **(env or {})},
            cwd=cwd,
            # one group per child, so that nothing it started outlives a failed test
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            self.lines.append(line.rstrip("\n"))

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def returncode(self) -> int | None:
        return self._child.poll()

    @property
    def log(self) -> str:
        return "\n".join(self.lines)

    def wait_for(self, pattern: str, *, seconds: float = 15.0, after: int = 0) -> re.Match[str]:
        """The first match of the pattern in the log, from line number `after` on."""
        compiled = re.compile(pattern)

        def look() -> re.Match[str] | None:
            for line in self.lines[after:]:
                if found := compiled.search(line):
                    return found
            if self.returncode is not None and not self._reader.is_alive():
                raise RuntimeError(f"{self.arguments[:4]} ended with {self.returncode}:\n{self.log}")
            return None

        try:
            found = eventually(look, seconds=seconds, what=f"{pattern!r} in the log")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log}") from None
        assert found is not None
        return found

    def signal(self, number: int) -> None:
        """Send a signal; after SIGSTOP every thread stands still when this returns."""
        self._child.send_signal(number)
        if number == signal.SIGSTOP:
            os.waitid(os.P_PID, self._child.pid, os.WSTOPPED | os.WNOWAIT)

    def wait(self, seconds: float = 20.0) -> int:
        """Exit status, once it has ended by itself."""
        return self._child.wait(seconds)

    def kill(self) -> None:
        """SIGKILL for the whole group, stopped members included, and for children that have a group of their own."""
        apart = children(self.pid)
        for number in (signal.SIGKILL, signal.SIGCONT):
            try:
                os.killpg(self._child.pid, number)
            except ProcessLookupError:
                break
        for pid in apart:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._child.wait(10)
        self._reader.join(5)
        if self._child.stdout is not None:
            self._child.stdout.close()

    def terminate(self, seconds: float = 20.0) -> int:
        """SIGTERM, then the exit status."""
        self._child.terminate()
        return self._child.wait(seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


def children(pid: int) -> list[int]:
    """Process ids of all descendants."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            listed = task.read_text().split()
        except OSError:
            continue  # the thread has ended
        for child in listed:
            found += [int(child), *children(int(child))]
    return found


def listening(pid: int, ip: str) -> str | None:
    """Where a process listens on an address of IPv4, whatever it says itself."""
    sockets = {str(file.readlink()) for file in Path(f"/proc/{pid}/fd").iterdir()}
    for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
        _, local, _, state, *_, inode = line.split()[:10]
        host, port = local.split(":")
        if state == "0A" and f"socket:[{inode}]" in sockets and bytes.fromhex(host)[::-1] == socket.inet_aton(ip):
            return f"{ip}:{int(port, 16)}"
    return None


def resident_bytes(pid: int) -> int:
    """RSS of one process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"no VmRSS for {pid}")
