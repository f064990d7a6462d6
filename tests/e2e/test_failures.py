"""Rules §7: each failure × balance mode, with real processes and with raw workers that misbehave.

`TABLE` is that table; `test_every_row_has_a_test` compares it with the names of the tests here.
"""

import signal
import socket
import sys
import threading
import time
from typing import Any

import pytest

from .conftest import Stage
from .support.gateway import Gateway
from .support.http import Answer, Client
from .support.patience import eventually
from .support.process import children
from .support.raw import ABORT, BUSY, ERROR, OPEN, Frame, RawWorker

BALANCE = ("auto", "queue", "least_loaded")
FILTER = [{"plugin": "tested", "entry": "filter"}]
AUTH = [{"plugin": "tested", "entry": "auth"}]

# row of rules §7 → the tests that break it for real
TABLE = {
    "no worker": ["no_worker"],
    "NATS down": ["nats_killed", "nats_absent_at_start"],
    "not accepted": ["not_accepted"],
    "handler over its deadline": ["handler_over_its_deadline"],
    "worker lost after accepting": ["worker_killed", "worker_stopped"],
    "handler raised": ["handler_raised"],
    "not understood": ["rubbish", "unknown_operation", "bad_status_or_header"],
    "every worker full": ["every_worker_full"],
    "request body beyond the limit": ["test_phases.a_body_beyond_the_limit_is_413"],
    "response body beyond the limit": ["response_body_beyond_the_limit"],
    "body filter failed": ["body_filter_failed"],
    "upstream": ["upstream_unreachable", "upstream_timeout", "upstream_cut"],
}


def test_every_row_has_a_test() -> None:
    from . import test_phases

    here = {**vars(sys.modules[__name__]), **{f"test_phases.{name}": 1 for name in vars(test_phases)}}
    for row, names in TABLE.items():
        for name in names:
            module, _, plain = name.rpartition(".")
            wanted = f"{module}.test_{plain}" if module else f"test_{plain}"
            assert wanted in here, f"{row}: {wanted} is missing"


def check(gateway: Gateway, answer: Answer, status: int, code: str) -> None:
    """Status, code, an id that is also in a header and in the log; nothing left behind."""
    assert (answer.status, answer.json["error"]) == (status, code), answer.body
    assert answer.json["status"] == status
    assert answer.json["id"] == answer.header("x-request-id")
    gateway.await_log(answer.json["id"])
    if status == 503:
        assert answer.header("retry-after") is not None
    eventually(gateway.idle, what="no slot left")


def nothing_passed(stage: Stage) -> None:
    assert stage.upstream.seen == [], "a request without a verdict reached the upstream"


@pytest.mark.parametrize("balance", BALANCE)
def test_no_worker(stage: Stage, balance: str) -> None:
    gateway = stage.gateway(chain=FILTER, plugin={"balance": balance})
    answer = gateway.get("/x")
    check(gateway, answer, 503, "PLUGIN_UNAVAILABLE")
    assert answer.seconds < 0.1
    nothing_passed(stage)


@pytest.mark.parametrize("balance", BALANCE)
def test_not_accepted(stage: Stage, balance: str) -> None:
    raw = stage.raw(lambda worker, frame, reply: None, beat=True)
    gateway = stage.gateway(chain=FILTER, plugin={"balance": balance})
    answer = gateway.get("/x")
    check(gateway, answer, 504, "PLUGIN_TIMEOUT")
    assert 0.2 < answer.seconds < 0.9
    assert len(raw.of(OPEN)) == 2
    nothing_passed(stage)


@pytest.mark.parametrize("balance", BALANCE)
def test_handler_over_its_deadline(stage: Stage, balance: str) -> None:
    worker = stage.worker()
    gateway = stage.gateway(
        chain=[{"plugin": "tested", "entry": "filter", "timeout": "300ms"}], plugin={"balance": balance}
    )
    answer = gateway.get("/x", X_Rf="hang", X_Id="deadline")
    check(gateway, answer, 504, "PLUGIN_TIMEOUT")
    assert 0.28 < answer.seconds < 0.6
    worker.wait_for(r'"hung": "request_filter", "cancelled": true')
    assert gateway.get("/x").status == 200


