"""Keeps worker processes running: restarts with back-off, reload on change, signals, one exit code."""

import logging
import os
import queue
import random
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from types import FrameType
from typing import Literal

from nylon.control.exit_codes import ExitCode
from nylon.sdk import logs
from nylon.sdk.running import request_id
from nylon.worker import child, loading
from nylon.worker.watching import Watch

FIRST_DELAY = 0.25
"""Seconds until a process that ended is started again; doubled each time."""
LONGEST_DELAY = 15.0
HEALTHY_AFTER = 20.0
"""Seconds after which a process counts as healthy, and the next delay is the first again."""
KILL_AFTER = 35.0
"""Seconds that a process may take to drain before it is killed."""


@dataclass
class _Ended:
    slot: "_Slot"
    process: "subprocess.Popen[bytes]"


@dataclass
class _Changed:
    files: int


@dataclass
class _Signalled:
    number: int


_Event = _Ended | _Changed | _Signalled


@dataclass
class _Slot:
    """Place of one process."""

    number: int
    process: "subprocess.Popen[bytes] | None" = None
    started: float = 0.0
    delay: float = FIRST_DELAY
    restart_at: float | None = None


def run(  # noqa: PLR0913 (one argument per option of the command)
    target: str,
    *,
    servers: str | None = None,
    group: str | None = None,
    processes: int = 1,
    max_threads: int | None = None,
    reload: bool = False,
    log_level: Literal["debug", "info", "warn", "error"] = "info",
    log_format: logs.Format = "text",
) -> int:
    """Serves the target with so many processes until SIGTERM or SIGINT, and returns the exit code.

    The first signal drains, a second one ends everything at once; SIGHUP replaces every process. A target that
    cannot be loaded ends the supervisor (with `reload`: waits for a change).
    """
    logs.ensure(request_id, level=child.LEVELS[log_level], form=log_format)
    environment = {**os.environ, child.LOG_LEVEL: log_level, child.LOG_FORMAT: log_format}
    environment |= {name: value for name, value in ((child.SERVERS, servers), (child.GROUP, group)) if value}
    try:
        watched = loading.directory(target)
    except loading.LoadError as error:
        logs.say(logging.ERROR, str(error))
        return ExitCode.CONFIG
    arguments = [target] if max_threads is None else [target, str(max_threads)]
    supervisor = Supervisor(arguments, environment, processes=processes, wait_for_change=reload)
    watch = Watch(watched, supervisor.changed) if reload else None
    if watch is not None and not watch.start():
        return ExitCode.CONFIG
    try:
        return supervisor.run()
    finally:
        if watch is not None:
            watch.stop()


