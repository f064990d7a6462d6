"""Bodies that are never in memory as a whole: streamed answers, uploads, filters, and how each of them ends."""

import hashlib
import json
import os
import re
import signal
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from .conftest import Stage
from .support.gateway import Gateway, Worker, configuration
from .support.http import request
from .support.nats import NatsServer
from .support.patience import eventually
from .support.process import Process, children
from .support.upstream import Upstream

SERVICES = ("service", "plain", "echo", "digest", "impatient")
# hosts: what the upstream's answer passes
CHAINS: dict[str, list[str]] = {
    "none": [],
    "upper": ["upper"],
    "both": ["exclaim", "upper"],
    "mixed": ["upper", "buffered"],
    "buffered": ["buffered"],
    "misplaced": ["misplaced"],
}


def config_of(nats: str, upstream: str, **changes: Any) -> dict[str, Any]:
    """A host per chain; every host has the plugin services at `/<entry>`."""
    config = configuration(nats, upstream, **changes)
    config["services"] += [
        {"name": entry, "service_type": "plugin", "plugin": {"name": "tested", "entry": entry}} for entry in SERVICES
    ]
    paths: list[dict[str, Any]] = [{"path": f"/{entry}", "service": {"name": entry}} for entry in SERVICES]
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
    config["routes"].append(
        {
            "name": "front",
            "route": {"type": "host", "value": "front"},
            "middleware": [{"plugin": "tested", "entry": "digest"}],
            "paths": [{"path": ["/", "/{*path}"], "service": {"name": "upstream"}}],
        }
    )
    return config