def test_a_coroutine_over_its_deadline_is_cancelled(either_stage: Stage) -> None:
    worker = either_stage.worker()
    gateway = either_stage.gateway(chain=[{"plugin": "tested", "entry": "slow", "timeout": "300ms"}])
    check(gateway, gateway.get("/x", X_Ms="5000", X_Id="late"), 504, "PLUGIN_TIMEOUT")
    worker.wait_for(r'"cancelled": "late"')
    nothing_passed(either_stage)


@pytest.mark.parametrize("balance", BALANCE)
def test_worker_killed(stage: Stage, balance: str) -> None:
    """Kill -9 while the handler runs: lost within a second, and the supervisor starts another."""
    worker = stage.worker()
    gateway = stage.gateway(chain=FILTER, plugin={"balance": balance})
    answers: list[Answer] = []
    thread = threading.Thread(target=lambda: answers.append(gateway.get("/x", X_Rf="hang", X_Id="kill")))
    thread.start()
    worker.wait_for(r'"hanging": "request_filter"')
    # until it has been accepted: what is not may be tried on another worker
    time_to_accept = time.monotonic() + 0.1
    eventually(lambda: time.monotonic() > time_to_accept, what="ACCEPT")
    killed = time.monotonic()
    kill_workers(worker.pid)
    thread.join()
    assert time.monotonic() - killed < 1.2
    check(gateway, answers[0], 503, "PLUGIN_LOST")
    nothing_passed(stage)
    eventually(lambda: gateway.get("/x").status == 200, what="the restarted worker")


def kill_workers(supervisor: int) -> None:
    """SIGKILL to the worker processes, not to their supervisor (or to the process itself if it has none)."""
    import os

    for pid in children(supervisor) or [supervisor]:
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("balance", BALANCE)
def test_worker_stopped(stage: Stage, balance: str) -> None:
    """SIGSTOP after accepting: no beats, so it is lost within a second; SIGCONT runs nothing old."""
    import os

    worker = stage.worker()
    gateway = stage.gateway(chain=[{"plugin": "tested", "entry": "slow"}], plugin={"balance": balance})
    answers: list[Answer] = []
    thread = threading.Thread(target=lambda: answers.append(gateway.get("/x", X_Ms="3000")))
    thread.start()
    eventually(lambda: gateway.metric("nylon_slots_in_use") == 1, what="the open")
    accepted = time.monotonic() + 0.15
    eventually(lambda: time.monotonic() > accepted, what="ACCEPT")
    pids = children(worker.pid) or [worker.pid]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    thread.join()
    check(gateway, answers[0], 503, "PLUGIN_LOST")
    late = gateway.get("/x", X_Ms="0")
    assert late.status in (503, 504)
    seen = len(stage.upstream.seen)
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    eventually(lambda: gateway.get("/x", X_Ms="0").status == 200, what="the worker is used again")
    assert seen == 0


@pytest.mark.parametrize("balance", BALANCE)
@pytest.mark.parametrize("how", ["raise", "exit"])
def test_handler_raised(stage: Stage, balance: str, how: str) -> None:
    worker = stage.worker()
    gateway = stage.gateway(chain=FILTER, plugin={"balance": balance})
    answer = gateway.get("/x", X_Rf=how)
    check(gateway, answer, 500, "PLUGIN_ERROR")
    assert "asked to raise" not in answer.body.decode()
    worker.wait_for(answer.json["id"])
    nothing_passed(stage)
    assert gateway.get("/x").status == 200