class Supervisor:
    """The processes of one target."""

    def __init__(
        self, arguments: list[str], environment: dict[str, str], *, processes: int, wait_for_change: bool
    ) -> None:
        self._command = [sys.executable, "-m", "nylon.worker.child", *arguments]
        self._environment = environment
        self._slots = [_Slot(number) for number in range(1, processes + 1)]
        self._leaving: set[subprocess.Popen[bytes]] = set()
        self._wait_for_change = wait_for_change
        self._events: queue.SimpleQueue[_Event] = queue.SimpleQueue()
        self._ending: int | None = None
        self._code = ExitCode.OK

    def changed(self, files: int) -> None:
        """Source files have changed; from any thread."""
        self._events.put(_Changed(files))

    def run(self) -> int:
        """Runs to the end."""
        numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        before = {number: signal.signal(number, self._on_signal) for number in numbers}
        try:
            for slot in self._slots:
                self._start(slot)
            return self._loop()
        finally:
            self._kill_all()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._events.put(_Signalled(number))

    def _loop(self) -> int:
        kill_at: float | None = None
        while True:
            if self._ending is not None and not self._alive():
                return self._code
            if self._ending is not None and kill_at is None:
                kill_at = time.monotonic() + KILL_AFTER
            try:
                event = self._events.get(timeout=self._patience(kill_at))
            except queue.Empty:
                if kill_at is not None and time.monotonic() >= kill_at:
                    logs.say(logging.ERROR, "processes do not end, killing them", seconds=KILL_AFTER)
                    self._kill_all()
                    return ExitCode.RUNTIME
                self._restart_due()
                continue
            match event:
                case _Ended():
                    self._on_end(event)
                case _Changed():
                    logs.say(logging.INFO, "source changed, starting again", files=event.files)
                    self._replace_all()
                case _Signalled():
                    if event.number == signal.SIGHUP:
                        self._replace_all()
                    elif self._ending is not None:
                        self._kill_all()
                        return 128 + event.number
                    else:
                        self._end(event.number)

    def _patience(self, kill_at: float | None) -> float | None:
        times = [slot.restart_at for slot in self._slots if slot.restart_at is not None]
        if kill_at is not None:
            times.append(kill_at)
        return max(0.0, min(times) - time.monotonic()) if times else None

    def _alive(self) -> bool:
        return bool(self._leaving) or any(slot.process is not None for slot in self._slots)

    def _start(self, slot: _Slot) -> None:
        process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,  # its end tells the process that we are gone
            env=self._environment,
            start_new_session=True,  # a Ctrl-C in the terminal is for us, who then drain
        )
        slot.process, slot.started, slot.restart_at = process, time.monotonic(), None
        threading.Thread(target=self._watch_end, args=(slot, process), daemon=True).start()
        logs.say(logging.INFO, "worker process started", process=slot.number, pid=process.pid)

    def _watch_end(self, slot: _Slot, process: "subprocess.Popen[bytes]") -> None:
        process.wait()
        self._events.put(_Ended(slot, process))

    def _restart_due(self) -> None:
        for slot in self._slots:
            if slot.restart_at is not None and slot.restart_at <= time.monotonic():
                self._start(slot)

    def _on_end(self, event: _Ended) -> None:
        slot, process = event.slot, event.process
        if process.stdin is not None:
            process.stdin.close()
        if process in self._leaving:
            self._leaving.discard(process)
            return
        slot.process = None
        code = process.returncode
        if self._ending is not None:
            # One that was told to end before it had begun to listen to signals has done nothing wrong.
            if code not in (0, -signal.SIGTERM):
                logs.say(logging.ERROR, "worker process failed while draining", process=slot.number, code=code)
                self._code = ExitCode.RUNTIME
            return
        if code == ExitCode.CONFIG:
            if self._wait_for_change:
                logs.say(logging.INFO, "waiting for a change")
                return
            self._code = ExitCode.CONFIG
            self._end(signal.SIGTERM)
            return
        if time.monotonic() - slot.started >= HEALTHY_AFTER:
            slot.delay = FIRST_DELAY
        delay = slot.delay * random.uniform(0.75, 1.25)  # noqa: S311 - so that not all of them start at once
        slot.delay = min(slot.delay * 2, LONGEST_DELAY)
        slot.restart_at = time.monotonic() + delay
        logs.say(
            logging.ERROR,
            "worker process ended, starting it again",
            process=slot.number,
            pid=process.pid,
            code=code,
            delay=f"{delay:.2f}s",
        )

    def _replace_all(self) -> None:
        """Starts every process anew; the old ones drain beside them."""
        if self._ending is not None:
            return
        for slot in self._slots:
            if slot.process is not None:
                self._leaving.add(slot.process)
                slot.process.terminate()
            slot.delay = FIRST_DELAY
            self._start(slot)

    def _end(self, number: int) -> None:
        self._ending = number
        logs.say(logging.INFO, "draining", processes=sum(slot.process is not None for slot in self._slots))
        for slot in self._slots:
            slot.restart_at = None
            if slot.process is not None:
                slot.process.terminate()

    def _kill_all(self) -> None:
        for process in [*self._leaving, *(slot.process for slot in self._slots)]:
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()
