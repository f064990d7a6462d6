"""A WebSocket client that may also break the protocol, byte by byte."""

import os
import socket
import struct
from http.client import HTTPConnection

from wsproto.events import CloseConnection, Pong
from wsproto.utilities import generate_accept_token, generate_nonce

from nylon.testing import SocketClosedError
from nylon.testing.sockets import SyncSocket

CONTINUE, TEXT, BINARY, CLOSE, PING = 0, 1, 2, 8, 9


class WebSocketClient(SyncSocket):
    """A client whose handshake has been answered when the constructor returns; `status` says how."""

    def __init__(
        self, address: str, target: str = "/", *, key: str | None = None, receive: int | None = None, **headers: str
    ) -> None:
        host, _, port = address.rpartition(":")
        self.socket = socket.socket()
        if receive is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        self.socket.settimeout(15)
        self.socket.connect((host, int(port)))
        self.key = generate_nonce().decode() if key is None else key
        fields = {
            "Connection": "keep-alive, Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": self.key,
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        connection = HTTPConnection(address)
        connection.sock = self.socket
        connection.putrequest("GET", target, skip_accept_encoding=True)
        for name, value in fields.items():
            if value:
                connection.putheader(name, value)
        connection.endheaders()
        response = connection.getresponse()
        super().__init__(connection, response)
        self.status = response.status

    @property
    def expected_accept(self) -> str:
        return generate_accept_token(self.key.encode()).decode()

    def frame(self, opcode: int, payload: bytes = b"", *, fin: bool = True, bits: int = 0, mask: bool = True) -> bytes:
        """A frame, whether there is such a thing or not."""
        head = bytes([(0x80 if fin else 0) | bits | opcode])
        flag = 0x80 if mask else 0
        if len(payload) < 126:
            head += bytes([flag | len(payload)])
        else:
            head += bytes([flag | 126]) + struct.pack(">H", len(payload))
        if not mask:
            return head + payload
        key = os.urandom(4)
        return head + key + bytes(byte ^ key[index % 4] for index, byte in enumerate(payload))

    def raw(self, *frames: bytes) -> None:
        self.socket.sendall(b"".join(frames))

    def body(self) -> bytes:
        """The body of an answer that is no 101."""
        return self._response.read()

    def pong(self) -> bytes:
        """What comes next, which is the answer to a ping."""
        event = self._next()
        assert isinstance(event, Pong), event
        return bytes(event.payload)

    def closed(self) -> tuple[int, str]:
        """Code and reason of the close frame, whatever comes before it; answers it, and the end must follow."""
        try:
            while True:
                self.receive()
        except SocketClosedError as closed:
            try:
                while self._response.fp.read1(65536):
                    pass
            except ConnectionResetError:
                pass  # it had nothing more to hear
            return closed.code, closed.reason

    def close(self, code: int = 1000, reason: str = "") -> tuple[int, str]:
        """The close handshake, begun by the client."""
        self._send(CloseConnection(code, reason))
        return self.closed()

    def drop(self) -> None:
        """Go without a word, with a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._response.close()
        self.socket.close()
