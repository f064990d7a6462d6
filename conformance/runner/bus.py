"""One NATS connection of the judge, and the place where a mutant may touch what passes between it and the testee."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg


@dataclass(frozen=True)
class Message:
    """What NATS carries; `status` is 503 for *no responders*, `batched` stands for a frame out of a BATCH."""

    subject: str
    data: bytes
    reply: str = ""
    status: str = ""
    about: str = ""
    after: float = 0.0
    batched: bool = False

    def with_data(self, data: bytes) -> "Message":
        """Return the same message with other bytes."""
        return replace(self, data=data)


Filter = Callable[[Message], list[Message]]


def untouched(message: Message) -> list[Message]:
    """Pass on what came: the filter where nothing is mutated."""
    return [message]


class Bus:
    """`inward` is applied to what the testee says, `outward` to what it is told."""

    def __init__(self, url: str, inward: Filter = untouched, outward: Filter = untouched) -> None:
        self._url, self._inward, self._outward = url, inward, outward
        self._client = Client()
        self._later: set[asyncio.Task[None]] = set()
        self._subscriptions: dict[str, Any] = {}

    @property
    def max_payload(self) -> int:
        """The server's limit."""
        return self._client.max_payload

    async def open(self) -> "Bus":
        """Connect."""
        self._client = await nats.connect(self._url, allow_reconnect=False)
        return self

    async def close(self) -> None:
        """Leave without a word."""
        for task in list(self._later):
            task.cancel()
        await self._client.close()

    async def subscribe(self, subject: str, take: Callable[[Message], None], queue: str = "") -> None:
        """Hand everything on `subject` to `take`; on the server when this returns."""

        async def arrived(raw: Msg) -> None:
            headers = raw.headers or {}
            message = Message(
                raw.subject, raw.data, raw.reply, headers.get("Status", ""), headers.get("Nats-Subject", "")
            )
            for one in [message] if message.status else self._inward(message):
                if one.after:
                    self._spawn(self._take_later(one, take))
                else:
                    take(one)

        # a mutated queue group shows as a subscription that hears nothing
        self._subscriptions[subject] = await self._client.subscribe(subject, queue=queue, cb=arrived)
        await self._client.flush()

    async def unsubscribe(self, subject: str) -> None:
        """Take a subscription back."""
        await self._subscriptions.pop(subject).unsubscribe()
        await self._client.flush()

    async def publish(self, subject: str, data: bytes, reply: str = "") -> None:
        """Publish and flush."""
        for one in self._outward(Message(subject, data, reply)):
            if one.after:
                self._spawn(self._publish_later(one))
            else:
                await self._client.publish(one.subject, one.data, reply=one.reply)
        await self._client.flush()

    async def ask(self, subject: str, within: float) -> bytes:
        """Return the first answer."""
        return (await self._client.request(subject, b"", timeout=within)).data

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    async def _take_later(self, message: Message, take: Callable[[Message], None]) -> None:
        await asyncio.sleep(message.after)
        take(message)

    async def _publish_later(self, message: Message) -> None:
        await asyncio.sleep(message.after)
        await self._client.publish(message.subject, message.data, reply=message.reply)


def token(name: str) -> str:
    """A name as one token of a subject (2.1)."""
    out = ""
    for byte in name.encode():
        char = chr(byte)
        plain = byte < 128 and (char.isalnum() or char in "_-")
        out += char if plain else f"={byte:02X}"
    return out
