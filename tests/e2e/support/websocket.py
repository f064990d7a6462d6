"""A WebSocket client that speaks the protocol byte by byte, well or badly as a test likes."""

import base64
import hashlib
import os
import socket
import struct
from types import TracebackType
from typing import Self

CONTINUE, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


class WebSocketClient:
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
        self.key = base64.b64encode(os.urandom(16)).decode() if key is None else key
        fields = {
            "Host": address,
            "Connection": "keep-alive, Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": self.key,
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        lines = [f"GET {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items() if value)]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())
        self._rest = b""
        head = b""
        while b"\r\n\r\n" not in head:
            more = self.socket.recv(65536)
            assert more, f"the connection ended after {head!r}"
            head += more
        head, _, self._rest = head.partition(b"\r\n\r\n")
        first, *rest = head.decode().split("\r\n")
        self.status = int(first.split()[1])
        self.headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in rest)}

    @property
    def expected_accept(self) -> str:
        guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        return base64.b64encode(hashlib.sha1((self.key + guid).encode()).digest()).decode()

    def frame(self, opcode: int, payload: bytes = b"", *, fin: bool = True, bits: int = 0, mask: bool = True) -> bytes:
        head = bytes([(0x80 if fin else 0) | bits | opcode])
        flag = 0x80 if mask else 0
        if len(payload) < 126:
            head += bytes([flag | len(payload)])
        elif len(payload) < 65536:
            head += bytes([flag | 126]) + struct.pack(">H", len(payload))
        else:
            head += bytes([flag | 127]) + struct.pack(">Q", len(payload))
        if not mask:
            return head + payload
        key = os.urandom(4)
        whole = int.from_bytes(payload, "big") ^ int.from_bytes((key * (len(payload) // 4 + 1))[: len(payload)], "big")
        return head + key + whole.to_bytes(len(payload), "big")

    def send(self, data: str | bytes) -> None:
        opcode, payload = (TEXT, data.encode()) if isinstance(data, str) else (BINARY, data)
        self.socket.sendall(self.frame(opcode, payload))

    def raw(self, *frames: bytes) -> None:
        self.socket.sendall(b"".join(frames))

    def _take(self, count: int) -> bytes:
        while len(self._rest) < count:
            more = self.socket.recv(1 << 20)
            if not more:
                raise EOFError(f"the connection ended; {self._rest!r} was left")
            self._rest += more
        taken, self._rest = self._rest[:count], self._rest[count:]
        return taken

    def body(self, length: int) -> bytes:
        """The body of an answer that is no 101."""
        return self._take(length)

    def next_frame(self) -> tuple[bool, int, bytes]:
        first, second = self._take(2)
        assert first & 0x70 == 0, "reserved bits"
        assert second & 0x80 == 0, "a server does not mask"
        length = second & 0x7F
        if length == 126:
            (length,) = struct.unpack(">H", self._take(2))
        elif length == 127:
            (length,) = struct.unpack(">Q", self._take(8))
        return bool(first & 0x80), first & 0x0F, self._take(length)

    def receive(self) -> str | bytes:
        """The next message, put together; a close frame is an error here."""
        whole, kind = b"", None
        while True:
            fin, opcode, payload = self.next_frame()
            if opcode == PING:
                self.raw(self.frame(PONG, payload))
                continue
            assert opcode != CLOSE, f"closed with {payload!r}"
            assert (opcode == CONTINUE) == (kind is not None), (opcode, kind)
            kind = opcode if kind is None else kind
            whole += payload
            if fin:
                return whole.decode() if kind == TEXT else whole

    def closed(self) -> tuple[int, str]:
        """Code and reason of the close frame, whatever comes before it; answers it, and the end must follow."""
        while True:
            _, opcode, payload = self.next_frame()
            if opcode == CLOSE:
                break
        code, reason = (struct.unpack(">H", payload[:2])[0], payload[2:].decode()) if payload else (1005, "")
        try:
            self.raw(self.frame(CLOSE, payload[:2]))
            while self.socket.recv(65536):
                pass
        except (BrokenPipeError, ConnectionResetError):
            pass  # it had nothing more to hear
        return code, reason

    def close(self, code: int = 1000, reason: str = "") -> tuple[int, str]:
        """The close handshake, begun by the client."""
        self.raw(self.frame(CLOSE, struct.pack(">H", code) + reason.encode()))
        return self.closed()

    def drop(self) -> None:
        """Go without a word."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()
