"""The Go SDK over NATS: a compiled worker behind a real gateway (sdk-api §1 and 2)."""

import hashlib
import json
import os
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from .conftest import Stage
from .support import go
from .support.http import Answer, request
from .support.patience import eventually

pytestmark = pytest.mark.skipif(not go.available(), reason="this machine has no Go")

FILTER = [{"plugin": "tested", "entry": "filter"}]
AUTH = [{"plugin": "tested", "entry": "auth"}]
Start = Callable[..., go.GoWorker]


@pytest.fixture
def worker(stage: Stage) -> Iterator[Start]:
    """Starts Go workers that end with the test."""
    binary = go.build("./internal/tested")
    with ExitStack() as stack:

        def start(**options: Any) -> go.GoWorker:
            return stack.enter_context(go.GoWorker(binary, stage.nats.url, **options))

        yield start


@pytest.mark.skipif(os.sched_getscheduler(0) != os.SCHED_OTHER, reason="who has another policy keeps it")
def test_its_threads_interrupt_no_gateway(worker: Start) -> None:
    threads = [int(task.name) for task in Path(f"/proc/{worker().pid}/task").iterdir()]
    assert {os.sched_getscheduler(thread) for thread in threads} == {os.SCHED_BATCH}


def notes(worker: go.GoWorker, **wanted: object) -> list[dict[str, Any]]:
    """What the plugin noted, those with these values."""
    found = [json.loads(match[1]) for line in list(worker.lines) if (match := re.search(r"NOTE (\{.*\})", line))]
    return [note for note in found if all(note.get(key) == value for key, value in wanted.items())]


def test_auth_refuses_and_passes(stage: Stage, worker: Start) -> None:
    worker()
    gateway = stage.gateway(chain=AUTH)
    refused = gateway.get("/x")
    assert (refused.status, refused.json) == (401, {"error": "unauthorized"})
    assert refused.header("www-authenticate") == "Bearer"
    assert stage.upstream.seen == []
    assert gateway.get("/x", Authorization="Bearer secret", X_Auth_User="mallory").status == 200
    (seen,) = stage.upstream.seen
    assert [value for name, value in seen.headers if name.lower() == "x-auth-user"] == ["alice"]


def test_state_survives_all_phases(stage: Stage, worker: Start) -> None:
    plugin = worker()
    gateway = stage.gateway(chain=FILTER)
    answer = gateway.get("/status/404", X_Id="one")
    assert answer.status == 404
    assert answer.header("x-trail") == "request,response"
    assert answer.header("x-seen-status") == "404"
    note = eventually(lambda: notes(plugin, id="one"), what="the logging phase")[0]
    assert note["trail"] == ["request", "response", "body", "logging"]
    assert (note["status"], note["bytes"], note["error"]) == (404, len(answer.body), None)
    eventually(gateway.idle, what="nothing left in the gateway")


def test_an_early_end_runs_the_later_phases_too(stage: Stage, worker: Start) -> None:
    plugin = worker()
    gateway = stage.gateway(chain=FILTER)
    answer = gateway.get("/x", X_End="418", X_Id="early", X_Upper="1")
    assert (answer.status, answer.body) == (418, b"ENDED")
    assert answer.header("content-type") == "text/plain; charset=utf-8"
    assert answer.header("x-trail") == "request,response"
    assert stage.upstream.seen == []
    assert eventually(lambda: notes(plugin, id="early"), what="the logging phase")[0]["status"] == 418


@pytest.mark.parametrize("size", [0, 1, 300_000, 5_000_000])
def test_body_filter_gets_the_whole_body(stage: Stage, worker: Start, size: int) -> None:
    worker()
    gateway = stage.gateway(chain=FILTER)
    answer = gateway.get(f"/chunked/{size}", X_Upper="1")
    assert answer.status == 200
    assert answer.header("content-length") == str(size)
    assert len(answer.body) == size
    assert answer.body == answer.body.upper()


