"""Rules §7 in the phases after the request filter: each failure × phase × policy, the balance mode taken in turn.

One gateway serves all of it: a host per plugin, policy and deadline. Its workers are real, but where what is wrong is
an answer a raw worker of another group gives it.
"""

import itertools
import os
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .conftest import Stage
from .support.gateway import Gateway, Worker, configuration
from .support.http import Answer, Client, get
from .support.nats import NatsServer
from .support.patience import eventually
from .support.process import children
from .support.raw import ABORT, ACCEPT, END, NEXT, OPEN, PHASE, RESULT, Frame, RawWorker
from .support.upstream import Upstream

BALANCE = ("auto", "queue", "least_loaded")
STATUS = {
    "PLUGIN_ERROR": 500,
    "PLUGIN_TIMEOUT": 504,
    "PLUGIN_LOST": 503,
    "PLUGIN_PROTOCOL": 502,
}
# number on the wire and the header that asks tests/e2e/plugins/tested.py to misbehave
PHASES = {"response_filter": (2, "X-Pf"), "response_body_filter": (3, "X-Bf"), "logging": (4, "X-Lf")}
ANSWERED = ("response_filter", "response_body_filter")
# what an entry with all phases does; with a response filter only; without filters of the answer
KINDS: dict[str, dict[str, Any]] = {
    "default": {"entry": "filter"},
    "fail": {"entry": "filter", "on_error": "fail"},
    "lone": {"entry": "filter", "phases": ["request_filter", "response_filter"]},
    "watch": {"entry": "filter", "phases": ["request_filter", "logging"]},
}


@dataclass
class House:
    """The gateway with all its hosts, and the workers of the group `tested`."""

    nats: NatsServer
    gateway: Gateway
    worker: Worker

    def get(self, host: str, target: str, **headers: str) -> Answer:
        return self.gateway.get(target, Host=host, **headers)


def everything(nats: str, upstream: str) -> dict[str, Any]:
    """Hosts `<group>.<balance>.<kind>` with long deadlines, and `short.…` with 300 ms."""
    plugins = [
        {"name": f"{group}-{balance}", "type": "messaging", "messaging": "bus", "group": group, "balance": balance}
        for group in ("tested", "mortal", "raw")
        for balance in BALANCE
    ]
    routes: list[dict[str, Any]] = []
    for plugin, (kind, link), (prefix, timeout) in itertools.product(
        plugins, KINDS.items(), {"": "10s", "short.": "300ms"}.items()
    ):
        host = f"{prefix}{plugin['group']}.{plugin['balance']}.{kind}"
        chain = [{"plugin": plugin["name"], "timeout": timeout, **link}]
        paths = [{"path": ["/", "/{*path}"], "service": {"name": "upstream"}}]
        routes.append({"name": host, "route": {"type": "host", "value": host}, "middleware": chain, "paths": paths})
    config = configuration(nats, upstream)
    services = config["services"][:1]
    return {**config, "plugins": plugins, "services": services, "routes": routes}


