"""Streams of the Go SDK over NATS: bodies that are never in memory as a whole, and how each of them ends."""

import hashlib
import signal
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from .conftest import Stage
from .support import go
from .support.gateway import Gateway, configuration
from .support.http import request
from .support.nats import NatsServer
from .support.patience import eventually
from .support.upstream import Upstream
from .test_streams import House, cut, until

pytestmark = pytest.mark.skipif(not go.available(), reason="this machine has no Go")

# hosts: what the upstream's answer passes
CHAINS: dict[str, list[str]] = {
    "none": [],
    "upper": ["upper"],
    "both": ["exclaim", "upper"],
    "mixed": ["upper", "filter"],
    "misplaced": ["misplaced"],
    "front": ["upload"],
}


def config_of(nats: str, upstream: str) -> dict[str, Any]:
    """A host per chain; every host has the plugin services at `/<entry>`."""
    config = configuration(nats, upstream)
    entries = ("streams", "echo", "upload")
    config["services"] += [
        {"name": entry, "service_type": "plugin", "plugin": {"name": "tested", "entry": entry}} for entry in entries
    ]
    paths: list[dict[str, Any]] = [{"path": f"/{entry}", "service": {"name": entry}} for entry in entries]
    paths.append({"path": ["/", "/{*path}"], "service": {"name": "upstream"}})
    config["routes"] = [
        {
            "name": host,
            "route": {"type": "host", "value": host},
            "middleware": [{"plugin": "tested", "entry": entry} for entry in chain],
            "paths": paths,
        }
        for host, chain in CHAINS.items()
    ]
    return config


