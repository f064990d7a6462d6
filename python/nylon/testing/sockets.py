"""WebSockets to the gateway of a test."""

import base64
import os
import struct
from collections.abc import AsyncIterator, Iterator
from http.client import HTTPConnection, HTTPResponse
from types import TracebackType
from typing import Self

from nylon.testing.streams import hang_up
from nylon.testing.threads import Twin, awaited

_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0, 1, 2, 8, 9, 10
_NO_CODE = 1005


def handshake(subprotocols: tuple[str, ...]) -> list[tuple[str, str]]:
    """Return the headers that ask for a WebSocket."""
    headers = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", base64.b64encode(os.urandom(16)).decode()),
    ]
    return [*headers, ("Sec-WebSocket-Protocol", ", ".join(subprotocols))] if subprotocols else headers


class SocketClosedError(Exception):
    """The plugin, or the gateway for it, has closed the WebSocket."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"the WebSocket was closed with {code} {reason}".rstrip())
        self.code = code
        """Of RFC 6455; 1005 if the close had none."""
        self.reason = reason


class SyncSocket:
    """The client's end of an open WebSocket. Pings are answered while it receives.

    `receive` and `close` raise ConnectionError where the connection ends without a close, and TimeoutError if nothing
    comes for 30 s. The end of the block leaves, without a word unless it was closed.
    """

    def __init__(self, connection: HTTPConnection, response: HTTPResponse) -> None:
        self.headers = response.headers
        """Those of the 101."""
        self.subprotocol: str | None = response.headers["Sec-WebSocket-Protocol"]
        """The chosen one; None if there is none."""
        self._connection = connection
        self._response = response
        self._closing = False

    def send(self, message: str | bytes) -> None:
        """Send a text or a binary message. Raises OSError when the connection has ended."""
        if isinstance(message, str):
            self._send(_TEXT, message.encode())
        else:
            self._send(_BINARY, message)

    def receive(self) -> str | bytes:
        """Return the next message, whole. Raises SocketClosedError when the other side has closed."""
        kind, message = _CONTINUATION, b""
        while True:
            whole, opcode, payload = self._receive()
            if opcode == _CLOSE:
                if not self._closing:
                    self._send(_CLOSE, payload[:2])
                raise SocketClosedError(*_close_of(payload))
            if opcode == _PING:
                self._send(_PONG, payload)
            elif opcode != _PONG:
                kind = kind or opcode
                message += payload
                if whole:
                    return message.decode() if kind == _TEXT else message

    def __iter__(self) -> Iterator[str | bytes]:
        """The messages up to the close."""
        while True:
            try:
                yield self.receive()
            except SocketClosedError:
                return

    def close(self, code: int = 1000, reason: str = "") -> tuple[int, str]:
        """Close it and return what the other side says to that; messages that still come are dropped."""
        self._closing = True
        self._send(_CLOSE, struct.pack(">H", code) + reason.encode())
        try:
            while True:
                self.receive()
        except SocketClosedError as closed:
            return closed.code, closed.reason

    def leave(self) -> None:
        """End the connection without a word, as where the network is gone; a receive in another thread ends."""
        hang_up(self._connection, self._response)

    def _send(self, opcode: int, payload: bytes) -> None:
        if self._connection.sock is None:
            raise ConnectionError("sending to a WebSocket: the client has left")
        length = len(payload)
        if length < 126:
            head = struct.pack(">BB", 0x80 | opcode, 0x80 | length)
        elif length < 1 << 16:
            head = struct.pack(">BBH", 0x80 | opcode, 0x80 | 126, length)
        else:
            head = struct.pack(">BBQ", 0x80 | opcode, 0x80 | 127, length)
        # A mask of zeros is one, too, and leaves the payload as it is.
        self._connection.sock.sendall(head + bytes(4) + payload)

    def _receive(self) -> tuple[bool, int, bytes]:
        first, second = self._take(2)
        length = second & 0x7F
        if length == 126:
            (length,) = struct.unpack(">H", self._take(2))
        elif length == 127:
            (length,) = struct.unpack(">Q", self._take(8))
        return bool(first & 0x80), first & 0x0F, self._take(length)

    def _take(self, count: int) -> bytes:
        got = self._response.fp.read(count) if count else b""
        if len(got) < count:
            raise ConnectionError("receiving from a WebSocket: the connection ended without a close")
        return got

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave."""
        self.leave()


class AsyncSocket(Twin[SyncSocket]):
    """As SyncSocket, for a running loop."""

    send = awaited(SyncSocket.send)
    receive = awaited(SyncSocket.receive)
    close = awaited(SyncSocket.close)

    def __init__(self, blocking: SyncSocket) -> None:
        super().__init__(blocking)
        self.headers = blocking.headers
        self.subprotocol = blocking.subprotocol
        self.leave = blocking.leave

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        """The messages up to the close."""
        while True:
            try:
                yield await self.receive()
            except SocketClosedError:
                return


def _close_of(payload: bytes) -> tuple[int, str]:
    if len(payload) < 2:
        return _NO_CODE, ""
    return struct.unpack(">H", payload[:2])[0], payload[2:].decode(errors="replace")