def test_a_response_filter_that_raises_is_passed_over_by_default(either_stage: Stage) -> None:
    either_stage.worker()
    gateway = either_stage.gateway(chain=[{"plugin": "tested", "entry": "decorate"}])
    assert gateway.get("/status/201").header("x-decorated") == "yes"
    answer = gateway.get("/status/201", X_Pf="raise")
    assert answer.status == 201
    assert answer.header("x-decorated") is None
    eventually(gateway.idle, what="no slot left")


def test_a_response_filter_that_raises_fails_where_asked(either_stage: Stage) -> None:
    either_stage.worker()
    gateway = either_stage.gateway(chain=[{"plugin": "tested", "entry": "filter", "on_error": "fail"}])
    check(gateway, gateway.get("/status/201", X_Pf="raise"), 500, "PLUGIN_ERROR")


def test_a_request_filter_that_raises_is_passed_over_where_asked(either_stage: Stage) -> None:
    either_stage.worker()
    gateway = either_stage.gateway(chain=[{"plugin": "tested", "entry": "filter", "on_error": "continue"}])
    assert gateway.get("/status/200", X_Rf="raise").status == 200


@pytest.mark.parametrize("how", ["bad_status", "bad_header"])
def test_bad_status_or_header(stage: Stage, how: str) -> None:
    """The SDK refuses them where they are set; a raw worker that sends them all the same is refused here."""

    def answer(worker: RawWorker, frame: Frame, reply: str) -> None:
        bad: list[Any] = [102, 99] if how == "bad_status" else [100, "x-bad", b"a\r\nInjected: yes"]
        if frame[0] == OPEN:
            worker.next(frame, bad)

    stage.raw(answer)
    gateway = stage.gateway(chain=FILTER)
    check(gateway, gateway.get("/x"), 502, "PLUGIN_PROTOCOL")
    nothing_passed(stage)


@pytest.mark.parametrize("balance", BALANCE)
@pytest.mark.parametrize("payload", [b"", b"\xc1", b"GET / HTTP/1.1\r\n", b"\x95\x07"])
def test_rubbish(stage: Stage, balance: str, payload: bytes) -> None:
    def answer(worker: RawWorker, frame: Frame, reply: str) -> None:
        if frame[0] == OPEN:
            worker.publish(reply, payload)

    stage.raw(answer, beat=True)
    gateway = stage.gateway(chain=FILTER, plugin={"balance": balance})
    check(gateway, gateway.get("/x"), 502, "PLUGIN_PROTOCOL")
    nothing_passed(stage)


def test_unknown_operation(stage: Stage) -> None:
    stage.raw(lambda worker, frame, reply: worker.next(frame, [499, "x"]) if frame[0] == OPEN else None)
    gateway = stage.gateway(chain=FILTER)
    check(gateway, gateway.get("/x"), 502, "PLUGIN_PROTOCOL")
    nothing_passed(stage)


@pytest.mark.parametrize("header", [{"generation": 77}, {"session": b"0123456789abcdef"}])
def test_an_answer_for_another_session_counts_for_nothing(stage: Stage, header: dict[str, Any]) -> None:
    def answer(worker: RawWorker, frame: Frame, reply: str) -> None:
        if frame[0] == OPEN:
            worker.next(frame, reply=reply, **header)

    raw = stage.raw(answer)
    gateway = stage.gateway(chain=FILTER)
    check(gateway, gateway.get("/x"), 504, "PLUGIN_TIMEOUT")
    eventually(lambda: raw.of(ABORT), what="ABORT(stale) to the worker")
    nothing_passed(stage)


def test_a_worker_of_another_group_attracts_no_open(stage: Stage) -> None:
    """It announces our entries with no load at all, under its own group's subject and under a name of ours."""
    raw = stage.raw(
        lambda worker, frame, reply: worker.next(frame) if frame[0] == OPEN else None, group="foreign", beat=True
    )
    stage.worker()
    gateway = stage.gateway(chain=AUTH)
    for _ in range(50):
        assert gateway.get("/x").status == 401
    assert raw.of(OPEN) == []