@pytest.mark.parametrize("size", [0, 5, 100_000, 3_000_000])
def test_a_plugin_reads_the_body_and_the_upstream_still_gets_it(stage: Stage, worker: Start, size: int) -> None:
    worker()
    gateway = stage.gateway(chain=[{"plugin": "tested", "entry": "digest"}])
    body = b"ab" * (size // 2) + b"c" * (size % 2)
    digest = hashlib.sha256(body).hexdigest()
    # more than once: the gateway learns to bring a small body with the open
    for _ in range(5):
        answer = request(gateway.address, "POST", "/up", body=body)
        assert answer.status == 200
        assert answer.json["sha256"] == digest
        assert dict(answer.json["headers"])["x-digest"] == digest


def test_a_body_beyond_the_limit(stage: Stage, worker: Start) -> None:
    worker()
    gateway = stage.gateway(chain=[{"plugin": "tested", "entry": "digest"}], plugin={"max_body_bytes": 65536})
    answer = request(gateway.address, "POST", "/up", body=b"x" * 100_000)
    assert (answer.status, answer.json["error"]) == (413, "BODY_TOO_LARGE")
    assert stage.upstream.seen == []


def test_a_handler_hears_of_a_body_beyond_the_limit(stage: Stage, worker: Start) -> None:
    plugin = worker()
    gateway = stage.gateway(chain=[{"plugin": "tested", "entry": "reader"}], plugin={"max_body_bytes": 65536})
    answer = request(gateway.address, "POST", "/up", body=b"x" * 100_000, headers={"X-Id": "big"})
    assert answer.status == 413
    eventually(lambda: notes(plugin, id="big", unread="the body is longer than the limit"), what="the refused body")
    assert stage.upstream.seen == []


@pytest.mark.parametrize("size", [0, 50_000, 1_000_000, 10 * 1024 * 1024])
def test_a_plugin_answers_with_a_body_of_any_size(stage: Stage, worker: Start, size: int) -> None:
    worker()
    gateway = stage.gateway(chain=[{"plugin": "tested", "entry": "big"}])
    answer = gateway.get("/x", X_Size=str(size))
    assert answer.status == 200
    assert answer.body == b"0123456789" * (size // 10)


def test_kinds_of_answers(stage: Stage, worker: Start) -> None:
    worker()
    gateway = stage.gateway(chain=[{"plugin": "tested", "entry": "answers", "payload": {"n": 1, "s": ["x"]}}])
    redirect = gateway.get("/redirect")
    assert (redirect.status, redirect.header("location")) == (307, "/elsewhere")
    assert gateway.get("/html").header("content-type") == "text/html; charset=utf-8"
    assert gateway.get("/json?a=b").json == {"payload": {"n": 1, "s": ["x"]}, "query": "a=b"}
    assert gateway.get("/cookies").all("set-cookie") == ["a=1", "b=2"]
    assert gateway.get("/nojson").json["error"] == "PLUGIN_ERROR"
    streamed = gateway.get("/stream")
    assert (streamed.body, streamed.header("transfer-encoding")) == (b"streamed", "chunked")
    other = gateway.get("/other")
    assert other.all("x-one") == ["2"]
    assert other.header("content-length") == "0"


def test_a_plugin_service(stage: Stage, worker: Start) -> None:
    plugin = worker()
    gateway = stage.gateway()
    assert gateway.get("/plugin").json == {"pid": plugin.pid, "path": "/plugin"}


@pytest.mark.parametrize("how", ["raise", "exit"])
def test_a_panic_is_500_and_the_worker_lives(stage: Stage, worker: Start, how: str) -> None:
    plugin = worker()
    gateway = stage.gateway(chain=FILTER)
    answer = gateway.get("/x", X_Rf=how)
    assert (answer.status, answer.json["error"]) == (500, "PLUGIN_ERROR")
    assert stage.upstream.seen == []
    eventually(lambda: re.search(r"log_id=[0-9a-f]{12}", plugin.log), what="the worker's log line")
    assert gateway.get("/x").status == 200
    assert gateway.get("/x", X_Bf=how).status == 502
    assert gateway.get("/x", X_Lf=how).status == 200
    assert plugin.returncode is None
    eventually(gateway.idle, what="nothing left in the gateway")


def test_a_panic_in_a_response_filter_passes_the_answer_on(stage: Stage, worker: Start) -> None:
    worker()
    gateway = stage.gateway(chain=[{"plugin": "tested", "entry": "decorate"}])
    assert gateway.get("/x").header("x-decorated") == "yes"
    answer = gateway.get("/status/201", X_Pf="raise")
    assert (answer.status, answer.header("x-decorated")) == (201, None)


@pytest.mark.parametrize("what", ["bad_status", "bad_header"])
def test_illegal_changes_are_a_policy_failure(stage: Stage, worker: Start, what: str) -> None:
    worker()
    gateway = stage.gateway(chain=FILTER)
    answer = gateway.get("/x", X_Rf=what)
    assert (answer.status, answer.json["error"]) == (502, "PLUGIN_PROTOCOL")


def test_a_phase_may_end_after_its_callback(stage: Stage, worker: Start) -> None:
    plugin = worker()
    gateway = stage.gateway(chain=[{"plugin": "tested", "entry": "slow"}])
    # longer than ACCEPT (50 ms), than the accept timeout (250 ms), and than a probe of the gateway (1 s)
    for wait in ("0", "120", "1400"):
        assert gateway.get("/x", X_Ms=wait).status == 200
    assert [seen.header("x-auth-user") for seen in stage.upstream.seen] == ["slow"] * 3
    eventually(lambda: "nothing was called" in plugin.log, what="the warning about the slow one")


def test_a_handler_that_never_ends_its_phase(stage: Stage, worker: Start) -> None:
    plugin = worker()
    gateway = stage.gateway(chain=[{"plugin": "tested", "entry": "silent", "timeout": "1500ms"}])
    answer = gateway.get("/x")
    assert (answer.status, answer.json["error"]) == (504, "PLUGIN_TIMEOUT")
    assert "nothing was called" in plugin.log


def test_a_handler_over_its_deadline_is_cancelled(stage: Stage, worker: Start) -> None:
    plugin = worker()
    gateway = stage.gateway(chain=[{**FILTER[0], "timeout": "300ms"}])
    answer = gateway.get("/x", X_Rf="hang", X_Id="late")
    assert (answer.status, answer.json["error"]) == (504, "PLUGIN_TIMEOUT")
    eventually(lambda: notes(plugin, hung="request_filter", cancelled=True, id="late"), what="the cancelled handler")


def test_killing_a_worker_leaves_the_others(stage: Stage, worker: Start) -> None:
    first, second = worker(), worker()
    gateway = stage.gateway()

    def served() -> set[int]:
        return {gateway.get("/plugin").json["pid"] for _ in range(20)}

    eventually(lambda: served() == {first.pid, second.pid}, what="both workers serve")
    began = time.monotonic()
    lost = gateway.get("/plugin", X_Service="kill")
    assert (lost.status, lost.json["error"]) == (503, "PLUGIN_LOST")
    assert time.monotonic() - began < 1
    eventually(lambda: first.returncode is not None or second.returncode is not None, what="the end of the killed one")
    left = second if first.returncode is not None else first
    assert served() == {left.pid}


def test_sigterm_drains_without_a_failed_request(stage: Stage, worker: Start) -> None:
    leaving, staying = worker(), worker()
    gateway = stage.gateway(chain=[{"plugin": "tested", "entry": "slow"}])
    over = False

    def load(_: int) -> list[Answer]:
        answers: list[Answer] = []
        while not over:
            answers.append(gateway.get("/x", X_Ms="20"))
        return answers

    with ThreadPoolExecutor(8) as pool:
        running = pool.map(load, range(8))
        try:
            eventually(lambda: len(stage.upstream.seen) > 100, what="load")
            leaving.signal(signal.SIGTERM)
            eventually(lambda: leaving.returncode is not None, what="the end of the worker")
            seen = len(stage.upstream.seen)
            eventually(lambda: len(stage.upstream.seen) > seen + 100, what="load on the other worker")
        finally:
            over = True
        statuses = [answer.status for answers in running for answer in answers]
    assert set(statuses) == {200}
    assert leaving.returncode == -signal.SIGTERM
    assert notes(leaving, shutdown=True) == [{"shutdown": True}]
    assert "ended" in leaving.log
    assert staying.returncode is None


def test_sigterm_drains_every_plugin_of_a_process(stage: Stage, worker: Start) -> None:
    plugin = worker(env={"TESTED_SECOND_GROUP": "second"})
    second = {"name": "second", "type": "messaging", "messaging": "bus", "group": "second"}
    gateway = stage.gateway(chain=[{"plugin": "second", "entry": "slow"}], plugins=[second])
    assert gateway.get("/x").status == 200
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(gateway.get, "/x", X_Ms="700")
        eventually(lambda: gateway.metric("nylon_requests_in_flight") >= 1, what="the slow request runs")
        plugin.signal(signal.SIGTERM)
        assert running.result().status == 200
    eventually(lambda: plugin.returncode == -signal.SIGTERM, what="the end of the worker")
    assert plugin.log.count("nylon worker: ended") == 2


def test_config_reaches_initialize_and_again_after_a_reload(stage: Stage, worker: Start) -> None:
    plugin = worker(env={"TESTED_CONFIG": "1"})
    chain = [{"plugin": "tested", "entry": "configured"}]
    gateway = stage.gateway(chain=chain, plugin={"config": {"n": 1}})
    assert gateway.get("/x").json == {"n": 1}
    config = json.loads(gateway.path.read_text())
    config["plugins"][0]["config"] = {"n": 2}
    gateway.reload(config)
    eventually(lambda: gateway.get("/x").json == {"n": 2}, what="the new configuration")
    config["plugins"][0]["config"] = {"refuse": True}
    gateway.reload(config)
    eventually(
        lambda: gateway.get("/x").json == {"n": 2} and notes(plugin, initialize={"refuse": True}),
        what="the refused configuration",
    )
    assert gateway.get("/x").json == {"n": 2}


def test_a_config_of_the_workers_own_wins(stage: Stage, worker: Start) -> None:
    plugin = worker(env={"TESTED_CONFIG": "1", "TESTED_OWN_CONFIG": "yes"})
    eventually(lambda: notes(plugin, initialize={"own": "yes"}), what="Initialize before any request")
    gateway = stage.gateway(chain=[{"plugin": "tested", "entry": "configured"}], plugin={"config": {"n": 1}})
    assert gateway.get("/x").json == {"own": "yes"}
    assert len([note for note in notes(plugin) if "initialize" in note]) == 1


def test_a_first_initialize_that_fails_is_unavailable(stage: Stage, worker: Start) -> None:
    worker(env={"TESTED_CONFIG": "1"})
    gateway = stage.gateway(chain=[{"plugin": "tested", "entry": "configured"}], plugin={"config": {"refuse": True}})
    answer = gateway.get("/x")
    assert (answer.status, answer.json["error"]) == (503, "PLUGIN_UNAVAILABLE")


def test_opens_wait_for_a_slow_first_initialize(stage: Stage, worker: Start) -> None:
    worker(env={"TESTED_CONFIG": "1"})
    gateway = stage.gateway(chain=[{"plugin": "tested", "entry": "configured"}], plugin={"config": {"slow_ms": 700}})
    assert gateway.get("/x").json == {"slow_ms": 700}


def test_an_open_that_does_not_fit(stage: Stage, worker: Start) -> None:
    worker()
    payload = {"s": "x" * 1_200_000}
    gateway = stage.gateway(chain=[{"plugin": "tested", "entry": "answers", "payload": payload}])
    assert gateway.get("/json").json == {"payload": payload, "query": ""}


def test_the_example_protects_an_upstream(stage: Stage) -> None:
    """examples/nats-plugin-go as it stands, with the tokens of the configuration."""
    binary = go.build(".", module="examples/nats-plugin-go")
    plugin = {"name": "auth", "group": "auth_workers", "config": {"tokens": {"secret": "alice"}}}
    with go.GoWorker(binary, stage.nats.url, group="auth_workers") as worker:
        gateway = stage.gateway(
            chain=[{"plugin": "auth", "entry": "auth"}],
            plugins=[{**plugin, "type": "messaging", "messaging": "bus"}],
            route={"strip_headers": ["X-Auth-User"]},
        )
        refused = gateway.get("/x")
        assert (refused.status, refused.json) == (401, {"error": "unauthorized"})
        assert stage.upstream.seen == []
        assert gateway.get("/x", Authorization="Bearer secret", X_Auth_User="mallory").status == 200
        (seen,) = stage.upstream.seen
        assert [value for name, value in seen.headers if name.lower() == "x-auth-user"] == ["alice"]
        eventually(lambda: '"alice" GET /x 200' in worker.log, what="the logging phase")
        worker.signal(signal.SIGTERM)
        eventually(lambda: worker.returncode is not None, what="the end of the worker")
        assert gateway.get("/x", Authorization="Bearer secret").json["error"] == "PLUGIN_UNAVAILABLE"


def test_workers_in_go_and_python_share_a_group(stage: Stage, worker: Start) -> None:
    pids = {worker().pid}
    stage.worker()
    gateway = stage.gateway()
    eventually(lambda: {gateway.get("/plugin").json["pid"] for _ in range(20)} > pids, what="both serve")


def test_opens_that_are_too_old_do_not_run(stage: Stage, worker: Start) -> None:
    plugin = worker()
    gateway = stage.gateway(chain=[{**FILTER[0], "timeout": "300ms"}])
    assert gateway.get("/x", X_Id="before").status == 200
    plugin.signal(signal.SIGSTOP)
    assert gateway.get("/x", X_Id="stopped").status == 504
    plugin.signal(signal.SIGCONT)
    eventually(lambda: gateway.get("/x", X_Id="after").status == 200, what="the worker is back")
    eventually(lambda: notes(plugin, id="after"), what="the logging phase")
    assert not [note for note in notes(plugin, id="stopped") if "request" in note["trail"]]


def test_a_client_that_leaves_cancels_the_handler(stage: Stage, worker: Start) -> None:
    plugin = worker()
    gateway = stage.gateway(chain=FILTER)
    host, port = gateway.address.rsplit(":", 1)
    with socket.create_connection((host, int(port))) as client:
        client.sendall(b"GET /x HTTP/1.1\r\nHost: a\r\nX-Rf: hang\r\nX-Id: gone\r\n\r\n")
        eventually(lambda: notes(plugin, hanging="request_filter", id="gone"), what="the handler runs")
    eventually(lambda: notes(plugin, hung="request_filter", cancelled=True, id="gone"), what="the cancelled handler")
    eventually(lambda: [note for note in notes(plugin, id="gone") if note.get("error")], what="logging with the error")
    eventually(gateway.idle, what="nothing left in the gateway")


def test_a_worker_outlives_its_nats_server(own_stage: Stage) -> None:
    with go.GoWorker(go.build("./internal/tested"), own_stage.nats.url) as worker:
        gateway = own_stage.gateway()
        assert gateway.get("/plugin").status == 200
        own_stage.nats.kill()
        eventually(lambda: gateway.get("/plugin").status == 503, what="no NATS")
        own_stage.nats.start()
        eventually(lambda: gateway.get("/plugin").json.get("pid") == worker.pid, what="the worker is back")
