# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# (nats-py is typed in part)
"""A worker that speaks raw NATS, not our SDK: what misbehaves must not share code with what it tests.

It does what `answer` says for every session frame that reaches it. Frames are positional arrays
(protocol/SPEC.md): `[type, session, generation, seq, phase seq, …]`.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

import nats
import ormsgpack
from nats.aio.client import Client
from nats.aio.msg import Msg

Frame = list[Any]
T = TypeVar("T")

OPEN, ACCEPT, PHASE, FETCH, DATA, CREDIT, RESULT = range(1, 8)
ABORT, BUSY, ERROR, CLOSE, PROBE, BEAT, BATCH = range(15, 22)
NEXT, END = 1, 2


class RawWorker:
    """Subscribes like a worker and leaves every decision to `answer(worker, frame, reply)`."""

    def __init__(
        self,
        url: str,
        answer: Callable[["RawWorker", Frame, str], None],
        *,
        group: str = "tested",
        entries: tuple[str, ...] = ("filter", "service"),
        worker: str = "raw1",
        beat: bool = False,
        mask: int = 1,
        prefix: str = "nylon",
    ) -> None:
        self.url, self.answer, self.group, self.entries = url, answer, group, entries
        self.worker, self.mask, self.prefix, self.beat = worker, mask, prefix, beat
        self.frames: list[Frame] = []
        self.replies: dict[bytes, str] = {}
        self._sequence: dict[bytes, int] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._client = Client()
        self._beats: asyncio.Task[None] | None = None

    def of(self, kind: int) -> list[Frame]:
        """The frames of one type that have arrived."""
        return [frame for frame in list(self.frames) if frame[0] == kind]

    @property
    def first(self) -> list[Any]:
        return [self.worker, self.mask, 0, 32768]

    def send(self, frame: Frame, *tail: Any, kind: int, reply: str | None = None, **header: Any) -> None:
        """Answer `frame` with a frame of this kind; `header` overrides session, generation, seq or phase."""
        session = frame[1]
        sequence = self._sequence.get(session, 0)
        self._sequence[session] = sequence + 1
        out = [
            kind,
            header.get("session", session),
            header.get("generation", frame[2]),
            header.get("seq", sequence),
            header.get("phase", frame[4]),
            *tail,
        ]
        self.publish(reply or self.replies[session], ormsgpack.packb(out))

    def next(self, frame: Frame, *operations: list[Any], **header: Any) -> None:
        """RESULT next."""
        self.send(frame, list(operations), NEXT, self.first, [0, 0], {}, kind=RESULT, **header)

    def end(self, frame: Frame, *operations: list[Any], **header: Any) -> None:
        """RESULT end."""
        self.send(frame, list(operations), END, self.first, [0, 0], {}, kind=RESULT, **header)

    def publish(self, subject: str, payload: bytes) -> None:
        """Publish from any thread; the order of calls is kept."""

        async def publish() -> None:
            await self._client.publish(subject, payload)
            await self._client.flush()

        if threading.current_thread() is self._thread:
            asyncio.ensure_future(publish())  # noqa: RUF006  the loop lives as long as the worker
        else:
            self._run(publish())

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    async def _start(self) -> None:
        self._client = await nats.connect(self.url)
        for entry in self.entries:
            subject = f"{self.prefix}.v1.open.{self.group}.{entry}"
            await self._client.subscribe(subject, queue=self.group, cb=self._arrived)
        await self._client.subscribe(f"{self.prefix}.v1.w.{self.group}.{self.worker}", cb=self._arrived)
        await self._client.flush()
        if self.beat:
            self._beats = asyncio.create_task(self._beat())

    async def _beat(self) -> None:
        subject = f"{self.prefix}.v1.beat.{self.group}.{self.worker}"
        sequence = 0
        while True:
            entries = [[entry, self.mask, 0] for entry in self.entries]
            frame = [BEAT, 1, self.group, self.worker, sequence, 0, 1024, False, 0, 0, entries, None, 0, {}]
            await self._client.publish(subject, ormsgpack.packb(frame))
            await self._client.flush()
            sequence += 1
            await asyncio.sleep(0.25)

    async def _arrived(self, message: Msg) -> None:
        whole: Frame = ormsgpack.unpackb(message.data)
        for frame in map(ormsgpack.unpackb, whole[1]) if whole[0] == BATCH else [whole]:
            if frame[0] == OPEN:
                self.replies[frame[1]] = frame[6]
            self.frames.append(frame)
            self.answer(self, frame, frame[6] if frame[0] == OPEN else self.replies.get(frame[1], ""))

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self._start())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave without a word, as a killed worker does."""
        if not self._thread.is_alive():
            return

        async def close() -> None:
            if self._beats is not None:
                self._beats.cancel()
            await self._client.close()

        self._run(close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()
