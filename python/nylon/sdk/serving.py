"""A plugin being served as a worker: started, drained, ended."""

import asyncio
import atexit
import functools
import inspect
import logging
import os
import signal
import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, cast

from nylon._core import Dispatcher, Worker
from nylon.sdk import batch, logs
from nylon.sdk.decoding import decode, parse
from nylon.sdk.handlers import Entry
from nylon.sdk.logs import say
from nylon.sdk.running import LoopLane, LoopThread, WorkThreads, request_id
from nylon.sdk.settings import Settings

_JOIN = 3.0
"""Seconds that threads get to end once the worker has: their handlers were given up by then."""


class Serving:
    """One worker of one plugin; it starts once. Raises ValueError without entries."""

    def __init__(
        self,
        entries: Sequence[Entry],
        settings: Settings,
        *,
        on_initialize: Callable[..., object] | None = None,
        wanted: Any = dict,
        on_shutdown: Callable[[], object] | None = None,
    ) -> None:
        if not entries:
            raise ValueError("starting a worker: the plugin has no entry; register one with @plugin.handler(name)")
        self.settings = settings
        self._entries = entries
        self._on_initialize = on_initialize
        self._wanted = wanted
        self._on_shutdown = on_shutdown
        self._dispatcher = Dispatcher([entry.compiled for entry in entries], self._need_loop)
        self._worker: Worker | None = None
        self._threads: WorkThreads | None = None
        self._user_lane: LoopLane | None = None
        self._loop_thread: LoopThread | None = None
        self._loop_lock = threading.Lock()
        self._draining = False
        # Its own object, so that ending one worker leaves the others in place.
        self._at_exit = functools.partial(_end, weakref.ref(self))

    @property
    def worker(self) -> Worker:
        """The worker: its id, state and counters. Raises RuntimeError before the start."""
        if self._worker is None:
            raise RuntimeError("asking for the worker: it has not been started")
        return self._worker

    def start(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Begins to serve; `async def` handlers run in the given loop, else in one of our own.

        Raises RuntimeError if it has been started before, and as `Plugin.run` for options that cannot be used.
        """
        if self._worker is not None:
            raise RuntimeError("starting a worker: it has been started before")
        worker = self._worker = Worker(
            self._dispatcher,
            self.settings.group,
            [(entry.name, entry.phases, entry.loop_phases, entry.streams_body) for entry in self._entries],
            self._initialize,
            self._shutdown,
            self.settings.for_worker(initialize=self._on_initialize is not None),
        )
        if loop is not None:
            self._user_lane = LoopLane(self._dispatcher, loop)
            worker.attach(self._user_lane.core)
        elif any(entry.loop_phases for entry in self._entries):
            self._need_loop()
        if self._draining:
            worker.drain()
        self._threads = WorkThreads(worker, self.settings.max_threads)
        atexit.register(self._at_exit)
        say(
            logging.INFO,
            "worker started",
            worker=worker.id,
            group=self.settings.group,
            entries=",".join(entry.name for entry in self._entries),
            servers=",".join(map(_without_secrets, self.settings.servers)),
        )

    def drain(self) -> None:
        """Begins to end and returns: no new sessions. Before the start: ends right after it. From any thread."""
        self._draining = True
        if self._worker is not None:
            self._worker.drain()

    def close(self, limit: float | None = None) -> bool:
        """Drains, waits (for the drain timeout, or so many seconds) and ends; whether every handler had returned.

        Handlers have 3 s more. Before the start it does nothing; not from a handler, where it would wait for itself.
        """
        if self._worker is None:
            return True
        self._worker.drain()
        self._worker.wait_drained(limit)
        return self._end_threads()

    async def aclose(self) -> bool:
        """As `close`, leaving the loop free for handlers."""
        if self._worker is None:
            return True
        self._worker.drain()
        await asyncio.to_thread(self._worker.wait_drained, None)
        if self._user_lane is not None:
            self._user_lane.close()
        return await asyncio.to_thread(self._end_threads)

    def run(self) -> None:
        """Serves until a signal; the process ends at once if handlers do not return, or at a second signal."""
        logs.ensure(request_id)
        batch.join()
        ended = threading.Event()
        restore = _Stop(self.drain).install()
        try:
            self.start(None)
            threading.Thread(target=self._tell_end, args=(ended.set,), name="nylon-end", daemon=True).start()
            ended.wait()
        finally:
            clean = self.close()
            restore()
        self._leave(clean)

    async def serve(self) -> None:
        """As `run`, in the running loop."""
        logs.ensure(request_id)
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        restore = _Stop(self.drain).install()
        try:
            self.start(loop)
            arguments = (lambda: loop.call_soon_threadsafe(ended.set),)
            threading.Thread(target=self._tell_end, args=arguments, name="nylon-end", daemon=True).start()
            await ended.wait()
        finally:
            clean = await self.aclose()
            restore()
        self._leave(clean)

    def _tell_end(self, tell: Callable[[], object]) -> None:
        self.worker.wait_drained(None)
        tell()

    def _leave(self, clean: bool) -> None:
        if clean:
            return
        # A thread that never comes back to us must not meet an interpreter that is being taken down.
        say(logging.ERROR, "handlers still run after the drain timeout, ending without them", worker=self.worker.id)
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)

    def _end_threads(self) -> bool:
        threads, self._threads = self._threads, None
        clean = threads is None or threads.join(_JOIN)
        with self._loop_lock:
            loop_thread, self._loop_thread = self._loop_thread, None
        if loop_thread is not None:
            clean = loop_thread.stop(_JOIN) and clean
        atexit.unregister(self._at_exit)
        if clean:
            say(logging.INFO, "worker ended", worker=self.worker.id)
        return clean

    def _need_loop(self) -> None:
        with self._loop_lock:
            if self._loop_thread is None:
                self._loop_thread = LoopThread(self._dispatcher)
                if self._worker is not None and self._loop_thread.lane is not None:
                    self._worker.attach(self._loop_thread.lane.core)

    def _initialize(self, text: bytes) -> None:
        if self._on_initialize is None:
            return
        try:
            value = parse(text, "the configuration") if text else None
            self._finish(self._on_initialize(decode(self._wanted, value, "the configuration")))
        except BaseException as error:
            cause = f"{type(error).__name__}: {error}"
            say(logging.ERROR, "configuration refused", group=self.settings.group, cause=cause, error=error)
            raise
        say(logging.INFO, "configuration taken", group=self.settings.group)

    def _shutdown(self) -> None:
        if self._on_shutdown is None:
            return
        try:
            self._finish(self._on_shutdown())
        except BaseException as error:  # the worker ends all the same
            say(logging.ERROR, "shutdown hook raised", cause=f"{type(error).__name__}: {error}", error=error)
            raise

    def _finish(self, result: object) -> None:
        """Lets an `async def` hook run in the handlers' loop and waits for it."""
        if not inspect.isawaitable(result):
            return
        if self._user_lane is not None:
            loop = self._user_lane.loop
        else:
            self._need_loop()
            loop = cast("LoopThread", self._loop_thread).loop
        asyncio.run_coroutine_threadsafe(_awaited(result), loop).result()


async def _awaited(result: Any) -> object:
    return await result


class _Stop:
    """SIGTERM and SIGINT: the first drains, the second ends the process at once."""

    def __init__(self, drain: Callable[[], None]) -> None:
        self._drain = drain
        self._asked = False

    def install(self) -> Callable[[], None]:
        """Takes the signals where Python lets us; gives back what puts the old handlers in place."""
        if threading.current_thread() is not threading.main_thread():
            return lambda: None
        before = {number: signal.signal(number, self._on_signal) for number in (signal.SIGTERM, signal.SIGINT)}

        def restore() -> None:
            for number, handler in before.items():
                signal.signal(number, handler)

        return restore

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._asked:
            os._exit(128 + number)
        self._asked = True
        say(logging.INFO, "draining", signal=signal.Signals(number).name)
        self._drain()


def _end(reference: "weakref.ref[Serving]") -> None:
    """Somebody forgot to close: threads must be out of Python before it is taken down."""
    serving = reference()
    if serving is not None:
        serving.close()


def _without_secrets(server: str) -> str:
    scheme, separator, rest = server.rpartition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"
