"""Steps about WebSocket clients, in every case with a gateway."""

import struct
from typing import Any

from .cases import FailedError, Step
from .likeness import leveled
from .match import differs, shown
from .patience import until
from .socket_client import OPCODES, Heard, SocketClient, framed
from .steps import Verbs

UNASKED = ("hears", "within", "behind", "varies")


def bytes_of(step: Step) -> bytes:
    """`data` is text, `hex` bytes, `size` so many of a pattern."""
    if "hex" in step:
        return bytes.fromhex(step["hex"])
    return (
        step.get("data", "").encode() or (b"0123456789abcdef" * (step.get("size", 0) // 16 + 1))[: step.get("size", 0)]
    )


class SocketSteps:
    """The WebSocket clients of one case."""

    def __init__(self, place: str, address: str) -> None:
        self.place, self.address = place, address
        self.clients: dict[str, SocketClient] = {}
        # what has been looked at, in the order of the steps
        self.record: list[Any] = []

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
        self.keep(step, seen)
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
        self.keep(step, heard.seen())
        wanted = {"kind": "text", **{key: value for key, value in step.items() if key not in UNASKED}}
        if found := differs(wanted, heard.seen()):
            raise FailedError(f"heard: {found}; {shown(heard)}")

    def keep(self, step: Step, seen: dict[str, Any]) -> None:
        """Record what a step has looked at; `varies = true` says that no two runs see the same."""
        if not step.get("varies"):
            self.record.append(leveled(seen, self.place))

    def verbs(self) -> Verbs:
        """Every verb of a WebSocket client."""
        return {"dial": self.dial, "dialled": self.dialled, "says": self.says, "hears": self.hears}

    def leave(self) -> None:
        """Every client goes."""
        for client in self.clients.values():
            client.leave()