@pytest.fixture(scope="module")
def house(shared_nats: NatsServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with Upstream() as upstream:
        config = everything(shared_nats.url, upstream.address)
        directory: Path = tmp_path_factory.mktemp("house")
        with Worker(shared_nats.url) as worker, Gateway(directory, config) as gateway:
            yield House(shared_nats, gateway, worker)


def at_rest(gateway: Gateway, answer: Answer) -> None:
    """Nothing is left of the request; what the gateway logged about a request names its id."""
    assert answer.header("x-request-id") or answer.status == 200
    eventually(gateway.idle, what="no slot left")
    for line in list(gateway.process.lines):
        if "running the" in line or "answering" in line:
            assert "id=" in line or '"id"' in line, line


def refused(gateway: Gateway, answer: Answer, phase: str, code: str) -> None:
    """The error answer of rules §7: a body filter's is 502 whatever the code."""
    status = 502 if phase == "response_body_filter" else STATUS[code]
    assert (answer.status, answer.json["error"]) == (status, code), answer.body
    assert answer.json["id"] == answer.header("x-request-id")
    assert (answer.header("retry-after") is not None) == (status == 503)
    gateway.await_log(answer.json["id"], code)
    # nothing of the answer that it replaces
    assert answer.header("x-upstream") is None
    assert answer.header("etag") is None
    at_rest(gateway, answer)


def unharmed(gateway: Gateway, answer: Answer, body: int) -> None:
    """The client got the upstream's answer."""
    assert (answer.status, len(answer.body)) == (200, body), answer.body
    assert answer.header("x-upstream") == "yes"
    at_rest(gateway, answer)


cases = pytest.mark.parametrize(
    ("phase", "kind", "balance"),
    [
        ("response_filter", "fail", "auto"),
        ("response_filter", "fail", "queue"),
        ("response_filter", "fail", "least_loaded"),
        # the handler's session is over with its response filter: its body filter must not be skipped for it
        ("response_filter", "default", "auto"),
        # passed over
        ("response_filter", "lone", "queue"),
        ("response_body_filter", "default", "auto"),
        ("response_body_filter", "default", "queue"),
        ("response_body_filter", "fail", "least_loaded"),
        # nobody waits for it
        ("logging", "default", "auto"),
        ("logging", "fail", "queue"),
        ("logging", "watch", "least_loaded"),
    ],
)


def outcome(gateway: Gateway, answer: Answer, case: tuple[str, str], code: str, body: int) -> None:
    """What a failure in this phase under this policy comes to."""
    phase, kind = case
    if phase == "logging" or kind == "lone":
        unharmed(gateway, answer, body)
    elif case == ("response_filter", "default"):
        refused(gateway, answer, "response_body_filter", code)
    else:
        refused(gateway, answer, phase, code)


@cases
@pytest.mark.parametrize("how", ["raise", "exit"])
def test_handler_raised(house: House, phase: str, kind: str, balance: str, how: str) -> None:
    before = len(house.worker.lines)
    answer = house.get(f"tested.{balance}.{kind}", "/bytes/1000", **{PHASES[phase][1]: how})
    outcome(house.gateway, answer, (phase, kind), "PLUGIN_ERROR", 1000)
    house.worker.wait_for(f"{phase}|SystemExit", after=before)
    assert b"asked to raise" not in answer.body


@cases
def test_handler_over_its_deadline(house: House, phase: str, kind: str, balance: str) -> None:
    before = len(house.worker.lines)
    answer = house.get(f"short.tested.{balance}.{kind}", "/bytes/1000", **{PHASES[phase][1]: "hang"})
    outcome(house.gateway, answer, (phase, kind), "PLUGIN_TIMEOUT", 1000)
    if phase == "logging":
        assert answer.seconds < 0.28
    else:
        assert 0.28 < answer.seconds < 0.8
    # its handler is told, also where nobody waits for it
    house.worker.wait_for(rf'"hung": "{phase}", "cancelled": true', after=before)


def between(house: House, phase: str, kind: str, balance: str, strike: Callable[[], None]) -> Answer:
    """A request whose worker is struck after the phase before `phase`."""
    host, entry = f"mortal.{balance}.{kind}", f"mortal-{balance}/filter"
    done = {"response_filter": 1, "response_body_filter": 2, "logging": 1 if kind == "watch" else 3}[phase]
    # the head comes late, or the body after it
    target = "/slow/700" if phase == "response_filter" else "/late/700"

    def finished() -> float:
        return house.gateway.metric("nylon_plugin_seconds_count", entry=entry, part="handler")

    before = finished()
    answers: list[Answer] = []
    thread = threading.Thread(target=lambda: answers.append(house.get(host, target)))
    thread.start()
    eventually(lambda: finished() >= before + done, what=f"the phase before {phase}")
    strike()
    thread.join()
    return answers[0]


between_cases = pytest.mark.parametrize(
    ("phase", "kind", "balance"),
    [
        ("response_filter", "fail", "auto"),
        ("response_filter", "default", "least_loaded"),
        ("response_filter", "lone", "queue"),
        ("response_body_filter", "default", "queue"),
        ("response_body_filter", "fail", "auto"),
        ("logging", "watch", "auto"),
        ("logging", "watch", "queue"),
    ],
)


@between_cases
def test_worker_killed_between_two_phases(house: House, phase: str, kind: str, balance: str) -> None:
    with Worker(house.nats.url, group="mortal") as worker:

        def kill() -> None:
            for pid in children(worker.pid):
                os.kill(pid, signal.SIGKILL)

        answer = between(house, phase, kind, balance, kill)
    outcome(house.gateway, answer, (phase, kind), "PLUGIN_LOST", 4)
    assert answer.seconds < 1.5


@between_cases
def test_worker_stopped_between_two_phases(house: House, phase: str, kind: str, balance: str) -> None:
    with Worker(house.nats.url, group="mortal") as worker:
        pids = children(worker.pid)

        def stop() -> None:
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)

        answer = between(house, phase, kind, balance, stop)
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        outcome(house.gateway, answer, (phase, kind), "PLUGIN_LOST", 4)
        # the wait for the upstream, and a second to miss the beats
        assert answer.seconds < 2.2
        eventually(lambda: house.get(f"mortal.{balance}.{kind}", "/x").status == 200, what="the worker is back")


