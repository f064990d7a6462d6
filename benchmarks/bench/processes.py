"""Starting, watching and ending the processes of a run; CPU time and memory of each role."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


class BenchError(Exception):
    """The run cannot go on; the text says why."""


_given: set[int] = set()


def free_port() -> int:
    """A free loopback port below the range of outgoing connections, so that none of those can take it before we do.

    Never the same again: whoever has it may not listen yet."""
    for _ in range(200):
        port = random.randint(15_000, 31_999)
        if port in _given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            _given.add(port)
            return port
    raise BenchError("finding a free loopback port: 200 random ports were all taken")


def wait_until(what: str, condition: Callable[[], bool], seconds: float = 15.0) -> None:
    """Polls `condition` every 20 ms; BenchError after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise BenchError(f"waiting {seconds:.0f} s for {what}: it did not happen")
        time.sleep(0.02)


def port_open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=0.5).close()
    except OSError:
        return False
    return True


def _stat(pid: int) -> tuple[int, int, int] | None:
    """Parent, CPU ticks of all threads, CPU ticks of children already waited for."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return int(fields[1]), int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14])


def tree(roots: Sequence[int]) -> list[int]:
    """The given processes and all their descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (stat := _stat(int(entry.name))) is not None:
            children.setdefault(stat[0], []).append(int(entry.name))
    found: list[int] = []
    waiting = list(roots)
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        waiting.extend(children.get(pid, ()))
    return found


def cpu_seconds(roots: Sequence[int]) -> float:
    """CPU time used so far by the processes, their threads and their descendants."""
    ticks = 0
    for pid in tree(roots):
        if (stat := _stat(pid)) is not None:
            ticks += stat[1] + (stat[2] if pid in roots else 0)
    return ticks / TICKS


def resident(pid: int) -> int:
    """Resident memory of one process; none of one that has ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    except OSError:
        return 0


def rss_bytes(roots: Sequence[int]) -> int:
    """Resident memory of the processes and their descendants."""
    return sum(map(resident, tree(roots)))


@dataclass
class Process:
    """One started program with its log file."""

    role: str
    popen: subprocess.Popen[bytes]
    log: Path
    wanted_dead: bool = False

    @property
    def pid(self) -> int:
        return self.popen.pid

    def log_tail(self, lines: int = 15) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def check_alive(self) -> None:
        code = self.popen.poll()
        if code is not None and not self.wanted_dead:
            raise BenchError(f"{self.role} ended with code {code}; {self.log} ends:\n{self.log_tail()}")

    def kill(self, number: int) -> None:
        """Sends a signal to the process and its descendants; the process is then allowed to end."""
        self.wanted_dead = True
        for pid in tree([self.pid]):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def terminate(self, seconds: float = 40.0) -> int:
        """SIGTERM to the process alone; SIGKILL to all that is left after `seconds`. Returns the exit code."""
        self.wanted_dead = True
        if self.popen.poll() is None:
            self.popen.terminate()
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill(signal.SIGKILL)
            return self.popen.wait()
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)


@dataclass
class Processes:
    """The processes of one system, ended together."""

    apart: ClassVar[bool] = False
    """Whether each process has a session of its own, as services have that systemd starts."""
    folder: Path
    all: list[Process] = field(default_factory=list[Process])

    def start(self, role: str, command: Sequence[str | Path], env: Mapping[str, str] | None = None) -> Process:
        """Starts a program in a process group of its own, output to a log file in the run's folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        log = self.folder / f"{role}-{len(self.all)}.log"
        with log.open("wb") as output:
            popen = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env={**os.environ, **(env or {})},
                # A kernel that shares time among sessions gives a system with more of them more of it: all are in one
                # unless that is what is to be seen.
                start_new_session=self.apart,
                process_group=None if self.apart else 0,
            )
        process = Process(role, popen, log)
        self.all.append(process)
        return process

    def roots(self, role: str) -> list[int]:
        return [process.pid for process in self.all if process.role == role and process.popen.poll() is None]

    def roles(self) -> list[str]:
        return list(dict.fromkeys(process.role for process in self.all))

    def check(self) -> None:
        for process in self.all:
            process.check_alive()

    def stop(self) -> None:
        """Ends everything, newest first; SIGTERM to all before waiting for any."""
        for process in reversed(self.all):
            process.wanted_dead = True
            if process.popen.poll() is None:
                process.popen.send_signal(signal.SIGCONT)
                process.popen.terminate()
        for process in reversed(self.all):
            process.terminate(seconds=5.0)
        self.all.clear()

    def cpu(self) -> dict[str, float]:
        return {role: cpu_seconds(self.roots(role)) for role in self.roles()}


@contextlib.contextmanager
def ended_by_signals() -> Generator[None]:
    """SIGTERM and SIGHUP become SystemExit, so that every `finally` runs and no process is left behind."""

    def leave(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