class House:
    """A gateway with a host per chain, its worker and its upstream."""

    def __init__(self, gateway: Gateway, worker: Process, upstream: Upstream) -> None:
        self.gateway, self.worker, self.upstream = gateway, worker, upstream

    def notes(self, **wanted: object) -> list[dict[str, Any]]:
        lines = [match[1] for line in list(self.worker.lines) if (match := re.search(r"NOTE (\{.*\})", line))]
        return [note for note in map(json.loads, lines) if all(note.get(key) == value for key, value in wanted.items())]

    def note(self, **wanted: object) -> dict[str, Any]:
        return eventually(lambda: self.notes(**wanted), what=f"a note with {wanted}")[0]

    def dial(self, target: str, *, receive: int | None = None, host: str = "none", **headers: str) -> socket.socket:
        """A connection on which a GET is on its way."""
        address, _, port = self.gateway.address.rpartition(":")
        client = socket.socket()
        if receive is not None:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        client.settimeout(10)
        client.connect((address, int(port)))
        lines = [f"GET {target} HTTP/1.1", f"Host: {host}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        client.sendall("\r\n".join([*lines, "", ""]).encode())
        return client

    def idle(self) -> None:
        eventually(self.gateway.idle, what="no slot left, nothing in flight")


def until(client: socket.socket, wanted: bytes) -> bytes:
    """What comes, up to where `wanted` is in it."""
    got = b""
    while wanted not in got:
        more = client.recv(65536)
        assert more, got
        got += more
    return got


def cut(client: socket.socket) -> bytes:
    """What comes before the reset; a clean end is none."""
    got = b""
    with client:
        while True:
            try:
                more = client.recv(65536)
            except ConnectionResetError:
                assert not got.endswith(b"0\r\n\r\n")
                return got
            assert more, f"a clean end after {got[-40:]!r}"
            got += more


@pytest.fixture(scope="module")
def house(shared_nats: NatsServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with (
        Upstream() as upstream,
        Worker(shared_nats.url, "streaming") as worker,
        Gateway(tmp_path_factory.mktemp("streams"), config_of(shared_nats.url, upstream.address)) as gateway,
    ):
        yield House(gateway, worker, upstream)


def test_a_streamed_answer(house: House) -> None:
    answer = house.gateway.get("/service", Host="none", X_Id="plainly")
    assert (answer.status, answer.body) == (203, b"data: 0\n\ndata: 1\n\ndata: 2\n\n")
    assert answer.header("transfer-encoding") == "chunked"
    assert answer.header("content-type") == "text/event-stream"
    logged = house.note(logged="plainly")
    assert (logged["status"], logged["bytes"], logged["error"]) == (203, 27, None)
    assert house.note(id="plainly", after="PluginError")
    house.idle()


def test_a_streamed_answer_of_plain_code(house: House) -> None:
    answer = house.gateway.get("/plain", Host="none", X_Count="4")
    assert (answer.status, answer.body) == (200, b"line 0\nline 1\nline 2\nline 3\n")


@pytest.mark.parametrize("entry", ["service", "plain"])
def test_five_mebibytes(house: House, entry: str) -> None:
    answer = house.gateway.get(f"/{entry}", Host="none", X_Count="5", X_Size=str(1 << 20))
    assert answer.body == b"x" * (5 << 20)
    house.idle()


def test_each_write_is_with_the_client_at_once(house: House) -> None:
    client = house.dial("/service", X_Count="1", X_Then="wait", X_Id="at-once")
    assert until(client, b"data: 0\n\n").startswith(b"HTTP/1.1 203")
    client.close()
    house.idle()


@pytest.mark.parametrize("then", ["wait", "forever"])
def test_the_client_leaves(house: House, then: str) -> None:
    name = f"leaves-{then}"
    client = house.dial("/service", X_Count="1", X_Then=then, X_Id=name)
    until(client, b"data: 0\n\n")
    house.note(id=name, waits=True)
    client.close()
    assert house.note(id=name, sent=9)["gone"] in ("write", "cancelled")
    assert house.note(logged=name)["error"]
    house.idle()


@pytest.mark.parametrize(("entry", "size"), [("service", 100_000), ("plain", 100_000)])
def test_a_client_that_leaves_wakes_a_write_that_waits(house: House, entry: str, size: int) -> None:
    client = house.dial(f"/{entry}", receive=4096, X_Count="1000", X_Size=str(size), X_Id=f"woken-{entry}")
    until(client, b"x")
    client.close()
    assert house.note(id=f"woken-{entry}", gone="write")
    house.idle()


def test_a_slow_client_holds_the_producer(house: House) -> None:
    client = house.dial("/service", receive=4096, X_Count="1000", X_Size="100000", X_Id="slow")
    until(client, b"x")

    def still() -> bool:
        before = len(house.notes(id="slow"))
        house.gateway.metrics()
        house.gateway.get("/service", Host="none")
        return before > 0 and len(house.notes(id="slow")) == before

    eventually(still, what="a producer that stops")
    sent = max(note["sent"] for note in house.notes(id="slow"))
    # what the kernel's buffers of both sides take, and the window
    assert sent < 20_000_000
    client.close()
    house.idle()


@pytest.mark.parametrize("then", ["raise", "raise_first"])
def test_a_handler_that_raises_cuts_the_body(house: House, then: str) -> None:
    got = cut(house.dial("/service", X_Then=then, X_Id=then))
    assert got.startswith(b"HTTP/1.1 203") or got == b""
    assert house.note(logged=then)["error"]
    house.idle()


def test_a_handler_that_raises_before_it(house: House) -> None:
    answer = house.gateway.get("/service", Host="none", X_Then="raise_before")
    assert (answer.status, answer.json["error"]) == (500, "PLUGIN_ERROR")
    assert answer.header("x-streamed") is None


def test_other_phases_cannot_stream(house: House) -> None:
    assert house.gateway.get("/status/200", Host="misplaced").header("x-error") == "PluginError"


def test_what_runs_on_a_stream(house: House) -> None:
    answer = house.gateway.get("/service", Host="mixed", X_Id="mixed")
    # rules §6: response filters yes, buffered body filters no, streaming ones yes
    assert answer.header("x-filtered") == "yes"
    assert answer.body == b"DATA: 0\n\nDATA: 1\n\nDATA: 2\n\n"
    eventually(lambda: len(house.notes(logged="mixed")) == 3, what="logging of all three")
    assert all(note["bytes"] == 27 for note in house.notes(logged="mixed"))
    house.idle()


@pytest.mark.parametrize("length", [0, 1, 32_768, 3_000_000, 12 << 20])
def test_a_filter_sees_every_byte(house: House, length: int) -> None:
    answer = house.gateway.get(f"/chunked/{length}", Host="both")
    plain = house.gateway.get(f"/chunked/{length}", Host="none").body
    assert answer.body == plain.upper() + b"!"
    house.idle()


def test_a_filter_drops_what_belongs_to_the_old_body(house: House) -> None:
    answer = house.gateway.get("/bytes/1000", Host="upper")
    assert len(answer.body) == 1000
    assert (answer.header("content-length"), answer.header("etag")) == (None, None)
    assert answer.header("transfer-encoding") == "chunked"


def test_a_filter_beside_a_buffered_one(house: House) -> None:
    answer = house.gateway.get("/status/404", Host="mixed")
    assert (answer.status, answer.body) == (404, b"[STATUS 404]")
    assert answer.header("content-length") == "12"


@pytest.mark.parametrize(("method", "target"), [("HEAD", "/bytes/9"), ("GET", "/status/204"), ("GET", "/status/304")])
def test_a_filter_is_not_called_without_a_body(house: House, method: str, target: str) -> None:
    name = f"bodiless-{method}{target}"
    answer = request(house.gateway.address, method, target, headers={"Host": "upper", "X-Id": name})
    assert answer.body == b""
    house.note(logged=name)
    assert not house.notes(filters=name)


def test_a_filter_of_an_event_stream(house: House) -> None:
    house.upstream.go_on.clear()
    client = house.dial("/events", host="upper", TE="trailers")
    got = until(client, b"DATA: ONE\n\n")
    assert b"DATA: TWO" not in got
    house.upstream.go_on.set()
    rest = until(client, b"\r\n0\r\n")
    assert b"DATA: TWO\n\n" in rest
    assert b"x-sum: 22" in (rest.lower() if rest.endswith(b"\r\n\r\n") else rest.lower() + until(client, b"\r\n\r\n"))
    client.close()


def test_a_filter_that_fails_cuts_the_body(house: House) -> None:
    cut(house.dial("/chunked/1000000", host="upper", X_Fail_After="100000", X_Id="fails"))
    assert house.note(logged="fails")["error"]
    house.idle()


def test_an_upstream_that_breaks_off_under_a_filter(house: House) -> None:
    cut(house.dial("/cut/100000", host="upper"))
    house.idle()


def test_a_client_that_leaves_a_filtered_body(house: House) -> None:
    client = house.dial("/endless", host="upper", X_Id="unfiltered")
    until(client, b"\0" * 1000)
    client.close()
    assert house.note(logged="unfiltered")["error"]
    house.idle()


@pytest.mark.parametrize("length", [0, 1, 200_000, 12 << 20])
def test_an_upload_of_any_length(house: House, length: int) -> None:
    body = bytes(range(256)) * (length // 256) + b"x" * (length % 256)
    answer = request(house.gateway.address, "POST", "/digest", body=body, headers={"Host": "none"})
    assert answer.json == {"sha256": hashlib.sha256(body).hexdigest(), "bytes": length}
    house.idle()


@pytest.mark.parametrize("length", [0, 1, 3_000_000])
def test_an_echo(house: House, length: int) -> None:
    body = bytes(range(250)) * (length // 250) + b"x" * (length % 250)
    answer = request(house.gateway.address, "POST", "/echo", body=body, headers={"Host": "none"})
    assert answer.body == body
    house.idle()


def test_only_a_long_body_that_was_read_cannot_go_on(house: House) -> None:
    """Whether a short one came with the open, as it does once the entry was seen to fetch bodies, is no matter."""
    headers = {"Host": "front", "X-Next": "1"}
    for learns in (False, True):
        for _ in range(10 if learns else 0):
            learning = {**headers, "X-Whole": "1"}
            assert request(house.gateway.address, "POST", "/x", body=b"something", headers=learning).status == 200
        for length in (1, 32 << 10):
            body = b"x" * length
            assert request(house.gateway.address, "POST", "/x", body=body, headers=headers).status == 200
            assert house.upstream.seen[-1].body == body
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
    assert house.note(id="upload", broken="ClientGoneError")
    assert house.note(logged="upload")["error"]
    house.idle()


def test_a_read_that_was_given_up_swallows_nothing(house: House) -> None:
    address, _, port = house.gateway.address.rpartition(":")
    with socket.create_connection((address, int(port)), timeout=20) as client:
        pieces = [letter * 1500 for letter in (b"a", b"b", b"c", b"d")]
        length = sum(map(len, pieces))
        head = f"POST /impatient HTTP/1.1\r\nHost: none\r\nX-Id: impatient\r\nContent-Length: {length}\r\n\r\n"
        client.sendall(head.encode())
        for number, piece in enumerate(pieces):
            house.note(id="impatient", waits=1500 * number)
            client.sendall(piece)
        assert until(client, pieces[-1]).endswith(b"".join(pieces))


def test_the_worker_is_killed(own_stage: Stage) -> None:
    worker = own_stage.worker("streaming")
    gateway = own_stage.gateway(paths=[{"path": "/s", "service": {"name": "answer"}}])
    house = House(gateway, worker, own_stage.upstream)
    client = house.dial("/s", X_Count="1", X_Then="wait")
    until(client, b"data: 0\n\n")
    for pid in children(worker.pid):
        os.kill(pid, signal.SIGKILL)
    cut(client)
    house.idle()


def test_the_worker_drains(own_stage: Stage) -> None:
    worker = own_stage.worker("streaming")
    gateway = own_stage.gateway(paths=[{"path": "/s", "service": {"name": "answer"}}])
    house = House(gateway, worker, own_stage.upstream)
    client = house.dial("/s", X_Count="1", X_Then="wait", X_Id="drained")
    until(client, b"data: 0\n\n")
    client.settimeout(60)
    worker.signal(signal.SIGTERM)
    cut(client)
    assert house.note(id="drained", gone="cancelled")
    house.idle()


def test_the_gateway_is_lost(own_stage: Stage) -> None:
    worker = own_stage.worker("streaming")
    gateway = own_stage.gateway(paths=[{"path": "/s", "service": {"name": "answer"}}])
    house = House(gateway, worker, own_stage.upstream)
    client = house.dial("/s", X_Count="1", X_Then="wait", X_Id="lost")
    until(client, b"data: 0\n\n")
    gateway.process.kill()
    assert house.note(id="lost", gone="cancelled")
    client.close()


@pytest.mark.parametrize("outage", ["short", "longer than beats may be missing"])
def test_a_stream_goes_on_after_a_reconnect(own_stage: Stage, outage: str) -> None:
    worker = own_stage.worker("streaming")
    gateway = own_stage.gateway(paths=[{"path": "/s", "service": {"name": "answer"}}])
    house = House(gateway, worker, own_stage.upstream)
    client = house.dial("/s", X_Count="1", X_Then="wait", X_Id="reconnect")
    until(client, b"data: 0\n\n")
    own_stage.nats.kill()
    if outage != "short":
        eventually(lambda: gateway.metric("nylon_workers") == 0, what="the silence of its worker")
    own_stage.nats.start()
    eventually(lambda: house.gateway.get("/s", X_Id="again").status == 203, what="the connection", seconds=20)
    # it is still open, and its worker still hears when the client leaves
    assert not house.notes(id="reconnect", gone="cancelled")
    client.close()
    assert house.note(id="reconnect", gone="cancelled")
    house.idle()