def rubbish(worker: RawWorker, frame: Frame) -> None:
    worker.publish(worker.replies[frame[1]], b"\x95\x07")


def unknown_operation(worker: RawWorker, frame: Frame) -> None:
    worker.next(frame, [499, "x"])


def bad_header(worker: RawWorker, frame: Frame) -> None:
    worker.next(frame, [100, "x-bad", b"a\r\nInjected: yes"])


def an_end(worker: RawWorker, frame: Frame) -> None:
    worker.send(frame, [], END, worker.first, [0, 0], {}, kind=RESULT)


def old_generation(worker: RawWorker, frame: Frame) -> None:
    worker.next(frame, generation=frame[2] + 1)


def another_session(worker: RawWorker, frame: Frame) -> None:
    worker.next(frame, session=b"0123456789abcdef", reply=worker.replies[frame[1]])


def an_answer_too_many(worker: RawWorker, frame: Frame) -> None:
    worker.next(frame, seq=77)


WRONG: dict[Callable[[RawWorker, Frame], None], str] = {
    rubbish: "PLUGIN_PROTOCOL",
    unknown_operation: "PLUGIN_PROTOCOL",
    bad_header: "PLUGIN_PROTOCOL",
    an_end: "PLUGIN_PROTOCOL",
    # counts for nothing, so that the phase runs into its deadline
    old_generation: "PLUGIN_TIMEOUT",
    another_session: "PLUGIN_TIMEOUT",
    an_answer_too_many: "PLUGIN_LOST",
}


def test_what_the_matrix_has_in_common(house: House) -> None:
    """A raw worker that does everything right gets its answer through: the failures below are not its own."""
    with raw_worker(house, well_behaved) as raw:
        for balance in BALANCE:
            host = f"raw.{balance}.fail"
            eventually(lambda host=host: house.get(host, "/x").status == 200, what="the worker")
            unharmed(house.gateway, house.get(host, "/bytes/1000"), 1000)
        eventually(lambda: {frame[5] for frame in raw.of(PHASE)} == {2, 3, 4}, what="all phases")


IDS = itertools.count(1)


def raw_worker(house: House, answer: Callable[[RawWorker, Frame, str], None]) -> RawWorker:
    """With all phases, and an id of its own, as every start of a worker has."""
    return RawWorker(house.nats.url, answer, group="raw", worker=f"raw{next(IDS)}", beat=True, mask=15)


def well_behaved(worker: RawWorker, frame: Frame, reply: str) -> None:
    if frame[0] == OPEN or (frame[0] == PHASE and frame[5] != 4):
        worker.next(frame)


