"""What a fake gateway says to a worker: frames as they should be, or wrong on purpose."""

import json
import secrets
from dataclasses import dataclass, field

from .bus import Bus, token
from .cases import Step
from .forms import body_of, now, response_of
from .frames import NUMBERS, Values, encode, plain
from .judge import Talk
from .msgpack import pack, widest
from .reading import Frame

LATER = [[1, 1.5], "a later element"]


@dataclass
class Open:
    """What the judge has opened."""

    talk: Talk
    reply: str
    plan: str | None
    sent: int = 1
    frames: list[Frame] = field(default_factory=list[Frame])
    taken: int = 0
    rest: bytes = b""
    # the testee's notes name it: other cases talk to the same process
    request_id: str = ""


class Opening:
    """The half of the fake gateway that speaks."""

    def __init__(self, bus: Bus, group: str, prefix: str) -> None:
        self.bus, self.group, self.prefix = bus, group, prefix
        self.name = f"judge{secrets.token_hex(4)}"
        self.opens: dict[str, Open] = {}
        self.worker = ""
        self._gathered: list[tuple[str, bytes, str]] | None = None

    async def open(self, step: Step) -> None:
        """OPEN, through the queue group or directly."""
        label = step["open"]
        slot = len(self.opens)
        talk = Talk(secrets.token_bytes(16), secrets.randbits(31), label, phase=step.get("phase", "RequestFilter"))
        talk.credit = step.get("credit", 32768)
        plan = json.dumps(step["plan"]) if "plan" in step else step.get("payload")
        entry = step.get("entry", "plan")
        request: Values = {
            "method": "GET", "scheme": "http", "host": "shop.example", "port": 0, "path": "/", "query": "",
            "params": [], "headers": [], "client_ip": "192.0.2.1", "timestamp_ms": 1_760_000_000_123,
            "content_length": None, "tls": False, "websocket": False, "request_id": "", "attributes": {},
            **step.get("request", {}),
        }  # fmt: skip
        request["request_id"] = request["request_id"] or f"{label}-{secrets.token_hex(4)}"
        request["headers"] = [[name, value.encode()] for name, value in request["headers"]]
        revision = step.get("revision")
        values: Values = {
            "session": talk.session, "generation": talk.generation, "seq": 0, "phase_seq": 0, "v": 1,
            "reply": f"{self.prefix}.v1.h.{self.name}.0.{slot}", "entry": entry, "phase": talk.phase,
            "remaining_ms": step.get("remaining_ms", 8000), "mono_ms": now() - step.get("age_ms", 0),
            "snapshot": request, "payload": None if plan is None else plan.encode(),
            "revision": None if revision is None else [revision["hash"].encode(), revision["loaded_ms"]],
            "credit": talk.credit, "more": step.get("more", False),
            "body": body_of(step), "response": response_of(step.get("response")),
            "ext": {"again": True} if step.get("again") else {}, **step.get("set", {}),
        }  # fmt: skip
        talk.again = step.get("again", False)
        self.opens[label] = Open(talk, values["reply"], plan, request_id=request["request_id"])
        if step.get("more"):
            # what the worker fetches as the rest is the whole frame
            self.opens[label].rest = encode("OPEN", {**values, "more": False})
            values |= {"snapshot": {**request, "headers": []}, "payload": None}
        subject = f"{self.prefix}.v1.open.{token(self.group)}.{token(entry)}"
        if step.get("via", "direct") == "direct":
            subject = self._direct()
        await self._publish(subject, "OPEN", values, step, values["reply"])

    async def send(self, step: Step) -> None:
        """Send a later frame of a session; `seq`, `phase_seq`, `generation` and `session` may be wrong on purpose."""
        name, to = step["send"], self.opens[step.get("to", "a")]
        talk = to.talk
        if name == "PHASE":
            talk.phase_seq += 1
            talk.phase, talk.again = step["phase"], step.get("again", False)
        counted = name not in ("PROBE", "ABORT")
        values: Values = {
            "session": secrets.token_bytes(16) if step.get("session") == "unknown" else talk.session,
            "generation": step.get("generation", talk.generation),
            "seq": step.get("seq", to.sent if name != "ABORT" else 0),
            "phase_seq": step.get("phase_seq", talk.phase_seq),
            **{key: value for key, value in step.items() if key not in ("send", "to", "text_bytes", "again")},
        }
        values["session"] = secrets.token_bytes(16) if step.get("session") == "unknown" else talk.session
        if counted and "seq" not in step:
            to.sent += 1
        if name == "PHASE":
            plan = json.dumps(step["plan"]) if "plan" in step else to.plan
            values |= {
                "remaining_ms": step.get("remaining_ms", 8000), "mono_ms": now(), "body": body_of(step),
                "payload": None if plan is None else plan.encode(),
                "response": response_of(step.get("response", {})),
                "ext": {"again": True} if step.get("again") else {},
            }  # fmt: skip
        if name == "DATA":
            values["bytes"] = to.rest if step.get("rest") else body_of(step) or b""
        if name == "CREDIT":
            talk.credit += step["bytes"]
        if step.get("id") in ("stream", "call"):
            # ids are the worker's to choose (12.4)
            asked_for = talk.socket.waiting if talk.socket else talk.asked_for
            values["id"] = talk.stream if step["id"] == "stream" else (asked_for or [0])[-1]
        if step.get("call_id") == "call" and talk.socket:
            values["call_id"] = talk.socket.waiting[-1]
        talk.asked = bool(talk.over) and name in ("PHASE", "PROBE")
        if talk.socket is not None and name == "WS_OPEN":
            talk.socket.state, talk.socket.connection = "open", step["connection_id"]
        if talk.socket is not None and name == "WS_CLOSED":
            talk.socket.state = "closed"
        if name == "ERROR" and step.get("code") == "not_websocket":
            talk.socket = None
        await self._publish(self._direct(), name, values, step, to.reply if name in ("PHASE", "PROBE") else "")
        if name in ("ABORT", "CLOSE") and step.get("session") != "unknown":
            talk.over = name

    async def batch(self, step: Step) -> None:
        """Send what these steps send as one BATCH."""
        self._gathered = []
        for one in step["batch"]:
            await (self.open(one) if "open" in one else self.send(one) if "send" in one else self.raw(one))
        gathered, self._gathered = self._gathered, None
        reply = next((one[2] for one in gathered if one[2]), "")
        data = encode("BATCH", {"frames": [one[1] for one in gathered], "ext": {}})
        await self.bus.publish(gathered[0][0], data, reply)

    async def raw(self, step: Step) -> None:
        """Send these bytes to the direct subject; with a session the first five elements can be read."""
        data = bytes.fromhex(step["raw"])
        to = self.opens.get(step.get("to", ""))
        if to is not None:
            header = [to.talk.session, to.talk.generation, to.sent, to.talk.phase_seq]
            data = pack([step["type"], *header, *step.get("rest", [])]) + data
            to.sent += 1
        reply = to.reply if to else f"{self.prefix}.v1.h.{self.name}.0.{len(self.opens)}"
        if self._gathered is not None:
            self._gathered.append((self._direct(), data, reply))
            return
        await self.bus.publish(self._direct(), data, reply)

    # forms

    def _direct(self) -> str:
        return f"{self.prefix}.v1.w.{token(self.group)}.{token(self.worker)}"

    async def _publish(self, subject: str, name: str, values: Values, step: Step, reply: str) -> None:
        items = plain(name, values)
        if step.get("later"):
            items[-1] = {"later": {"a": 1}}
            items += LATER
        if "cut" in step:
            items = items[: -step["cut"]]
        if "kind" in step and name != "DATA":
            items[0] = NUMBERS["FrameType"].get(step["kind"], step["kind"])
        data = widest(items) if step.get("wide") else pack(items)
        if self._gathered is None:
            await self.bus.publish(subject, data, reply)
        else:
            self._gathered.append((subject, data, reply))