@pytest.mark.parametrize("balance", BALANCE)
def test_every_worker_full(stage: Stage, balance: str) -> None:
    def answer(worker: RawWorker, frame: Frame, reply: str) -> None:
        if frame[0] == OPEN:
            worker.send(frame, worker.worker, 1, 1000, {}, kind=BUSY)

    raw = stage.raw(answer, beat=True)
    gateway = stage.gateway(chain=FILTER, plugin={"balance": balance})
    answered = gateway.get("/x")
    check(gateway, answered, 503, "PLUGIN_BUSY")
    assert answered.seconds < 0.2
    # the retry, and no third one; the logging phase is told as well
    assert len([frame for frame in raw.of(OPEN) if frame[8] == 1]) <= 2
    nothing_passed(stage)


def test_a_draining_worker_is_retried_elsewhere(stage: Stage) -> None:
    def answer(worker: RawWorker, frame: Frame, reply: str) -> None:
        if frame[0] == OPEN:
            worker.send(frame, worker.worker, 2, 0, {}, kind=BUSY)

    stage.raw(answer)
    stage.worker()
    gateway = stage.gateway(chain=AUTH)
    for _ in range(30):
        assert gateway.get("/x", Authorization="Bearer secret").status == 200


def test_an_error_frame_is_an_error(stage: Stage) -> None:
    def answer(worker: RawWorker, frame: Frame, reply: str) -> None:
        if frame[0] == OPEN:
            worker.send(frame, None, "handler_error", "no", "log1", worker.first, {}, kind=ERROR)

    stage.raw(answer)
    gateway = stage.gateway(chain=FILTER)
    check(gateway, gateway.get("/x"), 500, "PLUGIN_ERROR")
    nothing_passed(stage)


def test_nats_killed(own_stage: Stage) -> None:
    worker = own_stage.worker()
    gateway = own_stage.gateway(chain=AUTH)
    assert gateway.get("/x", Authorization="Bearer secret").status == 200
    own_stage.nats.kill()
    eventually(lambda: gateway.get("/x").status == 503, what="503 without NATS")
    answer = gateway.get("/x")
    check(gateway, answer, 503, "PLUGIN_UNAVAILABLE")
    assert answer.seconds < 0.1
    own_stage.nats.start()
    eventually(
        lambda: gateway.get("/x", Authorization="Bearer secret").status == 200, what="both reconnected", seconds=20
    )
    assert worker.returncode is None


def test_nats_killed_while_a_handler_runs(own_stage: Stage) -> None:
    own_stage.worker()
    gateway = own_stage.gateway(chain=[{"plugin": "tested", "entry": "slow"}])
    answers: list[Answer] = []
    thread = threading.Thread(target=lambda: answers.append(gateway.get("/x", X_Ms="4000")))
    thread.start()
    eventually(lambda: gateway.metric("nylon_slots_in_use") == 1, what="the open")
    accepted = time.monotonic() + 0.15
    eventually(lambda: time.monotonic() > accepted, what="ACCEPT")
    own_stage.nats.kill()
    thread.join()
    check(gateway, answers[0], 503, "PLUGIN_LOST")
    assert answers[0].seconds < 2
    nothing_passed(own_stage)


def test_nats_absent_at_start(own_stage: Stage) -> None:
    own_stage.nats.kill()
    gateway = own_stage.gateway(chain=AUTH, ready=False)
    check(gateway, gateway.get("/x"), 503, "PLUGIN_UNAVAILABLE")
    worker = own_stage.worker(wait=False)
    own_stage.nats.start()
    eventually(
        lambda: gateway.get("/x", Authorization="Bearer secret").status == 200, what="connected late", seconds=20
    )
    assert worker.returncode is None


