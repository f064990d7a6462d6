"""Running handlers: the threads of `def` handlers and the event loop of `async def` handlers."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar
from typing import Any, TypeVar

from nylon._core import Dispatcher, EventLoopLane, Worker, current_request_id

T = TypeVar("T")

current: ContextVar[str | None] = ContextVar("nylon_request_id", default=None)
"""Id of the request whose `async def` handler runs; set in its task, so that what it starts knows too."""

set_current = current.set
"""What the task calls for that."""


def request_id() -> str | None:
    """Id of the request whose handler runs here: in its thread, or its task and what asyncio starts from that.

    It is the gateway's, as `Request.id`. None elsewhere.
    """
    identifier = current.get()
    return identifier if identifier is not None else current_request_id()


def read_in_thread(loop: asyncio.AbstractEventLoop, read: Callable[[], T]) -> Awaitable[T]:
    """A blocking read for an event loop that is not the worker's."""
    return loop.run_in_executor(None, read)


async def taken(ready: Awaitable[Callable[[], T]]) -> T:
    """Take what is ready in the task that waits: one that is cancelled at that moment leaves it for the next read."""
    return (await ready)()


def new_event_loop() -> asyncio.AbstractEventLoop:
    """uvloop's where it is installed, else asyncio's."""
    try:
        import uvloop  # pyright: ignore[reportMissingImports, reportMissingTypeStubs]
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()  # pyright: ignore


class LoopLane:
    """The lane of `async def` handlers on a loop that somebody runs."""

    def __init__(self, dispatcher: Dispatcher, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.core = EventLoopLane(dispatcher, loop)
        loop.add_reader(self.core.fileno(), self.core.pump)

    def close(self) -> None:
        """Takes nothing more. In the loop's thread."""
        self.loop.remove_reader(self.core.fileno())
        self.core.close()


class LoopThread:
    """An event loop of our own in a thread of its own."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self.loop = new_event_loop()
        self.lane: LoopLane | None = None
        self._dispatcher = dispatcher
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name="nylon-loop", daemon=True)
        self._thread.start()
        self._started.wait()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.lane = LoopLane(self._dispatcher, self.loop)
            self._started.set()
            self.loop.run_forever()
            self.lane.close()
            self._finish()
        finally:
            self._started.set()
            self.loop.close()

    def _finish(self) -> None:
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        if tasks:
            self.loop.run_until_complete(asyncio.wait(tasks, timeout=2))
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())

    def call(self, coroutine: Coroutine[Any, Any, object]) -> object:
        """Runs a coroutine in the loop and waits for it."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    def stop(self, timeout: float) -> bool:
        """Ends the loop; whether its thread has ended in time."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(timeout)
        return not self._thread.is_alive()


class WorkThreads:
    """The threads of `def` handlers: as many as run slow handlers at once, and one more, up to a limit."""

    def __init__(self, worker: Worker, limit: int) -> None:
        self._worker = worker
        self._limit = limit
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        for _ in range(min(2, limit)):
            self._grow()

    def _grow(self) -> bool:
        """Starts one more thread; whether another one may follow."""
        with self._lock:
            if len(self._threads) >= self._limit:
                return False
            number = len(self._threads) + 1
            thread = threading.Thread(target=self._serve, name=f"nylon-worker-{number}", daemon=True)
            self._threads.append(thread)
        thread.start()
        return True

    def _serve(self) -> None:
        self._worker.serve(self._grow)

    def join(self, timeout: float) -> bool:
        """Waits for all of them; whether they have ended in time."""
        end = time.monotonic() + timeout
        while True:
            with self._lock:
                running = [thread for thread in self._threads if thread.is_alive()]
            if not running:
                return True
            left = end - time.monotonic()
            if left <= 0:
                return False
            running[0].join(left)
