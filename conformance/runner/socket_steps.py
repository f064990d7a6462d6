"""Steps about a WebSocket client and about rooms, for the cases of a gateway."""

import struct
from typing import Any

from .bus import Bus, Message, token
from .cases import FailedError, Step
from .match import differs, shown
from .patience import until
from .socket_client import OPCODES, Heard, SocketClient, framed

KINDS = {"text": 2, "binary": 3}
UNASKED = ("hears", "within", "behind")


def bytes_of(step: Step) -> bytes:
    """`data` is text, `hex` bytes, `size` so many of a pattern."""
    if "hex" in step:
        return bytes.fromhex(step["hex"])
    return (
        step.get("data", "").encode() or (b"0123456789abcdef" * (step.get("size", 0) // 16 + 1))[: step.get("size", 0)]
    )


class SocketSteps:
    """The clients and the rooms of one case."""

    def __init__(self, bus: Bus, place: str, address: str, prefix: str) -> None:
        self.bus, self.place, self.address, self.prefix = bus, place, address, prefix
        self.clients: dict[str, SocketClient] = {}
        self.rooms: dict[str, list[Message]] = {}

    async def dial(self, step: Step) -> None:
        """`{ dial = "c" }`: a handshake; headers that are "" are left out."""
        headers = {"host": f"{self.place}.test", "x-case": self.place, **step.get("headers", {})}
        reads = step.get("reads", True)
        self.clients[step["dial"]] = SocketClient(self.address, step.get("target", "/x"), headers, reads=reads)

    async def dialled(self, step: Step) -> None:
        """`{ dialled = "c", status = 101 }`: how the handshake was answered."""
        client = self.clients[step["dialled"]]
        answer = await until(lambda: client.answer, step.get("within", 3000) / 1000)
        if answer is None:
            raise FailedError(f"expected an answer to the handshake, seen {shown(client.heard)}")
        seen: dict[str, Any] = {"status": answer.status, "headers": answer.headers, "body": answer.body}
        wanted: dict[str, Any] = {"status": 101, **step}
        if found := differs({key: value for key, value in wanted.items() if key in seen}, seen):
            raise FailedError(f"handshake: {found}")
        if answer.status == 101 and answer.header("sec-websocket-accept") != client.accept:
            raise FailedError(f"14.3: Sec-WebSocket-Accept {answer.header('sec-websocket-accept')!r}")

    async def says(self, step: Step) -> None:
        """`{ says = "c", text = "…" }`; `fin`, `mask`, `bits` and `opcode` may be wrong on purpose."""
        options = {key: step[key] for key in ("fin", "mask", "bits") if key in step}
        kind, data = step.get("kind", "text"), bytes_of(step)
        if kind == "close" and "code" in step:
            data = struct.pack(">H", step["code"]) + step.get("reason", "").encode()
        frame = framed(step.get("opcode", OPCODES.get(kind, 1)), data, **options)
        self.clients[step["says"]].write(frame * step.get("times", 1))

    async def hears(self, step: Step) -> None:
        """`{ hears = "c", data = "…" }`: the next message, control frame or the end; `behind` any of kind `text`."""
        client = self.clients[step["hears"]]

        def following() -> Heard | None:
            while client.heard:
                heard = client.heard.pop(0)
                if heard.kind not in step.get("behind", ""):
                    return heard
            return None

        heard = await until(following, step.get("within", 3000) / 1000)
        if client.wrong:
            raise FailedError(client.wrong)
        if heard is None:
            raise FailedError("seen nothing")
        wanted = {"kind": "text", **{key: value for key, value in step.items() if key not in UNASKED}}
        if found := differs(wanted, heard.seen()):
            raise FailedError(f"heard: {found}; {shown(heard)}")

    async def hall(self, step: Step) -> None:
        """`{ hall = "name" }`: listen on a room's subject, as another gateway does."""
        into = self.rooms.setdefault(step["hall"], [])
        await self.bus.subscribe(self._room(step["hall"]), into.append)

    async def room_says(self, step: Step) -> None:
        """`{ room_says = "name", data = "…" }`: speak to a room, as another gateway does."""
        data = bytes([step.get("byte", KINDS[step.get("kind", "text")])]) + bytes_of(step)
        for _ in range(step.get("times", 1)):
            await self.bus.publish(self._room(step["room_says"]), data)

    async def room_feeds(self, step: Step) -> None:
        """`{ room_feeds = "name", to = "c", size = …, times = … }`: the same, no faster than one member takes it."""
        for _ in range(step["times"]):
            await self.room_says({"room_says": step["room_feeds"], "kind": "binary", "size": step["size"]})
            await self.hears({"hears": step["to"], "kind": "binary", "length": step["size"]})

    async def room_hears(self, step: Step) -> None:
        """`{ room_hears = "name", data = "…" }`: the next message on its subject."""
        into = self.rooms[step["room_hears"]]
        message = await until(lambda: into.pop(0) if into else None, 3)
        wanted = bytes([KINDS[step.get("kind", "text")]]) + bytes_of(step)
        if message is None or message.data != wanted:
            raise FailedError(f"14.12: expected {shown(wanted)} on the room's subject, seen {shown(message)}")

    def _room(self, name: str) -> str:
        return f"{self.prefix}.v1.room.{token(self.place)}.{token(name)}"

    def leave(self) -> None:
        """Every client goes."""
        for client in self.clients.values():
            client.leave()
