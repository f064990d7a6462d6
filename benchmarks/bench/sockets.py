"""A WebSocket client that costs little: raw sockets, frames of one size that are made once, one selector."""

from __future__ import annotations

import selectors
import socket
import struct
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from bench.processes import BenchError

HANDSHAKE = (
    "GET {} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
NUMBERS = struct.Struct(">II")
SIZE = 64
"""Bytes of a message: who has said it, the how many-th it is, and zeros."""
HEAD = bytes([0x82, 0x80 | SIZE, 0, 0, 0, 0])
FILL = bytes(SIZE - NUMBERS.size)


@dataclass
class Client:
    """One connection; numbers of what was sent and of what came back."""

    number: int
    socket: socket.socket
    rest: bytes = b""
    sent: int = 0
    heard: dict[int, int] = field(default_factory=dict[int, int])

    def say(self, count: int = 1) -> None:
        """Send the next messages in one piece; their mask is zero."""
        numbers = range(self.sent, self.sent + count)
        self.socket.sendall(b"".join([HEAD + NUMBERS.pack(self.number, number) + FILL for number in numbers]))
        self.sent += count

    def hear(self) -> Iterator[tuple[int, int]]:
        """Sender and number of every message that is here."""
        data = self.socket.recv(1 << 16)
        if not data:
            raise BenchError(f"the websocket {self.number} has ended")
        data = self.rest + data
        at = 0
        while len(data) - at >= 2 and len(data) - at >= 2 + data[at + 1]:
            if data[at] == 0x82 and data[at + 1] == SIZE:
                yield NUMBERS.unpack_from(data, at + 2)
            elif data[at] != 0x89:
                raise BenchError(f"the websocket {self.number}: unexpected frame {data[at : at + 40]!r}")
            at += 2 + data[at + 1]
        self.rest = data[at:]

    def first(self) -> tuple[int, int]:
        """Sender and number of the next message, behind whatever pings there are."""
        while True:
            for heard in self.hear():
                return heard

    def in_order(self, sender: int, number: int) -> bool:
        """Whether that message was the next one of its sender."""
        due = self.heard.get(sender, 0)
        self.heard[sender] = number + 1
        return number == due


def dial(port: int, target: str, number: int, *, greeted: bool = False) -> Client:
    """Open a WebSocket; with `greeted` its handler says `in` first."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(HANDSHAKE.format(target).encode())
    head = b""
    greeting = b"\x82\x02in" if greeted else b""
    while not head.partition(b"\r\n\r\n")[2].startswith(greeting) or b"\r\n\r\n" not in head:
        piece = connection.recv(4096)
        head += piece
        if not piece or not head.startswith(b"HTTP/1.1 101"[: len(head)]):
            raise BenchError(f"opening a websocket: {head[:100]!r}")
    return Client(number, connection, head.partition(b"\r\n\r\n")[2][len(greeting) :])


@contextmanager
def clients(ports: list[int], target: str, count: int, *, greeted: bool = False) -> Generator[list[Client]]:
    """So many WebSockets, over these gateways in turn."""
    with ExitStack() as stack:
        all_of_them: list[Client] = []
        for number in range(count):
            client = dial(ports[number % len(ports)], target, number, greeted=greeted)
            stack.enter_context(client.socket)
            all_of_them.append(client)
        yield all_of_them


@dataclass(frozen=True)
class Heard:
    """What came back: messages in so many seconds, and how many of them were not the next one of their sender."""

    messages: int
    seconds: float
    out_of_order: int
    client_cpu: float = 0.0
    """How much of a core the client used: near 1 it has measured itself."""

    @property
    def rate(self) -> float:
        """Messages a second."""
        return self.messages / self.seconds


def echo(port: int, target: str, connections: int, window: int, seconds: float) -> Heard:
    """Closed loop: every connection has `window` messages under way."""
    with clients([port], target, connections) as everybody, selectors.DefaultSelector() as selector:
        for client in everybody:
            selector.register(client.socket, selectors.EVENT_READ, client)
            client.say(window)
        messages = wrong = 0
        begun, used = time.monotonic(), time.process_time()
        while (now := time.monotonic()) < begun + seconds:
            for key, _ in selector.select(1):
                client: Client = key.data
                due = client.heard.get(client.number, 0)
                numbers = list(client.hear())
                wrong += numbers != [(client.number, due + one) for one in range(len(numbers))]
                client.heard[client.number] = due + len(numbers)
                messages += len(numbers)
                client.say(len(numbers))
        return Heard(messages, now - begun, wrong, (time.process_time() - used) / (now - begun))


def broadcast(ports: list[int], target: str, members: int, speakers: int, rounds: int) -> tuple[Heard, int]:
    """Some members speak, each round when everybody has the one before; what was heard, and how many were not."""
    due = members * speakers * rounds
    with clients(ports, target, members, greeted=True) as everybody, selectors.DefaultSelector() as selector:
        for client in everybody:
            selector.register(client.socket, selectors.EVENT_READ, client)
        messages = wrong = 0
        begun = quiet = time.monotonic()
        for turn in range(1, rounds + 1):
            for client in everybody[:speakers]:
                client.say()
            while messages < members * speakers * turn and time.monotonic() - quiet < 10:
                for key, _ in selector.select(1):
                    for sender, number in key.data.hear():
                        messages += 1
                        wrong += not key.data.in_order(sender, number)
                        quiet = time.monotonic()
        return Heard(messages, time.monotonic() - begun, wrong), due - messages
