"""What a fake worker says to a gateway: frames as they should be, or wrong on purpose."""

import secrets
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from .beats import Beats
from .bus import Bus
from .cases import FailedError, Step
from .frames import NUMBERS, Values, encode, plain
from .judge import Talk
from .msgpack import pack, widest
from .patience import until
from .reading import Frame
from .socket_judge import SocketTalk

WITH_FIRST = {"ACCEPT", "FETCH", "RESULT", "STREAM", "UPGRADE", "ERROR"}


@dataclass
class Session:
    """What a gateway has opened with us."""

    talk: Talk
    reply: str
    worker: str
    # of that worker
    subject: str
    frames: list[Frame]
    sent: int = 0
    taken: int = 0
    # bytes of its stream
    streamed: int = 0


@dataclass
class Worker:
    """One of our workers: what its beats say."""

    name: str
    beat: Values = field(default_factory=dict[str, Any])
    beats: Beats | None = None


class Speaking:
    """The half of the fake worker that speaks."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.labels: dict[str, Session] = {}
        self.workers: dict[str, Worker] = {}
        self.violations: list[str] = []
        self._gathered: list[tuple[str, bytes]] | None = None

    def wrong(self) -> str:
        """What the gateway has done wrong meanwhile, to be added to a text."""
        return f"; {self.violations[0]}" if self.violations else ""

    async def send(self, step: Step) -> None:
        """Send a frame of a session; header elements may be wrong on purpose."""
        name, to = step["send"], self.labels[step.get("to", "a")]
        talk, worker = to.talk, self.workers[to.worker]
        # whoever speaks in a session that is over may be told so (3.3)
        talk.asked = bool(talk.over)
        first = name in WITH_FIRST and not talk.accepted and step.get("first") != "nil"
        given = {key: value for key, value in step.items() if key not in ("send", "to", "first", "size", "text")}
        values: Values = {
            "generation": talk.generation, "seq": to.sent, "phase_seq": talk.phase_seq,
            "ops": [], "action": "Next", "worker": worker.name, "reason": "Full", "retry_after_ms": 0, "text": "why",
            "call_id": None, "code": "handler_error", "max_bytes": 10 << 20, "kind": "Body", "more": False,
            "id": talk.socket.connection if talk.socket else 5, "max_message_bytes": 1 << 20, "stream_id": 5,
            "outcome": "Ok", **given,
        }  # fmt: skip
        values["session"] = secrets.token_bytes(16) if step.get("session") == "unknown" else talk.session
        values["first"] = None
        if first:
            talk.credit = step.get("first", {}).get("credit", 32768)
            said: Values = {"worker": worker.name, "mask": 1, "body_mode": 0, "credit": talk.credit}
            values["first"] = {**said, **step.get("first", {})}
        if "ops" in step:
            values["ops"] = [self._operation(one) for one in step["ops"]]
        if name == "DATA":
            values["bytes"] = step.get("text", "").encode() or b"0123456789abcdef" * (step.get("size", 0) // 16)
        if name == "CREDIT":
            talk.credit += step["bytes"]
        if name == "FETCH":
            talk.asked_for.append(step["call_id"])
        if name == "UPGRADE":
            talk.socket = SocketTalk()
        if name == "WS_OP":
            number, *arguments = step["operation"]
            if number in (312, 313):
                arguments[1] = arguments[1].encode() * step.get("times", 1)
            elif number == 310:
                arguments[0] *= step.get("times", 1)
            values["operation"] = [number, *arguments]
            if talk.socket is not None and number not in (303, 311):
                talk.socket.waiting.append(step["call_id"])
        if name in ("ABORT", "BUSY"):
            values["seq"] = step.get("seq", 0)
        elif name != "PROBE" and "seq" not in step:
            to.sent += 1
        if first and step.get("session") != "unknown":
            talk.accepted, talk.mask = True, step.get("first", {}).get("mask", 1)
        if name in ("RESULT", "STREAM_END") or (name == "ERROR" and values["call_id"] is None):
            # a gateway may still say ABORT(protocol) or CLOSE; nothing else
            talk.answered.add(talk.phase_seq)
            talk.socket = None
        items = plain(name, values)
        if step.get("later"):
            items[-1] = {"later": {"a": 1}}
            items += [[1, 1.5], "a later element"]
        if "type" in step:
            items[0] = NUMBERS["FrameType"].get(step["type"], step["type"])
        data = widest(items) if step.get("wide") else pack(items)
        if self._gathered is not None:
            self._gathered.append((to.reply, data))
        else:
            await self.bus.publish(to.reply, data, reply=to.subject if name == "PROBE" else "")

    @staticmethod
    def _operation(one: list[Any]) -> list[Any]:
        """Header values and bodies are `bin`; in a case they stand as text."""
        number = one[0]
        if number in (100, 400, 402, 410):
            return [number, one[1], one[2].encode("latin-1") if isinstance(one[2], str) else one[2], *one[3:]]
        if number == 103:
            return [103, *([one[1].encode()] if one[1] != "nil" else [None, *one[2:]])]
        return one

    async def body(self, step: Step) -> None:
        """Send a body in DATA frames as the credit of the gateway allows, for operation 103 (13.5)."""
        to, left = self.labels[step.get("to", "a")], step["body"]
        credit, granted = step.get("credit", 32768), 0
        while left:
            piece = min(left, 16 * 1024)
            while credit < piece:
                frame = await until(partial(self._grant, to, granted), 3)
                if frame is None:
                    raise FailedError(f"12.6: expected CREDIT, seen nothing with {left} bytes to go{self.wrong()}")
                granted += 1
                credit += frame["bytes"]
            credit, left = credit - piece, left - piece
            more = {"send": "DATA", "to": step.get("to", "a"), "id": step.get("id", 9), "size": piece, "more": left > 0}
            await self.send(more)

    async def piece(self, step: Step) -> None:
        """A piece of a stream: text."""
        to = step.get("to", "a")
        self.labels[to].streamed += len(step["piece"])
        await self.send({"send": "DATA", "to": to, "kind": "Stream", "more": True, "text": step["piece"]})

    async def flood(self, step: Step) -> None:
        """Stream as the credit allows: to so many bytes, or until no grant comes any more, `until = "it stops"`."""
        label = step.get("to", "a")
        to, piece, stops = self.labels[label], 16 * 1024, step.get("until") == "it stops"
        credit, granted = step.get("credit", 32768), 0
        # messages of a websocket stand each for itself
        kind = {"kind": step["kind"], "more": False} if "kind" in step else {}
        while to.streamed < step["flood"]:
            while credit < piece:
                frame = await until(partial(self._grant, to, granted), 0.5 if stops else 3)
                if frame is None and stops:
                    return
                if frame is None:
                    raise FailedError(f"12.6: expected CREDIT, seen nothing after {to.streamed} bytes{self.wrong()}")
                granted += 1
                credit += frame["bytes"]
            credit -= piece
            to.streamed += piece
            await self.send({"send": "DATA", "to": label, "kind": "Stream", "more": True, "size": piece, **kind})
        if stops:
            raise FailedError(f"12.6: granted {to.streamed} bytes that the client has not taken")

    @staticmethod
    def _grant(to: Session, number: int) -> Frame | None:
        grants = [frame for frame in to.frames if frame.name == "CREDIT"]
        return grants[number] if len(grants) > number else None

    async def batch(self, step: Step) -> None:
        """Send what these steps send as one BATCH."""
        self._gathered = []
        for one in step["batch"]:
            await (self.raw(one) if "raw" in one else self.send(one))
        gathered, self._gathered = self._gathered, None
        await self.bus.publish(gathered[0][0], encode("BATCH", {"frames": [one[1] for one in gathered], "ext": {}}))

    async def raw(self, step: Step) -> None:
        """Send these bytes to the slot's subject."""
        to = self.labels[step.get("to", "a")]
        data = bytes.fromhex(step["raw"])
        if self._gathered is not None:
            self._gathered.append((to.reply, data))
        else:
            await self.bus.publish(to.reply, data)
