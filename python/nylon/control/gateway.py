"""`nylon run`: a gateway from its configuration to its exit code, with reload, drain and stop."""

import contextlib
import logging
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path
from types import FrameType

import structlog

from nylon import _core
from nylon.config import ConfigError, Loaded, Server, compile, drain_timeout_ms, load
from nylon.control.exit_codes import ExitCode
from nylon.control.in_process import InProcess
from nylon.control.nats import EmbeddedNats, NatsError
from nylon.control.workers import Workers

_TICK_SECONDS = 1.0
_SIGNALS = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)

log = structlog.stdlib.get_logger()

Source = Callable[[], Loaded]
"""Reads the configuration, again at each reload. Raises ConfigError."""


class _Interrupted(BaseException):
    """A signal came while we wait for what may never end: the start, and imports of plugins."""


class GatewayProcess:
    """Owns everything that `nylon run` starts. `run` returns when all of it is gone."""

    def __init__(
        self,
        source: Source,
        *,
        changed: Callable[[], bool] = lambda: False,
        started: Callable[[dict[str, list[str]]], None] = lambda _addresses: None,
        elsewhere: str = "end what listens there, or name another address in the configuration",
        dev: bool = False,
    ) -> None:
        """Make one that reads its configuration from `source`.

        `changed` is asked every second whether that is worth doing again, `started` is told where it listens,
        `elsewhere` is what to do about an address that is taken, and `dev` lets workers start again when their code
        changes.
        """
        self._source = source
        self._changed = changed
        self._started = started
        self._elsewhere = elsewhere
        self._dev = dev
        self._events: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._interruptible = True
        self._ending = False
        self._embedded: dict[str, EmbeddedNats] = {}
        self._workers = Workers()
        self._in_process = InProcess()
        self._number = 0
        self._listening: list[tuple[str, str]] = []

    def run(self) -> ExitCode:
        """Serve until a signal says otherwise."""
        with self._signals():
            try:
                code = self._run()
            except _Interrupted:
                log.info("stopping")
                code = ExitCode.OK
            finally:
                self._interruptible = False
                clean = self._in_process.stop()
                self._workers.stop()
                for nats in self._embedded.values():
                    nats.stop()
        if not clean:
            # A thread that never comes back to us must not meet an interpreter that is being taken down.
            log.error("handlers of plugins in this process still run, ending without them")
            logging.shutdown()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        return code

    def _run(self) -> ExitCode:
        try:
            loaded = self._load()
            gateway = _gateway(loaded, self._snapshot(loaded))
            self._in_process.prepare(loaded)
        except ConfigError as error:
            log_problems(error)
            return ExitCode.CONFIG
        except NatsError as error:
            log.error("no embedded NATS", reason=str(error))
            return ExitCode.RUNTIME
        starting = self._workers.prepare(loaded.config, self._servers(), reload=self._dev)
        try:
            gateway.start(starting, self._worth_waiting)
        except OSError as error:
            log.error("cannot listen", reason=str(error), advice=self._elsewhere)
            return ExitCode.ADDRESS
        except ValueError as error:
            # A plugin library does not take its configuration.
            log.error("configuration refused", reason=str(error))
            return ExitCode.CONFIG
        self._workers.commit()
        try:
            self._interruptible = False
            self._tell_listeners(gateway)
            self._started(gateway.addresses())
            return self._serve(gateway, loaded)
        finally:
            gateway.stop()

    def _serve(self, gateway: "_core.Gateway", loaded: Loaded) -> ExitCode:
        while True:
            try:
                number = self._events.get(timeout=_TICK_SECONDS)
            except queue.Empty:
                for code in self._workers.lost():
                    log.error("workers ended", code=code)
                if self._lost_nats():
                    # what is in the files by now is for a reload that somebody asks for
                    loaded = self._take(gateway, loaded, loaded)
                    if any(entry.embedded and entry.name not in self._embedded for entry in loaded.config.messaging):
                        return ExitCode.RUNTIME
                if self._look():
                    loaded = self._reload(gateway, loaded)
                continue
            if number == signal.SIGHUP:
                loaded = self._reload(gateway, loaded)
                continue
            self._ending = True
            if number == signal.SIGINT:
                log.info("stopping")
                return ExitCode.OK
            return self._drain(gateway, loaded)

    def _drain(self, gateway: "_core.Gateway", loaded: Loaded) -> ExitCode:
        limit = drain_timeout_ms(loaded.config)
        log.info("draining", limit=f"{limit}ms")
        result: list[bool] = []
        # In a thread of its own, so that this one can act on a second signal.
        waiting = threading.Thread(target=lambda: result.append(gateway.drain(limit)), daemon=True)
        waiting.start()
        while waiting.is_alive():
            waiting.join(_TICK_SECONDS)
        if result == [True]:
            log.info("drained")
        else:
            log.warning("drain limit reached, ending requests in flight", limit=f"{limit}ms")
        return ExitCode.OK

    def _reload(self, gateway: "_core.Gateway", current: Loaded) -> Loaded:
        try:
            loaded = self._load()
        except ConfigError as error:
            log_problems(error)
            return self._refused(current, problems=len(error.problems))
        except _Interrupted:
            return current  # the signal is the next event
        return self._take(gateway, loaded, current)

    def _take(self, gateway: "_core.Gateway", loaded: Loaded, current: Loaded) -> Loaded:
        """Serve what is loaded, or what is current if that cannot be done; return which."""
        try:
            snapshot = self._snapshot(loaded)
            with self._importing():
                self._in_process.examine(loaded)
            self._in_process.prepare(loaded)
            starting = self._workers.prepare(loaded.config, self._servers(), reload=self._dev)
            gateway.reload(snapshot, starting, self._worth_waiting)
        except ConfigError as error:
            log_problems(error)
            return self._refused(current, problems=len(error.problems))
        except (ValueError, NatsError, OSError) as error:
            # OSError: a new listener cannot be opened
            reason = loaded.refusal(str(error)) if isinstance(error, ValueError) else error
            return self._refused(current, reason=str(reason))
        except _Interrupted:
            return current  # the signal is the next event
        self._tell_listeners(gateway)
        self._workers.commit()
        self._keep(loaded)
        log.info("reloaded", revision=self._number, files=len(loaded.files))
        return loaded

    def _refused(self, current: Loaded, **why: object) -> Loaded:
        """End what was started for a configuration that is not taken; return the one that is."""
        log.error("reload refused, the old configuration keeps serving", **why)
        self._workers.abandon()
        self._keep(current)
        return current

    def _keep(self, loaded: Loaded) -> None:
        """Let plugins in this process and embedded servers end that this configuration does not have."""
        self._in_process.keep(loaded.config)
        for name in set(self._embedded) - {entry.name for entry in loaded.config.messaging if entry.embedded}:
            self._embedded.pop(name).stop()

    def _lost_nats(self) -> bool:
        """Forget embedded servers that have ended by themselves; a reload then starts others."""
        lost = [name for name, nats in self._embedded.items() if nats.ended()]
        for name in lost:
            log.error("embedded NATS ended, starting another", messaging=name)
            self._embedded.pop(name).stop()
        return bool(lost)

    def _worth_waiting(self) -> bool:
        return not self._ending and self._workers.alive()

    def _tell_listeners(self, gateway: "_core.Gateway") -> None:
        listeners = [(name, address) for name, addresses in gateway.addresses().items() for address in addresses]
        for listener, address in listeners:
            if (listener, address) not in self._listening:
                log.info("listening", listener=listener, address=address)
        for listener, address in self._listening:
            if (listener, address) not in listeners:
                log.info("no longer listening", listener=listener, address=address)
        self._listening = listeners

    def _look(self) -> bool:
        try:
            with self._importing():
                return self._changed()
        except _Interrupted:
            return False  # the signal is the next event

    @contextlib.contextmanager
    def _importing(self) -> Generator[None]:
        before, self._interruptible = self._interruptible, True
        try:
            yield
        finally:
            self._interruptible = before

    def _load(self) -> Loaded:
        with self._importing():
            loaded = self._source()
        for warning in loaded.warnings:
            log.warning("configuration", at=str(warning.location), warning=warning.text)
        return loaded

    def _snapshot(self, loaded: Loaded) -> bytes:
        for entry in loaded.config.messaging:
            if entry.embedded and entry.name not in self._embedded:
                self._embedded[entry.name] = EmbeddedNats()
                log.info("embedded NATS started", messaging=entry.name)
        self._number += 1
        return compile(
            loaded.config,
            number=self._number,
            loaded_at_ms=time.time_ns() // 1_000_000,
            embedded=self._servers(),
            bus=self._in_process.bus,
        )

    def _servers(self) -> dict[str, Server]:
        return {name: nats.server for name, nats in self._embedded.items()}

    @contextlib.contextmanager
    def _signals(self) -> Generator[None]:
        before = {number: signal.signal(number, self._on_signal) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            self._events.put(number)
            return
        if self._ending:
            # The guards of the children see our pipes close, so nothing is left behind.
            os._exit(128 + number)
        self._ending = True
        self._events.put(number)
        if self._interruptible:
            raise _Interrupted


def _gateway(loaded: Loaded, snapshot: bytes) -> "_core.Gateway":
    """Return a gateway that has not started. Raises ConfigError if the data plane refuses the configuration."""
    try:
        return _core.Gateway(snapshot)
    except ValueError as error:
        raise ConfigError([loaded.refusal(str(error))]) from None


def from_file(path: Path) -> Source:
    """Return a source that reads `path` and the proxy files it names."""
    return lambda: load(path)


def log_problems(error: ConfigError) -> None:
    """Write every problem of a configuration to the log."""
    for problem in error.problems:
        log.error("configuration", at=str(problem.location), problem=problem.text)
