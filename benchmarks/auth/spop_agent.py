"""The auth rule behind HAProxy, as an SPOP agent (SPOE protocol 2.0) on uvloop; by hand, as no library is kept up.

usage: spop_agent.py PORT
"""

import asyncio
import struct
import sys

import uvloop

TOKEN = b"Bearer secret"
HAPROXY_HELLO, HAPROXY_DISCONNECT, NOTIFY = 1, 2, 3
AGENT_HELLO, AGENT_DISCONNECT, ACK = 101, 102, 103
FIN = b"\x00\x00\x00\x01"
MAX_FRAME = 16380
T_UINT32, T_STRING = 3, 8


def varint(number: int) -> bytes:
    """SPOP's own variable-length integer: one byte below 240, then 4 bits and groups of 7."""
    if number < 240:
        return bytes([number])
    out = [(number | 240) & 255]
    number = (number - 240) >> 4
    while number >= 128:
        out.append((number | 128) & 255)
        number = (number - 128) >> 7
    out.append(number)
    return bytes(out)


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = data[at]
    at += 1
    if value < 240:
        return value, at
    shift = 4
    while True:
        byte = data[at]
        at += 1
        value += byte << shift
        if byte < 128:
            return value, at
        shift += 7


def text(value: bytes) -> bytes:
    return varint(len(value)) + value


def frame(kind: int, payload: bytes, stream: int = 0, number: int = 0) -> bytes:
    body = bytes([kind]) + FIN + varint(stream) + varint(number) + payload
    return struct.pack(">I", len(body)) + body


HELLO = frame(
    AGENT_HELLO,
    text(b"version") + bytes([T_STRING]) + text(b"2.0")
    + text(b"max-frame-size") + bytes([T_UINT32]) + varint(MAX_FRAME)
    + text(b"capabilities") + bytes([T_STRING]) + text(b"pipelining"),
)  # fmt: skip
BYE = frame(
    AGENT_DISCONNECT,
    text(b"status-code") + bytes([T_UINT32]) + varint(0) + text(b"message") + bytes([T_STRING]) + text(b"bye"),
)
# action set-var (1), three arguments, scope transaction (2)
ALLOW = bytes([1, 3, 2]) + text(b"user") + bytes([T_STRING]) + text(b"alice")


class Agent(asyncio.Protocol):
    def __init__(self) -> None:
        self.pending = b""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        data = self.pending + data
        at, out = 0, []
        while len(data) - at >= 4:
            length = int.from_bytes(data[at : at + 4], "big")
            if len(data) - at - 4 < length:
                break
            out.append(self.answer(data[at + 4 : at + 4 + length]))
            at += 4 + length
        self.pending = data[at:]
        if out and self.transport is not None:
            self.transport.write(b"".join(out))

    def answer(self, body: bytes) -> bytes:
        kind = body[0]
        if kind == NOTIFY:
            stream, at = read_varint(body, 5)
            number, at = read_varint(body, at)
            return frame(ACK, ALLOW if self.token(body, at) == TOKEN else b"", stream, number)
        if kind == HAPROXY_HELLO:
            return HELLO
        return BYE if kind == HAPROXY_DISCONNECT else b""

    @staticmethod
    def token(body: bytes, at: int) -> bytes:
        """The first argument of the first message; HAProxy sends null when the header is absent."""
        length, at = read_varint(body, at)  # message name
        at += length + 1  # and the number of arguments
        length, at = read_varint(body, at)  # argument name
        at += length
        if body[at] & 15 != T_STRING:
            return b""
        length, at = read_varint(body, at + 1)
        return body[at : at + length]


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Agent, "127.0.0.1", int(sys.argv[1]), backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
