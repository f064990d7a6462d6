"""All four phases, over NATS and in process: what each sees and what it changes (sdk-api §1.4 to 1.6, rules §6)."""

import hashlib
import json
import re

import pytest

from .conftest import Stage
from .support.gateway import Worker
from .support.http import request
from .support.patience import eventually

FILTER = [{"plugin": "tested", "entry": "filter"}]


@pytest.fixture
def stage(either_stage: Stage) -> Stage:
    return either_stage


def notes(worker: Worker, **wanted: object) -> list[dict[str, object]]:
    """What the plugin noted, those with these values."""
    found = [json.loads(match[1]) for line in list(worker.lines) if (match := re.search(r"NOTE (\{.*\})", line))]
    return [note for note in found if all(note.get(key) == value for key, value in wanted.items())]


def test_state_survives_all_phases(stage: Stage) -> None:
    worker = stage.worker()
    gateway = stage.gateway(chain=FILTER)
    answer = gateway.get("/status/404", X_Id="one")
    assert answer.status == 404
    assert answer.header("x-trail") == "request,response"
    assert answer.header("x-seen-status") == "404"
    note = eventually(lambda: notes(worker, id="one"), what="the logging phase")[0]
    assert note["trail"] == ["request", "response", "body", "logging"]
    assert note["status"] == 404
    assert note["bytes"] == len(answer.body)
    assert note["error"] is None


@pytest.mark.parametrize("status", [200, 201, 302, 404, 503])
def test_upstream_status_arrives_unchanged(stage: Stage, status: int) -> None:
    stage.worker()
    gateway = stage.gateway(chain=FILTER)
    assert gateway.get(f"/status/{status}").status == status


@pytest.mark.parametrize("status", [204, 304])
def test_answers_without_a_body(stage: Stage, status: int) -> None:
    worker = stage.worker()
    gateway = stage.gateway(chain=FILTER)
    answer = gateway.get(f"/status/{status}", X_Id=str(status))
    assert (answer.status, answer.body) == (status, b"")
    note = eventually(lambda: notes(worker, id=str(status)), what="the logging phase")[0]
    assert note["trail"] == ["request", "response", "logging"]


def test_an_early_end_runs_the_later_phases_too(stage: Stage) -> None:
    worker = stage.worker()
    gateway = stage.gateway(chain=FILTER)
    answer = gateway.get("/x", X_End="418", X_Id="early", X_Upper="1")
    assert (answer.status, answer.body) == (418, b"ENDED")
    assert answer.header("content-type") == "text/plain; charset=utf-8"
    assert answer.header("x-trail") == "request,response"
    assert stage.upstream.seen == []
    assert eventually(lambda: notes(worker, id="early"), what="the logging phase")[0]["status"] == 418


@pytest.mark.parametrize("path", ["bytes", "chunked"])
@pytest.mark.parametrize("size", [0, 1, 40_000, 300_000, 5_000_000])
def test_body_filter_gets_the_whole_body_and_frames_it(stage: Stage, path: str, size: int) -> None:
    stage.worker()
    gateway = stage.gateway(chain=FILTER)
    answer = gateway.get(f"/{path}/{size}", X_Upper="1")
    assert answer.status == 200
    assert answer.header("content-length") == str(size)
    assert answer.header("etag") is None
    assert len(answer.body) == size


def test_body_filter_asks_for_an_unencoded_whole_body(stage: Stage) -> None:
    stage.worker()
    gateway = stage.gateway(chain=FILTER)
    gateway.get("/bytes/10", Accept_Encoding="gzip", Range="bytes=0-3", If_Range='"v1"')
    (seen,) = stage.upstream.seen
    assert seen.header("accept-encoding") == "identity"
    assert seen.header("range") is None
    assert seen.header("if-range") is None


def test_an_event_stream_under_a_body_filter_is_a_failure(stage: Stage) -> None:
    stage.worker()
    gateway = stage.gateway(chain=FILTER)
    answer = gateway.get("/sse")
    assert answer.status == 502


