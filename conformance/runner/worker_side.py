"""A strict fake worker (or several): answers a gateway testee as the steps of a case say, and is its HTTP client."""

import asyncio
import re
import secrets
from collections.abc import Callable

from .bus import Bus, Message, token
from .cases import Case, FailedError, Step
from .frames import Values, encode
from .judge import FROM_GATEWAY, Frame, Talk, cost, read
from .match import differs, shown
from .patience import PATIENCE, until
from .socket_steps import SocketSteps
from .steps import Verbs, play
from .web import Answer, Exchange, Upstream, error_of
from .worker_says import Session, Speaking, Worker

REPLY = r"v1\.h\.[A-Za-z0-9_-]+\.(0|[1-9]\d*)\.(0|[1-9]\d*)"


class WorkerSide(Speaking):
    """Plays the workers and the client in one case."""

    def __init__(self, case: Case, bus: Bus, place: str, group: str, address: str, upstream: Upstream) -> None:  # noqa: PLR0913
        super().__init__(bus)
        self.case, self.place, self.group = case, place, group
        self.address, self.upstream = address, upstream
        self.prefix = case.config.get("prefix", "nylon")
        self.sessions: list[Session] = []
        self.exchanges: dict[str, Exchange] = {}
        self.answers: dict[str, Answer] = {}
        self.stray: list[Frame] = []
        self.sockets = SocketSteps(bus, place, address, self.prefix)
        self.mutate_answer: Callable[[Answer], Answer] = lambda answer: answer

    async def run(self) -> None:
        """Do the steps; FailedError when the testee does otherwise."""
        verbs: Verbs = {
            "join": self.join, "beats": self.beats, "request": self.request, "expect": self.expect, "send": self.send,
            "answer": self.answer, "silence": self.silence, "upstream": self.expect_upstream, "leave": self.leave,
            "raw": self.raw, "batch": self.batch, "stray": self.expect_stray, "quit": self.quit, "pull": self.pull,
            "body": self.body, "many": self.many, "piece": self.piece, "flood": self.flood, "sees": self.sees,
            "reads": self.reads, "rest_of": self.rest_of, "dial": self.sockets.dial, "dialled": self.sockets.dialled,
            "says": self.sockets.says, "hears": self.sockets.hears, "hall": self.sockets.hall,
            "room_says": self.sockets.room_says, "room_hears": self.sockets.room_hears,
            "room_feeds": self.sockets.room_feeds,
        }  # fmt: skip
        try:
            await play(self.case, verbs, self.violations)
        finally:
            beats = [worker.beats for worker in self.workers.values() if worker.beats is not None]
            for task in beats:
                task.cancel()
            await asyncio.gather(*beats, return_exceptions=True)
            for exchange in self.exchanges.values():
                exchange.leave()
            self.sockets.leave()

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
            worker.beats.cancel()
        if step.get("stop"):
            return
        group = step.get("group", self.group)
        names = step.get("entries", ["filter", "other", "service"])
        entries = [[entry, step.get("mask", 1), step.get("body_mode", 0)] for entry in names]
        worker.beat = {
            "v": 1, "group": group, "worker": worker.name, "load": 0, "limit": 1024, "entries": entries,
            "revision": None, "state": "Ready", "ext": {}, **step.get("beat", {}),
        }  # fmt: skip
        subject = step.get("subject", f"{self.prefix}.v1.beat.{token(group)}.{worker.name}")
        out = asyncio.Event()

        async def beat() -> None:
            for number in range(1 << 20):
                # cancelled in the middle of a flush nats-py loses its connection
                await asyncio.shield(self.bus.publish(subject, encode("BEAT", {**worker.beat, "seq": number})))
                if number == 1:
                    out.set()
                await asyncio.sleep(0.02 if number == 0 else 0.25)

        worker.beats = asyncio.ensure_future(beat())
        await out.wait()
        # the gateway reads beats on another connection than this one
        await asyncio.sleep(0.05)

    async def quit(self, step: Step) -> None:
        """A worker is gone without a word: no subscription, no beat."""
        worker = self.workers[step["quit"]]
        if worker.beats is not None and not step.get("beats"):
            worker.beats.cancel()
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

    # being a client

    async def request(self, step: Step) -> None:
        """Send a request."""
        body = step.get("body", "").encode() or b"0123456789abcdef" * (step.get("size", 0) // 16)
        headers = {"host": f"{self.place}.test", "x-case": self.place, **step.get("headers", {})}
        method = step.get("method", "POST" if body else "GET")
        exchange = Exchange(
            self.address, method, step.get("target", "/x"), headers, body, reads=step.get("reads", True)
        )
        self.exchanges[step["request"]] = exchange

    async def reads(self, step: Step) -> None:
        """A client that has read nothing begins to."""
        (self.exchanges.get(step["reads"]) or self.sockets.clients[step["reads"]]).reads.set()

    async def sees(self, step: Step) -> None:
        """What the client has so far, while its answer goes on: status, headers, the whole of the body yet."""
        exchange = self.exchanges[step["sees"]]
        wanted = {key: value for key, value in step.items() if key in ("status", "headers", "body")}

        def differing() -> str | None:
            answer = exchange.answer
            return differs(wanted, {"status": answer.status, "headers": answer.headers, "body": answer.body})

        if await until(lambda: differing() is None or None, step.get("within", 3000) / 1000) is None:
            raise FailedError(f"{differing()}; seen {shown(exchange.answer)}{self.wrong()}")
        if exchange.task.done():
            raise FailedError(f"expected an answer that goes on, seen its end: {shown(exchange.answer)}")

    async def leave(self, step: Step) -> None:
        """The client goes away."""
        (self.exchanges.pop(step["leave"], None) or self.sockets.clients[step["leave"]]).leave()

    async def answer(self, step: Step) -> None:
        """Wait for the client's answer."""
        label = step["answer"]
        limit = step.get("within", 3000) / 1000 * PATIENCE
        done, _ = await asyncio.wait([self.exchanges[label].task], timeout=limit + 2)
        if not done:
            raise FailedError(f"expected an answer, seen nothing within {limit + 2:.1f} s{self.wrong()}")
        answer = self.mutate_answer(self.exchanges[label].task.result())
        if answer.cut != step.get("cut", False):
            raise FailedError(f"expected {'a broken' if step.get('cut') else 'a whole'} answer, seen {shown(answer)}")
        seen: Values = {
            "status": answer.status,
            "headers": answer.headers,
            "body": answer.body,
            "length": len(answer.body),
            "trailers": answer.trailers,
        }
        wanted = {key: value for key, value in step.items() if key in seen}
        if found := differs(wanted, seen):
            raise FailedError(f"answer: {found}; body {shown(answer.body[:200])}")
        if "streamed" in step and len(answer.body) != self.labels[step["streamed"]].streamed:
            raise FailedError(f"14.1: streamed {self.labels[step['streamed']].streamed}, seen {len(answer.body)} bytes")
        if "error" in step:
            self._error(step, answer)
        if answer.seconds > limit or answer.seconds < step.get("at_least", 0) / 1000:
            raise FailedError(
                f"expected an answer within {step.get('within')} ms, seen after {answer.seconds * 1000:.0f} ms"
            )

    def _error(self, step: Step, answer: Answer) -> None:
        told = error_of(answer)
        if told.get("error") != step["error"] or told.get("status") != answer.status:
            raise FailedError(f"21.2: expected {step['error']}, seen {answer.status} {shown(answer.body[:200])}")
        if not told.get("id") or told["id"] != answer.header("x-request-id"):
            raise FailedError(
                f"21.2: id {told.get('id')!r} in the body, {answer.header('x-request-id')!r} in the header"
            )
        if (answer.status == 503) != (answer.header("retry-after") is not None):
            raise FailedError(f"21.1: status {answer.status} with Retry-After {answer.header('retry-after')!r}")

    async def expect_upstream(self, step: Step) -> None:
        """What reached the upstream in this case: so many, the last one like this."""
        seen = self.upstream.seen.get(self.place, [])
        if len(seen) != step["upstream"]:
            raise FailedError(f"24.6: expected {step['upstream']} requests at the upstream, seen {len(seen)}")
        if "like" in step and (found := differs(step["like"], seen[-1])):
            raise FailedError(f"upstream: {found}")

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
        """So many requests after each other, answered as `say` says by whoever gets them; their statuses counted."""
        counts: dict[str, int] = {}
        for number in range(step["many"]):
            label = f"many{number}"
            await self.request({"request": label, "headers": step.get("headers", {})})
            task = self.exchanges[label].task
            while not task.done():
                frame = self._new(f"{label}.{len(self.sessions)}", None)
                if frame is None:
                    await asyncio.sleep(0.002)
                    continue
                to = next(name for name, session in self.labels.items() if session.frames[0] is frame)
                reply = step["say"].get(self.labels[to].worker, step["say"].get("*"))
                if frame["phase"] != "Logging":
                    await self.send({"send": "RESULT", **reply, "to": to})
            said = error_of(task.result()).get("error") or str(task.result().status)
            counts[said] = counts.get(said, 0) + 1
        opens = {f"opens_{name}": sum(one.worker == name for one in self.sessions) for name in self.workers}
        opens["opens"] = len(self.sessions)
        if found := differs(step["like"], {**counts, **opens}):
            raise FailedError(f"{found}; all: {counts}, {opens}")
