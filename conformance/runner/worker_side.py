"""A strict fake worker (or several): answers a gateway testee as the steps of a case say, and is its HTTP client."""

import asyncio
import re
import secrets

from .beats import Beats
from .bus import Bus, Message, token
from .cases import Case, FailedError, Step
from .client_steps import ClientSteps
from .frames import encode
from .judge import Talk, cost
from .match import differs, shown
from .patience import until
from .reading import FROM_GATEWAY, Frame, read
from .room_steps import RoomSteps
from .steps import Verbs, play
from .web import Upstream, error_of
from .worker_says import Session, Speaking, Worker

REPLY = r"v1\.h\.[A-Za-z0-9_-]+\.(0|[1-9]\d*)\.(0|[1-9]\d*)"


class WorkerSide(Speaking):
    """Plays the workers and the client in one case."""

    def __init__(self, case: Case, bus: Bus, place: str, group: str, address: str, upstream: Upstream) -> None:  # noqa: PLR0913
        super().__init__(bus)
        self.case, self.place, self.group = case, place, group
        self.prefix = case.config.get("prefix", "nylon")
        self.sessions: list[Session] = []
        self.stray: list[Frame] = []
        self.client = ClientSteps(place, address, upstream, self.wrong)
        self.client.streamed = lambda label: self.labels[label].streamed
        self.rooms = RoomSteps(bus, place, self.prefix, self.client.sockets)

    async def run(self) -> None:
        """Do the steps; FailedError when the testee does otherwise."""
        verbs: Verbs = {
            "join": self.join, "beats": self.beats, "expect": self.expect, "send": self.send,
            "silence": self.silence,
            "raw": self.raw, "batch": self.batch, "stray": self.expect_stray, "quit": self.quit, "pull": self.pull,
            "body": self.body, "many": self.many, "piece": self.piece, "flood": self.flood,
            "rest_of": self.rest_of, **self.client.verbs(), **self.rooms.verbs(),
        }  # fmt: skip
        try:
            await play(self.case, verbs, self.violations)
        finally:
            beats = [worker.beats.end() for worker in self.workers.values() if worker.beats is not None]
            # the verdict is there already, and a connection that broke on the way to it is part of it
            await asyncio.gather(*beats, return_exceptions=True)
            self.client.quit()

    # being a worker

    async def join(self, step: Step) -> None:
        """Subscribe like a worker; it beats unless `beats` is false."""
        name = step["join"]
        worker = self.workers[name] = Worker(f"{name}{secrets.token_hex(4)}")
        group = token(step.get("group", self.group))
        if step.get("queue", True):
            for entry in step.get("entries", ["filter", "other", "service"]):
                subject = f"{self.prefix}.v1.open.{group}.{token(entry)}"
                await self.bus.subscribe(subject, lambda one: self._arrived(one, name), queue=group)
        await self.bus.subscribe(f"{self.prefix}.v1.w.{group}.{worker.name}", lambda one: self._arrived(one, name))
        if step.get("beats", True):
            await self.beats({**step, "beats": name})

    async def beats(self, step: Step) -> None:
        """Beat from now on, with these differences; `"stop": true` ends it. Two beats are out when this returns."""
        worker = self.workers[step["beats"]]
        if worker.beats is not None:
            await worker.beats.end()
        if step.get("stop"):
            return
        group = step.get("group", self.group)
        names = step.get("entries", ["filter", "other", "service"])
        entries = [[entry, step.get("mask", 1), step.get("body_mode", 0)] for entry in names]
        worker.beat = {
            "v": 1, "group": group, "worker": worker.name, "load": 0, "limit": 1024, "entries": entries,
            "revision": None, "state": "Ready", "ext": {}, **step.get("beat", {}),
        }  # fmt: skip
        names_of = {name: one.name for name, one in self.workers.items()}
        subject = f"{self.prefix}.v1.beat.{token(group)}.{worker.name}"
        subject = step.get("subject", subject).format(group=token(self.group), **names_of)

        async def beat(number: int) -> None:
            await self.bus.publish(subject, encode("BEAT", {**worker.beat, "seq": number}))

        worker.beats = Beats(beat)
        await worker.beats.two_are_out()
        # the gateway reads beats on another connection than this one
        await asyncio.sleep(0.05)

    async def quit(self, step: Step) -> None:
        """A worker is gone without a word: no subscription, no beat."""
        worker = self.workers[step["quit"]]
        if worker.beats is not None and not step.get("beats"):
            await worker.beats.end()
        await self.bus.unsubscribe(f"{self.prefix}.v1.w.{token(self.group)}.{worker.name}")

    def _arrived(self, message: Message, name: str) -> None:
        try:
            for frame in read(message, FROM_GATEWAY):
                self._one(frame, name)
        except FailedError as error:
            self.violations.append(str(error))

    def _one(self, frame: Frame, name: str) -> None:
        found = next((one for one in self.sessions if one.talk.session == frame["session"]), None)
        if frame.name == "OPEN":
            if found is not None:
                raise FailedError("3.1: a session id is used for two opens")
            self._opened(frame, name)
        elif found is None:
            self.stray.append(frame)
        else:
            if found.worker and found.talk.accepted and found.worker != name:
                raise FailedError(f"9.9: {frame} of a session of {found.worker} came to {name}")
            found.talk.from_gateway(frame, self.bus.max_payload)
            asks = frame.name == "PROBE" or (frame.name == "PHASE" and frame["phase"] != "Logging")
            if asks and not frame.batched and frame.message.reply != found.reply:
                raise FailedError(f"10.1: {frame} has the reply subject {frame.message.reply!r}, not {found.reply}")
            found.frames.append(frame)

    def _opened(self, frame: Frame, name: str) -> None:
        values, message = frame.values, frame.message
        direct = ".v1.w." in message.subject
        if not re.fullmatch(re.escape(self.prefix) + r"\." + REPLY, values["reply"]):
            raise FailedError(f"10.1: reply {values['reply']!r} is no slot's subject")
        silent = values["phase"] == "Logging" and not message.reply
        if not frame.batched and not silent and message.reply != values["reply"]:
            raise FailedError(f"10.1: OPEN with the reply subject {message.reply!r}, in it {values['reply']!r}")
        if not direct and message.subject != f"{self.prefix}.v1.open.{token(self.group)}.{token(values['entry'])}":
            raise FailedError(f"2.1: OPEN of entry {values['entry']!r} on {message.subject}")
        if frame.batched and not direct:
            raise FailedError("4.11: a BATCH on an open subject")
        if values["seq"] or values["phase_seq"]:
            raise FailedError(f"6.1: OPEN with number {values['seq']}, run {values['phase_seq']}")
        if (values["response"] is None) != (values["phase"] == "RequestFilter"):
            raise FailedError(f"10.7: response {shown(values['response'])} in an OPEN of {values['phase']}")
        snapshot = values["snapshot"]
        if wrong := [one["name"] for one in snapshot["headers"] if one["name"] != one["name"].lower()]:
            raise FailedError(f"10.3: header names {wrong}")
        if not snapshot["path"].startswith("/") or not snapshot["request_id"] or not values["remaining_ms"]:
            raise FailedError(
                f"10.2: path {snapshot['path']!r}, id {snapshot['request_id']!r}, {values['remaining_ms']} ms"
            )
        talk = Talk(values["session"], values["generation"], phase=values["phase"], next_seq=1, direct=direct)
        talk.ran.append(values["phase"])
        talk.again = values["ext"].get("again") is True
        frame.values["via"] = "direct" if direct else "queue"
        subject = f"{self.prefix}.v1.w.{token(self.group)}.{self.workers[name].name}"
        self.sessions.append(Session(talk, values["reply"], name, subject, [frame]))

    # what the gateway must say

    async def expect(self, step: Step) -> None:
        """Wait for the next frame: an OPEN that nobody has looked at yet, or the next one of a session."""
        wanted, within = step["expect"], step.get("within", 3000)
        label = step.get("from", "a")
        asked = {key: value for key, value in step.items() if key not in ("expect", "from", "within", "to", "as")}
        if wanted == "OPEN":
            frame = await until(lambda: self._new(step.get("as", "a"), step.get("to")), within / 1000)
        else:
            of = self.labels[label]
            frame = await until(lambda: self._next(of, wanted), within / 1000)
        if frame is None:
            raise FailedError(f"expected {wanted}, seen nothing within {within} ms{self.wrong()}")
        if frame.name != wanted:
            raise FailedError(f"expected {wanted}, seen {frame}")
        if found := differs(asked, frame.values):
            raise FailedError(f"{wanted}: {found}")

    def _new(self, label: str, to: str | None) -> Frame | None:
        for session in self.sessions:
            if session not in self.labels.values() and to in (None, session.worker):
                self.labels[label] = session
                session.taken = 1
                return session.frames[0]
        return None

    @staticmethod
    def _next(of: Session, wanted: str) -> Frame | None:
        while of.taken < len(of.frames):
            frame = of.frames[of.taken]
            of.taken += 1
            if frame.name == wanted or frame.name not in ("PROBE", "CREDIT"):
                return frame
        return None

    async def silence(self, step: Step) -> None:
        """No frame but probes, and no open that nobody has looked at."""
        passed = {"PROBE", "CREDIT", *step.get("but", [])}

        def heard() -> Frame | None:
            of = [frame for one in self.sessions for frame in one.frames[one.taken :]]
            return next((frame for frame in [*of, *self.stray] if frame.name not in passed), None)

        if (frame := await until(heard, step["silence"] / 1000, patience=1)) is not None:
            raise FailedError(f"expected silence, seen {frame}")

    async def expect_stray(self, step: Step) -> None:
        """Wait for a frame of a session that is none of ours."""
        frame = await until(lambda: next((f for f in self.stray if f.name == step["stray"]), None), 3)
        if frame is None:
            raise FailedError(f"expected {step['stray']}, seen nothing{self.wrong()}")
        if found := differs({key: value for key, value in step.items() if key != "stray"}, frame.values):
            raise FailedError(f"{step['stray']}: {found}")
        self.stray.remove(frame)

    async def pull(self, step: Step) -> None:
        """Take the DATA of a fetched body, granting credit as it comes."""
        of, total = self.labels[step.get("from", "a")], 0
        while True:
            frame = await until(lambda: self._next(of, "DATA"), 3)
            if frame is None or frame.name != "DATA":
                raise FailedError(f"expected DATA, seen {frame} after {total} bytes{self.wrong()}")
            total += len(frame["bytes"])
            wanted = of.talk.socket.connection if of.talk.socket else step.get("id", 1)
            if frame["id"] != wanted:
                raise FailedError(f"12.1: DATA of call {frame['id']}, asked as {wanted}")
            if not frame["more"]:
                break
            paid = {"id": frame["id"], "bytes": cost(frame["bytes"])}
            await self.send({"send": "CREDIT", "to": step.get("from", "a"), **paid})
        if total != step["pull"]:
            raise FailedError(f"12.2: expected {step['pull']} bytes, seen {total}")

    async def rest_of(self, step: Step) -> None:
        """The rest of a fetched body for which the credit is there already."""
        of = self.labels[step.get("from", "a")]
        while (frame := await until(lambda: self._next(of, "DATA"), 3)) is not None and frame.name == "DATA":
            if not frame["more"]:
                return
        raise FailedError(f"expected the end of call {step['rest_of']}, seen {frame}{self.wrong()}")

    # a whole load

    async def many(self, step: Step) -> None:
        """So many requests after each other, answered as `say` says by whoever gets them; their statuses counted.

        With a `body` it is fetched each time, unless the open has brought it.
        """
        counts: dict[str, int] = {}
        body = step.get("body", "")
        for number in range(step["many"]):
            label = f"many{number}"
            await self.client.request({"request": label, "headers": step.get("headers", {}), "body": body})
            task = self.client.exchanges[label].task
            while not task.done():
                frame = self._new(f"{label}.{len(self.sessions)}", None)
                if frame is None:
                    await asyncio.sleep(0.002)
                    continue
                to = next(name for name, session in self.labels.items() if session.frames[0] is frame)
                reply = step["say"].get(self.labels[to].worker, step["say"].get("*"))
                if body and frame["body"] == body.encode():
                    counts["brought"] = counts.get("brought", 0) + 1
                elif body:
                    await self.send({"send": "FETCH", "to": to, "call_id": 1, "what": "RequestBody"})
                    await self.expect({"expect": "DATA", "from": to, "bytes": body})
                if frame["phase"] != "Logging":
                    await self.send({"send": "RESULT", **reply, "to": to})
            said = error_of(task.result()).get("error") or str(task.result().status)
            counts[said] = counts.get(said, 0) + 1
        opens = {f"opens_{name}": sum(one.worker == name for one in self.sessions) for name in self.workers}
        opens["opens"] = len(self.sessions)
        opens["slots"] = len({one.reply for one in self.sessions})
        if found := differs(step["like"], {**counts, **opens}):
            raise FailedError(f"{found}; all: {counts}, {opens}")