@pytest.fixture(scope="module")
def house(shared_nats: NatsServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with (
        Upstream() as upstream,
        go.GoWorker(go.build("./internal/tested"), shared_nats.url) as worker,
        Gateway(tmp_path_factory.mktemp("streams"), config_of(shared_nats.url, upstream.address)) as gateway,
    ):
        yield House(gateway, worker, upstream)


@pytest.fixture
def alone(own_stage: Stage) -> Iterator[House]:
    """With a NATS server, a gateway and a worker that may die. The streams are at `/streams`."""
    with go.GoWorker(go.build("./internal/tested"), own_stage.nats.url, env={"TESTED_DRAIN": "1s"}) as worker:
        service = {"name": "streams", "service_type": "plugin", "plugin": {"name": "tested", "entry": "streams"}}
        config = configuration(own_stage.nats.url, own_stage.upstream.address)
        path = {"path": "/streams", "service": {"name": "streams"}}
        gateway = own_stage.gateway(top={"services": [*config["services"], service]}, paths=[path])
        yield House(gateway, worker, own_stage.upstream)


@pytest.mark.parametrize("then", ["", "goroutine"])
def test_a_streamed_answer(house: House, then: str) -> None:
    name = f"plainly{then}"
    answer = house.gateway.get("/streams", Host="none", X_Id=name, X_Then=then)
    assert (answer.status, answer.body) == (203, b"data: 0\n\ndata: 1\n\ndata: 2\n\n")
    assert answer.header("transfer-encoding") == "chunked"
    assert answer.header("content-type") == "text/event-stream"
    logged = house.note(logged=name)
    assert (logged["status"], logged["bytes"], logged["error"]) == (203, 27, "")
    assert house.notes(id=name, after="writing to a stream: it has ended: the session is over")
    house.idle()


def test_each_write_is_with_the_client_at_once(house: House) -> None:
    client = house.dial("/streams", X_Count="1", X_Then="wait", X_Id="at-once")
    assert until(client, b"data: 0\n\n").startswith(b"HTTP/1.1 203")
    client.close()
    house.idle()


def test_five_mebibytes(house: House) -> None:
    answer = house.gateway.get("/streams", Host="none", X_Count="5", X_Size=str(1 << 20))
    assert answer.body == b"x" * (5 << 20)
    house.idle()


@pytest.mark.parametrize(("then", "how"), [("wait", "cancelled"), ("forever", "write")])
def test_the_client_leaves(house: House, then: str, how: str) -> None:
    name = f"leaves-{then}"
    client = house.dial("/streams", X_Count="1", X_Then=then, X_Id=name)
    until(client, b"data: 0\n\n")
    house.note(id=name, waits=True)
    client.close()
    assert house.note(id=name, gone=how)["why"] == "the client has left"
    assert house.note(logged=name)["error"]
    house.idle()


def test_a_client_that_leaves_wakes_a_write_that_waits(house: House) -> None:
    client = house.dial("/streams", receive=4096, X_Count="1000", X_Size="100000", X_Id="woken")
    until(client, b"x")
    client.close()
    assert house.note(id="woken", gone="write")["why"] == "the client has left"
    house.idle()


def test_a_slow_client_holds_the_producer(house: House) -> None:
    client = house.dial("/streams", receive=4096, X_Count="1000", X_Size="100000", X_Id="slow")
    until(client, b"x")

    def still() -> bool:
        before = len(house.notes(id="slow"))
        house.gateway.metrics()
        house.gateway.get("/streams", Host="none")
        return before > 0 and len(house.notes(id="slow")) == before

    eventually(still, what="a producer that stops")
    # what the kernel's buffers of both sides take, and the window
    assert max(note["sent"] for note in house.notes(id="slow")) < 20_000_000
    client.close()
    house.idle()


@pytest.mark.parametrize("then", ["raise", "raise_first", "next", "forget"])
def test_a_handler_that_does_not_end_it_cuts_the_body(house: House, then: str) -> None:
    got = cut(house.dial("/streams", X_Then=then, X_Id=then))
    assert got.startswith(b"HTTP/1.1 203") or got == b""
    assert house.note(logged=then)["error"]
    house.idle()


def test_a_panic_before_it_is_a_500(house: House) -> None:
    answer = house.gateway.get("/streams", Host="none", X_Then="raise_before")
    assert (answer.status, answer.json["error"]) == (500, "PLUGIN_ERROR")
    assert answer.header("x-streamed") is None


def test_other_phases_cannot_stream(house: House) -> None:
    answer = house.gateway.get("/status/200", Host="misplaced")
    assert answer.header("x-error") == "streaming the response in phase 2: only a request filter can"


def test_what_runs_on_a_stream(house: House) -> None:
    answer = house.gateway.get("/streams", Host="mixed", X_Id="mixed")
    # rules §6: response filters yes, buffered body filters no, streaming ones yes
    assert answer.header("x-seen-status") == "203"
    assert answer.body == b"DATA: 0\n\nDATA: 1\n\nDATA: 2\n\n"
    house.idle()


@pytest.mark.parametrize("length", [0, 1, 32_768, 3_000_000, 12 << 20])
def test_a_filter_sees_every_byte(house: House, length: int) -> None:
    plain = house.gateway.get(f"/chunked/{length}", Host="none").body
    answer = house.gateway.get(f"/chunked/{length}", Host="both")
    assert answer.body == plain.upper() + b"!"
    house.idle()


def test_a_filter_of_an_event_stream(house: House) -> None:
    house.upstream.go_on.clear()
    client = house.dial("/events", host="upper")
    assert b"DATA: TWO" not in until(client, b"DATA: ONE\n\n")
    house.upstream.go_on.set()
    assert b"DATA: TWO\n\n" in until(client, b"\r\n0\r\n")
    client.close()


def test_a_filter_beside_a_buffered_one(house: House) -> None:
    answer = house.gateway.get("/status/404", Host="mixed")
    assert (answer.status, answer.body) == (404, b"STATUS 404")
    assert answer.header("content-length") == "10"


def test_a_filter_that_fails(house: House) -> None:
    cut(house.dial("/chunked/1000000", host="upper", X_Fail_After="100000", X_Id="fails"))
    assert house.note(logged="fails")["error"]
    refused = house.gateway.get("/chunked/1000", Host="upper", X_Fail_After="0")
    assert (refused.status, refused.json["error"]) == (502, "PLUGIN_ERROR")
    house.idle()


def test_an_upstream_that_breaks_off_under_a_filter(house: House) -> None:
    cut(house.dial("/cut/100000", host="upper"))
    house.idle()


@pytest.mark.parametrize("length", [0, 1, 200_000, 12 << 20])
def test_an_upload_of_any_length(house: House, length: int) -> None:
    body = bytes(range(256)) * (length // 256) + b"x" * (length % 256)
    answer = request(house.gateway.address, "POST", "/upload", body=body, headers={"Host": "none"})
    assert answer.json == {"sha256": hashlib.sha256(body).hexdigest(), "bytes": length}
    house.idle()


@pytest.mark.parametrize("length", [0, 1, 3_000_000])
def test_an_echo(house: House, length: int) -> None:
    body = bytes(range(250)) * (length // 250) + b"x" * (length % 250)
    answer = request(house.gateway.address, "POST", "/echo", body=body, headers={"Host": "none"})
    assert answer.body == body
    house.idle()


def test_only_a_long_body_that_was_read_cannot_go_on(house: House) -> None:
    headers = {"Host": "front", "X-Next": "1"}
    assert request(house.gateway.address, "POST", "/x", body=b"something", headers=headers).status == 200
    assert house.upstream.seen[-1].body == b"something"
    before = len(house.upstream.seen)
    answer = request(house.gateway.address, "POST", "/x", body=bytes((32 << 10) + 1), headers=headers)
    assert (answer.status, answer.json["error"]) == (502, "PLUGIN_PROTOCOL")
    assert len(house.upstream.seen) == before


def test_a_client_that_leaves_in_its_upload(house: House) -> None:
    address, _, port = house.gateway.address.rpartition(":")
    client = socket.create_connection((address, int(port)))
    client.sendall(
        b"POST /echo HTTP/1.1\r\nHost: none\r\nX-Id: upload\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1000
    )
    house.note(id="upload", reads=True)
    client.close()
    assert house.note(id="upload", broken="the client has left")
    assert house.note(logged="upload")["error"]
    house.idle()


def test_the_worker_is_killed(alone: House) -> None:
    client = alone.dial("/streams", X_Count="1", X_Then="wait")
    until(client, b"data: 0\n\n")
    alone.worker.signal(signal.SIGKILL)
    cut(client)
    alone.idle()


def test_the_worker_drains(alone: House) -> None:
    client = alone.dial("/streams", X_Count="1", X_Then="wait", X_Id="drained")
    until(client, b"data: 0\n\n")
    client.settimeout(60)
    alone.worker.signal(signal.SIGTERM)
    cut(client)
    assert alone.note(id="drained", gone="cancelled")["why"] == "the worker is shutting down"
    alone.idle()


def test_the_gateway_is_lost(alone: House) -> None:
    client = alone.dial("/streams", X_Count="1", X_Then="wait", X_Id="lost")
    until(client, b"data: 0\n\n")
    alone.gateway.process.kill()
    assert alone.note(id="lost", gone="cancelled")
    client.close()


def test_a_stream_goes_on_after_a_reconnect(alone: House, own_stage: Stage) -> None:
    client = alone.dial("/streams", X_Count="1", X_Then="wait", X_Id="reconnect")
    until(client, b"data: 0\n\n")
    own_stage.nats.kill()
    own_stage.nats.start()
    # nobody asks for the worker before: whom a gateway finds absent it gives up
    eventually(lambda: alone.worker.log.count("connected to nats") == 2, what="the worker's connection")
    eventually(lambda: alone.gateway.get("/streams").status == 203, what="the connection", seconds=20)
    # it is still open, and its worker still hears when the client leaves
    assert not alone.notes(id="reconnect", gone="cancelled")
    client.close()
    assert alone.note(id="reconnect", gone="cancelled")
    alone.idle()
