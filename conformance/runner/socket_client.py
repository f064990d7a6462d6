"""A WebSocket client of the judge's own: frames well formed, or wrong on purpose; nothing is answered by itself."""

import asyncio
import base64
import hashlib
import secrets
import struct
from dataclasses import dataclass
from typing import Any

from .web import Answer, head_of

OPCODES = {"continue": 0, "text": 1, "binary": 2, "close": 8, "ping": 9, "pong": 10}
NAMES = {number: name for name, number in OPCODES.items()}


@dataclass
class Heard:
    """A message put together, a control frame, or the end of the connection."""

    kind: str
    data: bytes = b""
    fragments: int = 1

    def seen(self) -> dict[str, Any]:
        """As a case names it."""
        if self.kind == "close":
            code = struct.unpack(">H", self.data[:2])[0] if self.data else 1005
            return {"kind": "close", "code": code, "reason": self.data[2:]}
        return {"kind": self.kind, "data": self.data, "length": len(self.data), "fragments": self.fragments}


def framed(opcode: int, data: bytes, *, fin: bool = True, mask: bool = True, bits: int = 0) -> bytes:
    """A frame of a client (RFC 6455, 5.2)."""
    size = len(data)
    head = bytes([(0x80 if fin else 0) | bits | opcode])
    length = bytes([size]) if size < 126 else struct.pack(">BH", 126, size) if size < 1 << 16 else b""
    length = length or struct.pack(">BQ", 127, size)
    if not mask:
        return head + length + data
    key = secrets.token_bytes(4)
    whole = int.from_bytes(data, "big") ^ int.from_bytes((key * (size // 4 + 1))[:size], "big")
    return head + bytes([length[0] | 0x80]) + length[1:] + key + whole.to_bytes(size, "big")


class SocketClient:
    """A handshake and what follows. `answer` is there when the handshake has been answered."""

    def __init__(self, address: str, target: str, headers: dict[str, str], *, reads: bool = True) -> None:
        self.answer: Answer | None = None
        self.heard: list[Heard] = []
        self.wrong = ""
        self.reads = asyncio.Event()
        if reads:
            self.reads.set()
        self._key = base64.b64encode(secrets.token_bytes(16)).decode()
        self._writer: asyncio.StreamWriter | None = None
        self.task = asyncio.ensure_future(self._run(address, target, headers))

    async def _run(self, address: str, target: str, headers: dict[str, str]) -> None:
        host, port = address.rsplit(":", 1)
        # a reader that is not read from stops the socket at twice its limit
        reader, self._writer = await asyncio.open_connection(host, int(port), limit=1 << 14)
        named = {
            "connection": "keep-alive, Upgrade", "upgrade": "websocket", "sec-websocket-version": "13",
            "sec-websocket-key": self._key, **headers,
        }  # fmt: skip
        lines = [f"GET {target} HTTP/1.1", *(f"{name}: {value}" for name, value in named.items() if value)]
        self._writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
        try:
            first, fields = await head_of(reader)
            answer = Answer(int(first.split(" ")[1]), fields)
            if answer.status != 101:
                answer.body = await reader.readexactly(int(answer.header("content-length") or "0"))
            self.answer = answer
            if answer.status == 101:
                await self._frames(reader)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.heard.append(Heard("end"))
        finally:
            # as clients do once the server has closed its side
            self._writer.close()

    async def _frames(self, reader: asyncio.StreamReader) -> None:
        whole: Heard | None = None
        while not self.wrong:
            await self.reads.wait()
            first, second = await reader.readexactly(2)
            length = second & 0x7F
            if length > 125:
                size = 2 if length == 126 else 8
                length = int.from_bytes(await reader.readexactly(size), "big")
            data = await reader.readexactly(length)
            kind = NAMES.get(first & 15)
            if first & 0x70 or second & 0x80 or kind is None:
                self.wrong = f"14.11: a frame that begins with {first:02x}{second:02x}"
            elif kind in ("close", "ping", "pong"):
                self.heard.append(Heard(kind, data))
            elif (kind == "continue") != (whole is not None):
                self.wrong = f"14.11: a frame of kind {kind}, but the message before is {whole}"
            else:
                whole = Heard(whole.kind, whole.data + data, whole.fragments + 1) if whole else Heard(kind, data)
                if first & 0x80:
                    self.heard.append(whole)
                    whole = None

    @property
    def accept(self) -> str:
        """What the answer to the handshake has to say (RFC 6455, 4.2.2)."""
        guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        return base64.b64encode(hashlib.sha1((self._key + guid).encode()).digest()).decode()

    def write(self, data: bytes) -> None:
        """Send bytes, frames or not."""
        assert self._writer is not None
        self._writer.write(data)

    def leave(self) -> None:
        """Go away without a close frame."""
        if self._writer is not None:
            self._writer.transport.abort()
        self.task.cancel()
