"""WebSockets to the gateway of a test."""

from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from http.client import HTTPConnection, HTTPResponse
from types import TracebackType
from typing import Any, NoReturn, Self

from wsproto.connection import CLIENT, Connection, ConnectionState
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, TextMessage
from wsproto.utilities import LocalProtocolError, generate_nonce

from nylon.testing.answers import SocketClosedError
from nylon.testing.streams import hang_up
from nylon.testing.threads import Twin, awaited

_PIECE = 1 << 16


def handshake(subprotocols: tuple[str, ...]) -> list[tuple[str, str]]:
    """Return the headers that ask for a WebSocket."""
    headers = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", generate_nonce().decode()),
    ]
    return [*headers, ("Sec-WebSocket-Protocol", ", ".join(subprotocols))] if subprotocols else headers


class SyncSocket:
    """The client's end of an open WebSocket. Pings are answered while it receives.

    `receive` and `close` raise ConnectionError where the connection ends without a close or what comes breaks RFC 6455,
    and TimeoutError if nothing comes for 30 s. The end of the block leaves, without a word unless it was closed.
    """

    def __init__(self, connection: HTTPConnection, response: HTTPResponse) -> None:
        self.headers = response.headers
        """Those of the 101."""
        self.subprotocol: str | None = response.headers["Sec-WebSocket-Protocol"]
        """The chosen one; None if there is none."""
        self._connection = connection
        self._response = response
        self._protocol = Connection(CLIENT)

    def send(self, message: str | bytes) -> None:
        """Send a text or a binary message. Raises OSError when the connection has ended."""
        self._send(TextMessage(message) if isinstance(message, str) else BytesMessage(message))

    def receive(self) -> str | bytes:
        """Return the next message, whole. Raises SocketClosedError when the other side has closed."""
        parts: list[Any] = []
        while True:
            event = self._next()
            if isinstance(event, Ping) and self._protocol.state is ConnectionState.OPEN:
                self._send(event.response())
            elif isinstance(event, CloseConnection):
                self._closed(event)
            elif isinstance(event, TextMessage | BytesMessage):
                parts.append(event.data)
                if event.message_finished:
                    return "".join(parts) if isinstance(event, TextMessage) else b"".join(parts)

    def __iter__(self) -> Iterator[str | bytes]:
        """The messages up to the close."""
        while True:
            try:
                yield self.receive()
            except SocketClosedError:
                return

    def close(self, code: int = 1000, reason: str = "") -> tuple[int, str]:
        """Close it and return what the other side says to that; messages that still come are dropped."""
        self._send(CloseConnection(code, reason))
        try:
            while True:
                self.receive()
        except SocketClosedError as closed:
            return closed.code, closed.reason

    def leave(self) -> None:
        """End the connection without a word, as where the network is gone; a receive in another thread ends."""
        hang_up(self._connection, self._response)

    def _send(self, event: Event) -> None:
        if self._connection.sock is None:
            raise ConnectionError("sending to a WebSocket: the client has left")
        try:
            frame = self._protocol.send(event)
        except LocalProtocolError as error:
            raise ConnectionError(f"sending to a WebSocket: {error}") from error
        self._connection.sock.sendall(frame)

    def _next(self) -> Event:
        while (event := next(self._protocol.events(), None)) is None:
            got = self._response.fp.read1(_PIECE)
            if not got:
                raise ConnectionError("receiving from a WebSocket: the connection ended without a close")
            self._protocol.receive_data(got)
        return event

    def _closed(self, event: CloseConnection) -> NoReturn:
        if self._protocol.state in (ConnectionState.OPEN, ConnectionState.LOCAL_CLOSING):
            raise ConnectionError(f"receiving from a WebSocket: {event.reason}, which is {event.code}")
        if self._protocol.state is ConnectionState.REMOTE_CLOSING:
            with suppress(OSError):  # it may have gone
                self._send(event.response())
        raise SocketClosedError(event.code, event.reason or "")

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