@cases
@pytest.mark.parametrize("wrong", WRONG, ids=[one.__name__ for one in WRONG])
def test_wrong_answer(
    house: House, phase: str, kind: str, balance: str, wrong: Callable[[RawWorker, Frame], None]
) -> None:
    def answer(worker: RawWorker, frame: Frame, reply: str) -> None:
        if frame[0] == PHASE and frame[5] == PHASES[phase][0]:
            wrong(worker, frame)
        else:
            well_behaved(worker, frame, reply)

    with raw_worker(house, answer) as raw:
        answered = house.get(f"short.raw.{balance}.{kind}", "/bytes/1000")
        outcome(house.gateway, answered, (phase, kind), WRONG[wrong], 1000)
        assert "Injected" not in dict(answered.headers)
        if wrong in (old_generation, another_session):
            eventually(lambda: raw.of(ABORT), what="ABORT(stale)")


def test_an_answer_of_an_earlier_phase_is_not_taken_for_a_later_one(house: House) -> None:
    """RESULT of the request filter twice, in order: the second one must not pass for the body filter's."""

    def answer(worker: RawWorker, frame: Frame, reply: str) -> None:
        if frame[0] == PHASE and frame[5] == 3:
            worker.send(frame, [], NEXT, worker.first, [0, 0], {}, kind=RESULT, phase=frame[4] - 1)
        else:
            well_behaved(worker, frame, reply)

    with raw_worker(house, answer):
        answered = house.get("short.raw.auto.default", "/bytes/1000")
        refused(house.gateway, answered, "response_body_filter", "PLUGIN_TIMEOUT")


def test_a_worker_that_falls_silent_before_its_first_beat_is_lost(house: House) -> None:
    """It took the session and says nothing more; no beat of it was ever heard that could be missed."""

    def accept(worker: RawWorker, frame: Frame, reply: str) -> None:
        if frame[0] == OPEN:
            worker.send(frame, worker.first, {}, kind=ACCEPT)

    with RawWorker(house.nats.url, accept, group="raw", worker="mute", mask=15):
        # until then nobody is there
        answers = [house.get("raw.queue.fail", "/x")]
        while answers[-1].json["error"] == "PLUGIN_UNAVAILABLE" and len(answers) < 200:
            answers.append(house.get("raw.queue.fail", "/x"))
    answer = answers[-1]
    assert (answer.status, answer.json["error"]) == (503, "PLUGIN_LOST"), answer.body
    assert answer.seconds < 1.3
    at_rest(house.gateway, answer)


def test_failures_of_logging_leave_the_connection_alone(house: House) -> None:
    client = Client(house.gateway.address)
    for how in ("raise", "exit", "raise"):
        answer = client.request("GET", "/bytes/10", headers={"Host": "tested.auto.default", "X-Lf": how})
        assert answer.status == 200
    client.close()
    eventually(house.gateway.idle, what="no slot left")


@pytest.mark.parametrize(
    ("phase", "kind"),
    [
        ("response_filter", "fail"),
        ("response_filter", "default"),
        ("response_filter", "lone"),
        ("response_body_filter", "default"),
    ],
)
def test_nats_killed_during_a_later_phase(own_stage: Stage, phase: str, kind: str) -> None:
    worker = own_stage.worker()
    gateway = own_stage.gateway(chain=[{"plugin": "tested", **KINDS[kind]}])
    answers: list[Answer] = []
    headers = {PHASES[phase][1]: "hang"}
    thread = threading.Thread(target=lambda: answers.append(gateway.get("/bytes/1000", **headers)))
    thread.start()
    worker.wait_for(rf'"hanging": "{phase}"')
    own_stage.nats.kill()
    thread.join()
    assert answers[0].seconds < 2
    outcome(gateway, answers[0], (phase, kind), "PLUGIN_LOST", 1000)


def test_nats_killed_before_logging(own_stage: Stage) -> None:
    """The answer goes out whole; the logging phase that cannot be sent is told in the log."""
    own_stage.worker()
    gateway = own_stage.gateway(chain=[{"plugin": "tested", **KINDS["watch"]}])
    answers: list[Answer] = []
    thread = threading.Thread(target=lambda: answers.append(get(gateway.address, "/late/500")))
    thread.start()
    eventually(lambda: len(own_stage.upstream.seen) == 1, what="the request at the upstream")
    own_stage.nats.kill()
    thread.join()
    unharmed(gateway, answers[0], 4)
    line = gateway.process.wait_for("a logging phase was not sent")
    assert "id=" in line.string
