"""A strict fake gateway: drives a worker testee as the steps of a case say."""

import json
import time
from typing import Any

from .bus import Bus, Message, token
from .cases import Case, FailedError, Step
from .gateway_says import Open, Opening
from .judge import cost
from .match import differs, shown
from .patience import until
from .programs import Program
from .reading import FROM_WORKER, Frame, read
from .steps import Verbs, play


class GatewaySide(Opening):
    """Plays the gateway in one case."""

    def __init__(self, case: Case, bus: Bus, program: Program, group: str, prefix: str = "nylon") -> None:
        super().__init__(bus, group, prefix)
        self.case, self.program = case, program
        self.stray: list[Frame] = []
        self.beats: list[Frame] = []
        self.violations: list[str] = []
        self._notes_from = len(program.notes)

    async def run(self) -> None:
        """Do the steps; FailedError when the testee does otherwise."""
        await self.bus.subscribe(f"{self.prefix}.v1.h.{self.name}.0.*", self._arrived)
        await self.bus.subscribe(f"{self.prefix}.v1.beat.{token(self.group)}.*", self._beat)
        if await until(lambda: self.worker or None, 20) is None:
            raise FailedError(f"19.1: no beat within 20 s{self._wrong()}")
        verbs: Verbs = {
            "open": self.open, "send": self.send, "batch": self.batch, "expect": self.expect, "silence": self.silence,
            "beat": self.beat, "note": self.note, "leave": self.leave, "signal": self.signal, "ask": self.ask,
            "warm": self.warm, "stray": self.expect_stray, "raw": self.raw, "exit": self.exit, "pull": self.pull,
            "wait_for": self.wait_for,
        }  # fmt: skip
        await play(self.case, verbs, self.violations)

    def _wrong(self) -> str:
        return f"; {self.violations[0]}" if self.violations else ""

    def _beat(self, message: Message) -> None:
        try:
            for frame in read(message, {"BEAT"}):
                if (token(frame["group"]), token(frame["worker"])) != tuple(message.subject.split(".")[-2:]):
                    raise FailedError(f"19.2: a beat of {frame['group']}/{frame['worker']} on {message.subject}")
                before = self.beats[-1] if self.beats else None
                if before is not None and frame["seq"] != before["seq"] + 1:
                    raise FailedError(f"19.1: beat {frame['seq']} after beat {before['seq']}")
                self.beats.append(frame)
                self.worker = frame["worker"]
        except FailedError as error:
            self.violations.append(str(error))

    def _arrived(self, message: Message) -> None:
        if message.status:
            self.stray.append(Frame("NoResponders", {}, message))
            return
        try:
            for frame in read(message, FROM_WORKER):
                self._one(frame)
        except FailedError as error:
            self.violations.append(str(error))

    def _one(self, frame: Frame) -> None:
        found = next((one for one in self.opens.values() if one.talk.session == frame["session"]), None)
        if found is None:
            self.stray.append(frame)
            return
        if not frame.batched and frame.message.subject != found.reply:
            raise FailedError(f"10.1: {frame} came to {frame.message.subject}, not to {found.reply}")
        found.talk.from_worker(frame, self.bus.max_payload)
        if (
            frame.name == "PROBE"
            and frame.message.reply != f"{self.prefix}.v1.w.{token(self.group)}.{token(self.worker)}"
        ):
            raise FailedError(f"17.1: PROBE with the reply subject {frame.message.reply!r}")
        if found.talk.worker and found.talk.worker != self.worker:
            raise FailedError(f"9.1: 'first' names worker {found.talk.worker}, its beats {self.worker}")
        found.frames.append(frame)

    # what the judge does

    async def warm(self, step: Step) -> None:
        """Open one session after the other until one is served."""
        for number in range(100):
            label = f"warm{number}"
            await self.open({"open": label, "entry": step["warm"], "plan": {}, "via": "queue"})
            of = self.opens[label]
            frame = await until(lambda of=of: self._next(of, "RESULT"), 5)
            if frame is not None and frame.name == "RESULT":
                return
        raise FailedError("the testee is not ready: every open is answered by BUSY")

    async def leave(self, step: Step) -> None:
        """Be gone, as a gateway that was killed."""
        await self.bus.unsubscribe(f"{self.prefix}.v1.h.{self.name}.0.*")

    async def signal(self, step: Step) -> None:
        """Send the testee a signal."""
        self.program.signal(step["signal"])

    # what the testee must say

    async def expect(self, step: Step) -> None:
        """Wait for the next frame of a session; ACCEPT, PROBE and CREDIT are passed over unless they are asked for."""
        wanted, of = step["expect"], self.opens[step.get("from", "a")]
        frame = await until(lambda: self._next(of, wanted), step.get("within", 3000) / 1000)
        if frame is None:
            raise FailedError(f"expected {wanted}, seen nothing within {step.get('within', 3000)} ms{self._wrong()}")
        if frame.name != wanted:
            raise FailedError(f"expected {wanted}, seen {frame}")
        asked = {key: value for key, value in step.items() if key not in ("expect", "from", "within")}
        seen = dict(frame.values)
        if isinstance(asked.get("first"), dict) and seen["first"] is None:
            # a slow machine sends ACCEPT first
            seen["first"] = of.talk.first
        if found := differs(asked, seen):
            raise FailedError(f"{wanted}: {found}")

    async def wait_for(self, step: Step) -> None:
        """The same, with any number of DATA (or what `but` names) before it: what a stream had credit for."""
        wanted, of, passed = step["wait_for"], self.opens[step.get("from", "a")], step.get("but", ["DATA"])
        while (frame := await until(lambda: self._next(of, wanted), step.get("within", 3000) / 1000)) is not None:
            if frame.name not in passed:
                break
        if frame is None or frame.name != wanted:
            raise FailedError(f"expected {wanted}, seen {frame}{self._wrong()}")
        if found := differs({key: value for key, value in step.items() if key in frame.values}, frame.values):
            raise FailedError(f"{wanted}: {found}")

    def _next(self, of: Open, wanted: str) -> Frame | None:
        while of.taken < len(of.frames):
            frame = of.frames[of.taken]
            of.taken += 1
            if frame.name == wanted or frame.name not in ("ACCEPT", "PROBE", "CREDIT"):
                return frame
        return None

    async def pull(self, step: Step) -> None:
        """Take the DATA of a long body, granting credit as it comes; it must be so many bytes."""
        of, total = self.opens[step.get("from", "a")], 0
        while total < step["pull"]:
            frame = await until(lambda: self._next(of, "DATA"), 3)
            if frame is None or frame.name != "DATA":
                raise FailedError(f"expected DATA, seen {frame} after {total} bytes{self._wrong()}")
            total += len(frame["bytes"])
            await self.send(
                {"send": "CREDIT", "to": step.get("from", "a"), "id": frame["id"], "bytes": cost(frame["bytes"])}
            )
        if total != step["pull"]:
            raise FailedError(f"expected {step['pull']} bytes, seen {total}")

    async def silence(self, step: Step) -> None:
        """Nothing but probes in this time, in no session; `but` names more that may come."""
        passed = {"PROBE", *step.get("but", [])}

        def heard() -> Frame | None:
            of = [frame for one in self.opens.values() for frame in one.frames[one.taken :]]
            return next((frame for frame in [*of, *self.stray] if frame.name not in passed), None)

        if (frame := await until(heard, step["silence"] / 1000, patience=1)) is not None:
            raise FailedError(f"expected silence, seen {frame}")

    async def expect_stray(self, step: Step) -> None:
        """Wait for a frame of no session of ours: the answer to something that nobody knows."""
        frame = await until(lambda: next((f for f in self.stray if f.name == step["stray"]), None), 3)
        if frame is None:
            raise FailedError(
                f"expected {step['stray']} to the reply subject, seen {shown([str(f) for f in self.stray])}"
            )
        if found := differs({key: value for key, value in step.items() if key != "stray"}, frame.values):
            raise FailedError(f"{step['stray']}: {found}")
        self.stray.remove(frame)

    async def beat(self, step: Step) -> None:
        """Wait for a beat that is like this; `count` of them within `within`."""
        count, start, seen = step.get("count", 1), len(self.beats), time.monotonic()

        def like() -> bool | None:
            found = [one for one in self.beats[start:] if differs(step["beat"], one.values) is None]
            return len(found) >= count or None

        if await until(like, step.get("within", 3000) / 1000) is None:
            last = self.beats[-1].values if self.beats else None
            raise FailedError(f"19: expected {count} beats like {step['beat']}, last seen {shown(last)}")
        if time.monotonic() - seen < step.get("at_least", 0) / 1000:
            raise FailedError(f"19.1: {count} beats within {time.monotonic() - seen:.2f} s")

    async def note(self, step: Step) -> None:
        """Wait for a note of the testee; `id` is the session's label here."""
        wanted = dict(step["note"])
        if wanted.get("id") in self.opens:
            wanted["id"] = self.opens[wanted["id"]].request_id

        def look() -> dict[str, Any] | None:
            notes = self.program.notes[self._notes_from :]
            return next((one for one in notes if differs(wanted, one) is None), None)

        if await until(look, step.get("within", 4000) / 1000) is None:
            raise FailedError(f"expected a note like {step['note']}, seen {shown(self.program.notes[-5:])}")

    async def ask(self, step: Step) -> None:
        """Ask the service protocol of NATS."""
        subject = step["ask"].format(name=step.get("name", self.group), id=self.worker)
        try:
            answer = await self.bus.ask(subject, 3)
        except Exception as error:  # noqa: BLE001  whatever nats-py calls it, nobody answered
            raise FailedError(f"2.5: asked {subject}: {error!r}") from None
        if found := differs(step["like"], json.loads(answer)):
            raise FailedError(f"2.5: {subject}: {found}")

    async def exit(self, step: Step) -> None:
        """Wait for the end of the testee's process."""
        status = await until(lambda: self.program.process.returncode, step.get("within", 8000) / 1000)
        if status != step["exit"]:
            raise FailedError(f"expected exit status {step['exit']}, seen {status}")
