"""Answers that a test reads while they are made."""

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from email.message import Message
from http.client import HTTPConnection, HTTPResponse, IncompleteRead
from types import TracebackType
from typing import Self

from nylon.testing.threads import Twin, awaited

_PIECE = 1 << 16


class SyncStream:
    """An answer whose head has come. Iterate over its pieces, which are cut anywhere, or read `until` something.

    All of it raises http.client.IncompleteRead or ConnectionResetError where the answer is cut short, and TimeoutError
    if nothing comes for 30 s. The end of the block closes the connection: the handler hears that its client has left.
    """

    def __init__(self, connection: HTTPConnection, response: HTTPResponse) -> None:
        self.status: int = response.status
        self.headers: Message = response.headers
        """By name, in any case; `get_all` for repeated ones."""
        self._connection = connection
        self._response = response
        self._rest = b""

    def __iter__(self) -> Iterator[bytes]:
        """The pieces up to the end of the answer."""
        while piece := self.read():
            yield piece

    def read(self) -> bytes:
        """Return the next piece as soon as there is one; b"" at the end."""
        piece, self._rest = self._rest, b""
        if not piece:
            piece = self._response.read1(_PIECE)
        if not piece and self._response.length:
            raise IncompleteRead(b"", self._response.length)
        return piece

    def until(self, mark: bytes) -> bytes:
        """Return what comes up to and with `mark`, such as the blank line behind an event.

        Raises EOFError if the answer ends before.
        """
        got = b""
        while (at := got.find(mark)) < 0:
            piece = self.read()
            if not piece:
                raise EOFError(f"reading an answer: it ended without {mark!r}; the last of it: {got[-100:]!r}")
            got += piece
        at += len(mark)
        got, self._rest = got[:at], got[at:]
        return got

    def close(self) -> None:
        """Leave, in the middle of the answer if need be; a read in another thread ends."""
        hang_up(self._connection, self._response)

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()


class AsyncStream(Twin[SyncStream]):
    """As SyncStream, for a running loop."""

    read = awaited(SyncStream.read)
    until = awaited(SyncStream.until)

    def __init__(self, blocking: SyncStream) -> None:
        super().__init__(blocking)
        self.status = blocking.status
        self.headers = blocking.headers
        self.close = blocking.close

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The pieces up to the end of the answer."""
        while piece := await self.read():
            yield piece


def hang_up(connection: HTTPConnection, response: HTTPResponse) -> None:
    """Close a connection, whoever reads from it at the moment."""
    if connection.sock is not None:
        with suppress(OSError):
            connection.sock.shutdown(socket.SHUT_RDWR)
    response.close()
    connection.close()
