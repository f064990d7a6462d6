"""One request end to end: gateway, NATS, Python worker, upstream."""

import os
import signal
import threading

import pytest

from .conftest import Stage
from .support.http import Client
from .support.patience import eventually
from .support.process import children

AUTH = [{"plugin": "tested", "entry": "auth"}]
TOKEN = {"Authorization": "Bearer secret"}


@pytest.mark.parametrize("entry", ["auth", "auth_async"])
def test_an_auth_plugin_decides_and_names_the_user(stage: Stage, entry: str) -> None:
    stage.worker()
    gateway = stage.gateway(chain=[{"plugin": "tested", "entry": entry}], route={"strip_headers": ["X-Auth-User"]})

    refused = gateway.get("/orders?page=2")
    assert refused.status == 401
    assert refused.header("www-authenticate") == "Bearer"
    assert refused.header("content-type") == "application/json"
    assert stage.upstream.seen == []

    passed = gateway.get("/orders?page=2", **TOKEN, X_Auth_User="mallory")
    assert passed.status == 200
    (seen,) = stage.upstream.seen
    assert seen.target == "/orders?page=2"
    assert [value for name, value in seen.headers if name.lower() == "x-auth-user"] == ["alice"]
    eventually(gateway.idle, what="no slot left")


def test_a_401_keeps_the_connection_alive(stage: Stage) -> None:
    stage.worker()
    gateway = stage.gateway(chain=AUTH)
    client = Client(gateway.address)
    for _ in range(3):
        assert client.get("/").status == 401
    assert client.get("/", Authorization="Bearer secret").status == 200
    client.close()


def test_a_plugin_service_answers_by_itself(stage: Stage) -> None:
    stage.worker()
    gateway = stage.gateway()
    answer = gateway.get("/plugin?x=1")
    assert answer.status == 200
    assert answer.json["path"] == "/plugin"
    assert stage.upstream.seen == []


def test_no_route_no_method(stage: Stage) -> None:
    gateway = stage.gateway(
        route={
            "route": {"type": "host", "value": "only.test"},
            "paths": [{"path": "/a", "methods": ["GET", "PUT"], "service": {"name": "upstream"}}],
        }
    )
    assert gateway.get("/a").json["error"] == "ROUTE_NOT_FOUND"
    assert gateway.get("/b", Host="only.test").status == 404
    assert gateway.get("/a", Host="ONLY.test").status == 200
    client = Client(gateway.address)
    refused = client.request("POST", "/a", headers={"Host": "only.test"})
    assert refused.status == 405
    assert refused.header("allow") == "GET, PUT"
    client.close()


def test_many_requests_at_once_never_mix(stage: Stage) -> None:
    """State of each session is its own, whichever worker and thread has it."""
    stage.worker(processes=3)
    gateway = stage.gateway(chain=[{"plugin": "tested", "entry": "filter"}])
    wrong: list[str] = []

    def client(number: int) -> None:
        connection = Client(gateway.address)
        for count in range(60):
            mine = f"{number}-{count}"
            answer = connection.get(f"/echo/{mine}", X_Id=mine)
            target = answer.json["target"]
            if target != f"/echo/{mine}" or answer.header("x-trail") != "request,response":
                wrong.append(f"{mine}: {target} {answer.headers}")
        connection.close()

    threads = [threading.Thread(target=client, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    eventually(gateway.idle, what="no slot left")


def test_two_gateways_on_one_nats(stage: Stage) -> None:
    stage.worker()
    first, second = (stage.gateway(chain=AUTH) for _ in range(2))
    for _ in range(20):
        assert first.get("/", **TOKEN).status == 200
        assert second.get("/").status == 401


def test_a_worker_restarts_and_serves_again(stage: Stage) -> None:
    worker = stage.worker()
    gateway = stage.gateway(chain=AUTH)
    assert gateway.get("/", **TOKEN).status == 200
    assert worker.terminate() == 0
    assert gateway.get("/", **TOKEN).status == 503
    stage.worker()
    eventually(lambda: gateway.get("/", **TOKEN).status == 200, what="service by the new worker")


@pytest.mark.skipif(os.sched_getscheduler(0) != os.SCHED_OTHER, reason="who has another policy keeps it")
def test_a_worker_interrupts_no_gateway(stage: Stage) -> None:
    # Its first thread serves, and starts the others.
    serving = children(stage.worker().pid)
    joined = lambda: os.SCHED_BATCH in map(os.sched_getscheduler, serving)  # noqa: E731
    eventually(joined, what="a worker under SCHED_BATCH")


def test_sigterm_ends_the_gateway_after_its_requests(stage: Stage) -> None:
    gateway = stage.gateway()
    answers: list[int] = []
    thread = threading.Thread(target=lambda: answers.append(gateway.get("/slow/800").status))
    thread.start()
    eventually(lambda: stage.upstream.seen, what="the request at the upstream")
    gateway.process.signal(signal.SIGTERM)
    thread.join()
    assert answers == [200]
    assert gateway.process.wait() == 0


def test_reload_changes_routes_and_refuses_a_bad_file(stage: Stage) -> None:
    stage.worker()
    gateway = stage.gateway()
    assert gateway.get("/x").status == 200
    from .support.gateway import configuration

    guarded = configuration(stage.nats.url, stage.upstream.address, chain=AUTH)
    gateway.reload(guarded)
    eventually(lambda: gateway.get("/x").status == 401, what="the new chain")

    broken = {**guarded, "routes": [{**guarded["routes"][0], "middleware": [{"group": "nobody"}]}]}
    gateway.reload(broken)
    assert "nobody" in gateway.process.log
    assert gateway.get("/x").status == 401
    assert gateway.get("/x", **TOKEN).status == 200