@pytest.mark.parametrize("size", [0, 10, 200_000, 10 * 1024 * 1024])
def test_request_bodies_reach_the_upstream_whole(stage: Stage, size: int) -> None:
    stage.worker()
    gateway = stage.gateway(chain=[{"plugin": "tested", "entry": "auth"}])
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    answer = request(gateway.address, "POST", "/up", body=body, headers={"Authorization": "Bearer secret"})
    assert answer.json["length"] == size
    assert answer.json["sha256"] == hashlib.sha256(body).hexdigest()


def test_request_headers_set_by_a_plugin_reach_the_upstream(stage: Stage) -> None:
    stage.worker()
    gateway = stage.gateway(chain=FILTER)
    gateway.get("/x", X_From_Plugin="spoofed")
    (seen,) = stage.upstream.seen
    assert [value for name, value in seen.headers if name.lower() == "x-from-plugin"] == ["yes"]


@pytest.mark.parametrize("entry", ["digest", "digest_async"])
@pytest.mark.parametrize("size", [0, 5, 100_000, 3_000_000])
def test_a_plugin_reads_the_body_and_the_upstream_still_gets_it(stage: Stage, entry: str, size: int) -> None:
    stage.worker()
    gateway = stage.gateway(chain=[{"plugin": "tested", "entry": entry}])
    body = b"ab" * (size // 2) + b"c" * (size % 2)
    digest = hashlib.sha256(body).hexdigest()
    # more than once: the gateway learns to bring a small body with the open
    for _ in range(5):
        answer = request(gateway.address, "POST", "/up", body=body)
        assert answer.status == 200
        assert answer.json["sha256"] == digest
        assert dict(answer.json["headers"])["x-digest"] == digest


def test_a_body_beyond_the_limit_is_413(stage: Stage) -> None:
    stage.worker()
    gateway = stage.gateway(chain=[{"plugin": "tested", "entry": "digest"}], plugin={"max_body_bytes": 65536})
    answer = request(gateway.address, "POST", "/up", body=b"x" * 100_000)
    assert answer.status == 413
    assert answer.json["error"] == "BODY_TOO_LARGE"
    assert stage.upstream.seen == []


@pytest.mark.parametrize("size", [0, 50_000, 1_000_000, 10 * 1024 * 1024 // 10 * 10])
def test_a_plugin_answers_with_a_body_of_any_size(stage: Stage, size: int) -> None:
    stage.worker()
    gateway = stage.gateway(chain=[{"plugin": "tested", "entry": "big"}])
    answer = gateway.get("/x", X_Size=str(size))
    assert answer.status == 200
    assert answer.body == b"0123456789" * (size // 10)
    assert answer.header("content-length") == str(len(answer.body))


def test_a_result_that_is_too_large_is_found_in_the_logs_by_its_id(stage: Stage) -> None:
    worker = stage.worker()
    gateway = stage.gateway(chain=[{"plugin": "tested", "entry": "big"}])
    answer = gateway.get("/x", X_Size="200000000")
    assert (answer.status, answer.json["error"]) == (502, "BODY_TOO_LARGE")
    identifier = answer.header("x-request-id") or ""
    worker.wait_for(f"sending a result: it is too large .*id={identifier} bytes=200000000")
    gateway.await_log(identifier, f"log id {identifier}")


def test_kinds_of_answers(stage: Stage) -> None:
    stage.worker()
    gateway = stage.gateway(chain=[{"plugin": "tested", "entry": "answers", "payload": {"n": 1, "s": ["x"]}}])
    redirect = gateway.get("/redirect")
    assert (redirect.status, redirect.header("location")) == (307, "/elsewhere")
    assert gateway.get("/html").header("content-type") == "text/html; charset=utf-8"
    assert gateway.get("/json?a=b").json == {"payload": {"n": 1, "s": ["x"]}, "query": "a=b"}
    assert gateway.get("/cookies").all("set-cookie") == ["a=1", "b=2"]
    other = gateway.get("/other")
    assert other.all("x-one") == ["2"]
    assert other.header("content-length") == "0"
    assert other.header("connection") != "close"
