"""Beats of a worker that the judge plays."""

import asyncio
from collections.abc import Awaitable, Callable

FIRST_SECONDS = 0.02
NEXT_SECONDS = 0.25


class Beats:
    """Says beat after beat, with its number, until it is told to end."""

    def __init__(self, say: Callable[[int], Awaitable[None]]) -> None:
        self._say = say
        self._two = asyncio.Event()
        self._over = asyncio.Event()
        self._task = asyncio.ensure_future(self._run())

    async def two_are_out(self) -> None:
        """Wait until a gateway has what it needs to believe in the worker. Raises what saying them raised."""
        waiting = asyncio.ensure_future(self._two.wait())
        await asyncio.wait([waiting, self._task], return_when=asyncio.FIRST_COMPLETED)
        if not self._two.is_set():
            waiting.cancel()
            await self._task

    async def end(self) -> None:
        """Say no more, once the beat on its way is out. Raises what saying it raised.

        Not by cancelling: in the middle of a flush that costs nats-py its connection, and a flush that is left to
        itself when the connection closes fails where nobody looks.
        """
        self._over.set()
        await self._task

    async def _run(self) -> None:
        number = 0
        while not self._over.is_set():
            await self._say(number)
            if number == 1:
                self._two.set()
            try:
                await asyncio.wait_for(self._over.wait(), FIRST_SECONDS if number == 0 else NEXT_SECONDS)
            except TimeoutError:
                number += 1