def test_client_gone_cancels_the_handler(either_stage: Stage) -> None:
    """Gone after 20 ms with a handler of 5 s: cancelled by 100 ms, and nobody's failure (rules §3, §16)."""
    worker = either_stage.worker()
    gateway = either_stage.gateway(chain=[{"plugin": "tested", "entry": "slow"}])

    def cancelled_after(name: str) -> float:
        """From the request to the handler's cancellation: both read the machine's clock."""
        host, _, port = gateway.address.rpartition(":")
        begun = time.monotonic()
        with socket.create_connection((host, int(port))) as impatient:
            impatient.sendall(f"GET /x HTTP/1.1\r\nHost: a\r\nX-Ms: 5000\r\nX-Id: {name}\r\n\r\n".encode())
            worker.wait_for(rf'"slow": "{name}"')
            eventually(lambda: time.monotonic() - begun > 0.02, what="20 ms")
        at = worker.wait_for(rf'"cancelled": "{name}", "at": ([0-9.]+)')[1]
        eventually(gateway.idle, what="no slot left")
        return float(at) - begun

    # whatever else runs on the machine can only make it longer
    taken: list[float] = []
    while not taken or (min(taken) > 0.1 and len(taken) < 20):
        taken.append(cancelled_after(f"gone{len(taken)}"))
    assert min(taken) <= 0.1, taken
    nothing_passed(either_stage)


def test_client_gone_still_logs(either_stage: Stage) -> None:
    worker = either_stage.worker()
    gateway = either_stage.gateway(chain=FILTER)
    impatient = Client(gateway.address, seconds=0.2)
    with pytest.raises(TimeoutError):
        impatient.get("/slow/2000", X_Id="left")
    impatient.close()
    found = worker.wait_for(r"NOTE (.*\"id\": \"left\".*)")
    assert '"error": null' not in found[1]


def test_response_body_beyond_the_limit(either_stage: Stage) -> None:
    either_stage.worker()
    gateway = either_stage.gateway(chain=FILTER, plugin={"max_body_bytes": 65536})
    for path in ("bytes", "chunked"):
        check(gateway, gateway.get(f"/{path}/200000"), 502, "BODY_TOO_LARGE")


def test_a_body_filter_is_not_lost_with_a_response_filter_that_failed(either_stage: Stage) -> None:
    """The handler's session is over, so its body filter cannot run: that must not pass for a filtered body."""
    either_stage.worker()
    gateway = either_stage.gateway(chain=FILTER)
    check(gateway, gateway.get("/status/201", X_Pf="raise"), 502, "PLUGIN_ERROR")


@pytest.mark.parametrize("how", ["raise", "exit"])
def test_body_filter_failed(either_stage: Stage, how: str) -> None:
    either_stage.worker()
    gateway = either_stage.gateway(chain=FILTER)
    answer = gateway.get("/bytes/1000", X_Bf=how)
    assert answer.status == 502
    assert answer.json["error"] == "PLUGIN_ERROR"
    eventually(gateway.idle, what="no slot left")


def test_logging_that_fails_harms_nobody(either_stage: Stage) -> None:
    either_stage.worker()
    gateway = either_stage.gateway(chain=FILTER)
    for _ in range(5):
        assert gateway.get("/x", X_Lf="raise").status == 200
    eventually(gateway.idle, what="no slot left")


def test_upstream_unreachable(stage: Stage) -> None:
    # port 9 of loopback: nobody listens
    gateway = stage.gateway(service={"endpoints": [{"ip": "127.0.0.1", "port": 9}]})
    check(gateway, gateway.get("/x"), 502, "UPSTREAM_UNREACHABLE")


def test_upstream_timeout(stage: Stage) -> None:
    gateway = stage.gateway(service={"timeouts": {"head": "200ms"}})
    answer = gateway.get("/slow/3000")
    check(gateway, answer, 504, "UPSTREAM_TIMEOUT")
    assert answer.seconds < 1


def test_upstream_cut(stage: Stage) -> None:
    """Broken after the head: the client must not take it for whole."""
    gateway = stage.gateway()
    with pytest.raises((OSError, Exception)) as raised:
        gateway.get("/cut/1000")
    assert "IncompleteRead" in repr(raised.value) or isinstance(raised.value, OSError)
    eventually(gateway.idle, what="nothing in flight")
