"""A client that leaves, stalls or does not read, at each step: nobody's failure but its own (rules §3, §6, §16)."""

import json
import re
import socket
import struct
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from .support.gateway import Gateway, Worker, configuration
from .support.http import get
from .support.nats import NatsServer
from .support.patience import PATIENCE, eventually
from .support.upstream import Upstream

# hosts: an entry that sees all phases, one that leaves the answer's body alone, one that reads the request's body, none
CHAINS: dict[str, list[dict[str, Any]]] = {
    "filter": [{"plugin": "tested", "entry": "filter"}],
    "watch": [{"plugin": "tested", "entry": "filter", "phases": ["request_filter", "logging"]}],
    "reader": [{"plugin": "tested", "entry": "reader"}],
    "slow": [{"plugin": "tested", "entry": "slow"}],
    "plain": [],
}
LIMITS = {"header_timeout": "700ms", "read_timeout": "700ms", "write_timeout": "700ms", "idle_timeout": "2s"}


@dataclass
class House:
    """A gateway with a host per chain, its worker and its upstream."""

    gateway: Gateway
    worker: Worker
    upstream: Upstream

    def note(self, name: str) -> dict[str, Any]:
        """What the logging phase noted about the request `name`."""
        found = self.worker.wait_for(rf'NOTE (\{{"trail": .*"id": "{name}".*\}})', seconds=5)
        return json.loads(found[1])

    def upstream_failures(self) -> float:
        """Error answers that blame the upstream, and answers that it broke off."""
        samples = self.gateway.metrics()
        blamed = sum(value for name, value in samples.items() if re.match(r'nylon_errors_total\{code="UPSTREAM', name))
        return blamed + samples["nylon_upstream_broken_bodies_total"]

    def gone(self) -> float:
        return self.gateway.metric("nylon_requests_total", **{"class": "client_gone"})


@pytest.fixture(scope="module")
def house(shared_nats: NatsServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with Upstream() as upstream:
        config = configuration(shared_nats.url, upstream.address, top={"limits": LIMITS})
        path = {"path": ["/", "/{*path}"], "service": {"name": "upstream"}}
        service = {"path": "/plugin", "service": {"name": "answer"}}
        config["routes"] = [
            {
                "name": host,
                "route": {"type": "host", "value": host},
                "middleware": chain,
                "paths": [service, path],
            }
            for host, chain in CHAINS.items()
        ]
        with (
            Worker(shared_nats.url) as worker,
            Gateway(tmp_path_factory.mktemp("house"), config) as gateway,
        ):
            yield House(gateway, worker, upstream)


def head(method: str, host: str, target: str, **headers: str) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def dial(house: House, *, receive: int | None = None) -> socket.socket:
    """A connection; with a small buffer a client that reads nothing is noticed soon."""
    host, _, port = house.gateway.address.rpartition(":")
    client = socket.socket()
    if receive is not None:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
    client.settimeout(10)
    client.connect((host, int(port)))
    return client


LEAVING = ("close", "reset")


def leave(client: socket.socket, how: str) -> None:
    """A good-bye, or none."""
    if how == "reset":
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def phases(house: House, entry: str, phase: str) -> float:
    return house.gateway.metric("nylon_plugin_phases_total", entry=f"tested/{entry}", phase=phase)


@contextmanager
def nobodys_failure(house: House, *, gone: int) -> Generator[None]:
    """Around a client that leaves: nothing stays, no upstream is blamed, the next request works."""
    blamed, left = house.upstream_failures(), house.gone()
    yield
    eventually(house.gateway.idle, what="no slot left, nothing in flight", seconds=3)
    eventually(lambda: house.gateway.metric("nylon_connections") == 0, what="no connection left", seconds=4)
    eventually(lambda: house.gone() == left + gone, what=f"{gone} clients counted as gone", seconds=3)
    assert house.upstream_failures() == blamed
    for host in CHAINS:
        assert get(house.gateway.address, "/status/200", Host=host).status == 200


@pytest.mark.parametrize("how", LEAVING)
@pytest.mark.parametrize("part", [1, 30])
def test_while_it_sends_the_head(house: House, how: str, part: int) -> None:
    """No request yet: no plugin hears of it."""
    before = phases(house, "filter", "request_filter")
    seen = len(house.upstream.seen)
    with nobodys_failure(house, gone=0):
        client = dial(house)
        client.sendall(head("GET", "filter", "/x", X_Id="head")[:part])
        eventually(lambda: house.gateway.metric("nylon_connections") == 1, what="the connection")
        leave(client, how)
        eventually(lambda: house.gateway.metric("nylon_connections") == 0, what="its end", seconds=3)
        assert phases(house, "filter", "request_filter") == before
        assert len(house.upstream.seen) == seen


@pytest.mark.parametrize("how", LEAVING)
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_while_it_uploads_to_the_upstream(house: House, how: str, framing: str) -> None:
    name = f"upload-{framing}-{how}"
    asked = house.gateway.metric("nylon_upstream_requests_total")
    with nobodys_failure(house, gone=1):
        client = dial(house)
        length = {"Content_Length": "1000000"} if framing == "length" else {"Transfer_Encoding": "chunked"}
        client.sendall(head("POST", "watch", f"/up?{name}", X_Id=name, **length))
        client.sendall(b"x" * 1000 if framing == "length" else b"3e8\r\n" + b"x" * 1000 + b"\r\n")
        eventually(lambda: house.gateway.metric("nylon_upstream_requests_total") == asked + 1, what="the upstream")
        leave(client, how)
        note = house.note(name)
        assert note["error"]
        # it has not taken a part for the whole
        assert f"/up?{name}" not in [seen.target for seen in house.upstream.seen]


@pytest.mark.parametrize("how", LEAVING)
def test_while_a_plugin_reads_its_body(house: House, how: str) -> None:
    name = f"reading-{how}"
    with nobodys_failure(house, gone=1):
        client = dial(house)
        client.sendall(head("POST", "reader", "/read", X_Id=name, Content_Length="100000") + b"x" * 1000)
        house.worker.wait_for(rf'"reads": "{name}"')
        leave(client, how)
        house.worker.wait_for(rf'"unread": "ClientGoneError", "id": "{name}"', seconds=5)
        assert house.note(name)["error"]
        assert "/read" not in [seen.target for seen in house.upstream.seen]


@pytest.mark.parametrize("how", LEAVING)
def test_while_a_handler_runs(house: House, how: str) -> None:
    name = f"handler-{how}"
    with nobodys_failure(house, gone=1):
        client = dial(house)
        client.sendall(head("GET", "filter", "/run", X_Id=name, X_Rf="hang"))
        house.worker.wait_for(rf'"hanging": "request_filter", "id": "{name}"')
        left = time.monotonic()
        leave(client, how)
        house.worker.wait_for(rf'"hung": "request_filter", "cancelled": true, "id": "{name}"', seconds=2)
        assert time.monotonic() - left < 0.5 * PATIENCE
        note = house.note(name)
        assert (note["status"], note["bytes"]) == (499, 0)
        assert note["error"]
        assert "/run" not in [seen.target for seen in house.upstream.seen]


@pytest.mark.parametrize("how", LEAVING)
def test_while_a_coroutine_runs(house: House, how: str) -> None:
    name = f"coroutine-{how}"
    before = phases(house, "slow", "request_filter")
    with nobodys_failure(house, gone=1):
        client = dial(house)
        client.sendall(head("GET", "slow", "/run", X_Id=name, X_Ms="8000"))
        eventually(lambda: phases(house, "slow", "request_filter") == before + 1, what="the request filter")
        # it has a handler to cancel, not only an open that may still be dropped
        eventually(lambda: house.gateway.metric("nylon_slots_in_use") == 1, what="the session")
        accepted = time.monotonic() + 0.15
        eventually(lambda: time.monotonic() > accepted, what="ACCEPT")
        leave(client, how)
        house.worker.wait_for(rf'"cancelled": "{name}"', seconds=2)


@pytest.mark.parametrize("how", LEAVING)
@pytest.mark.parametrize(("phase", "header"), [("response_filter", "X_Pf"), ("response_body_filter", "X_Bf")])
def test_while_a_filter_of_the_answer_runs(house: House, how: str, phase: str, header: str) -> None:
    name = f"{phase}-{how}"
    with nobodys_failure(house, gone=1):
        client = dial(house)
        client.sendall(head("GET", "filter", "/bytes/1000", X_Id=name, **{header: "hang"}))
        house.worker.wait_for(rf'"hanging": "{phase}", "id": "{name}"')
        leave(client, how)
        house.worker.wait_for(rf'"hung": "{phase}", "cancelled": true, "id": "{name}"', seconds=2)
        assert house.note(name)["error"]


@pytest.mark.parametrize("how", LEAVING)
def test_while_a_plugin_service_runs(house: House, how: str) -> None:
    with nobodys_failure(house, gone=1):
        client = dial(house)
        client.sendall(head("GET", "plain", "/plugin", X_Id=f"service-{how}", X_Service="hang"))
        house.worker.wait_for(rf'"hanging": "service", "id": "service-{how}"')
        leave(client, how)
        house.worker.wait_for(rf'"hung": "service", "cancelled": true, "id": "service-{how}"', seconds=2)


@pytest.mark.parametrize("how", LEAVING)
@pytest.mark.parametrize("host", ["filter", "watch"])
def test_while_the_upstream_is_waited_for(house: House, how: str, host: str) -> None:
    name = f"upstream-{host}-{how}"
    target = f"/slow/1500?{name}"
    with nobodys_failure(house, gone=1):
        client = dial(house)
        client.sendall(head("GET", host, target, X_Id=name))
        eventually(lambda: target in [seen.target for seen in house.upstream.seen], what="the upstream")
        leave(client, how)
        note = house.note(name)
        assert (note["status"], note["bytes"]) == (499, 0)
        assert note["error"]


@pytest.mark.parametrize("how", LEAVING)
@pytest.mark.parametrize("path", ["bytes", "chunked"])
def test_while_the_answer_streams(house: House, how: str, path: str) -> None:
    name = f"stream-{path}-{how}"
    with nobodys_failure(house, gone=1):
        client = dial(house, receive=8192)
        client.sendall(head("GET", "watch", f"/{path}/20000000", X_Id=name))
        got = b""
        while len(got) < 20_000:
            got += client.recv(4096)
        assert got.startswith(b"HTTP/1.1 200 ")
        leave(client, how)
        note = house.note(name)
        assert note["status"] == 200
        assert 0 < note["bytes"] < 20_000_000
        assert "left" in note["error"]


@pytest.mark.parametrize("how", LEAVING)
def test_between_two_requests(house: House, how: str) -> None:
    name = f"between-{how}"
    with nobodys_failure(house, gone=0):
        client = dial(house)
        client.sendall(head("GET", "filter", "/bytes/10", X_Id=name))
        whole = b""
        while b"\r\n\r\n0000000100" not in whole:
            piece = client.recv(4096)
            assert piece, whole
            whole += piece
        assert house.note(name)["error"] is None
        leave(client, how)


def everything(client: socket.socket) -> bytes:
    """Until the gateway ends the connection, however it does."""
    got = b""
    try:
        while piece := client.recv(65536):
            got += piece
    except ConnectionResetError:
        pass
    return got


def test_a_head_that_takes_too_long(house: House) -> None:
    """A byte now and then does not help: the limit is for the whole head."""
    before = phases(house, "filter", "request_filter")
    with nobodys_failure(house, gone=0), dial(house) as client:
        begun = time.monotonic()
        client.settimeout(0.05)
        got = b""
        for byte in head("GET", "filter", "/x", X_Fill="y" * 1000):
            try:
                client.sendall(bytes([byte]))
                got = client.recv(4096)
                break
            except TimeoutError:
                continue
            except OSError:
                break
        assert 0.6 < time.monotonic() - begun < 2.5 * PATIENCE
        assert got.startswith(b"HTTP/1.1 408 "), got
        assert phases(house, "filter", "request_filter") == before


@pytest.mark.parametrize("host", ["watch", "reader"])
def test_a_body_that_stops(house: House, host: str) -> None:
    """The client is still there, so it is told; that is neither the upstream's nor the plugin's failure."""
    name = f"stalled-{host}"
    with nobodys_failure(house, gone=0), dial(house) as client:
        client.sendall(head("POST", host, "/stall", X_Id=name, Content_Length="100000") + b"x" * 1000)
        begun = time.monotonic()
        got = everything(client)
        assert got.startswith(b"HTTP/1.1 408 "), got
        assert time.monotonic() - begun < 4 * PATIENCE
        assert "REQUEST_TIMEOUT" in house.note(name)["error"]
        assert "/stall" not in [seen.target for seen in house.upstream.seen]


def test_an_answer_that_nobody_reads(house: House) -> None:
    with nobodys_failure(house, gone=1), dial(house, receive=4096) as client:
        client.sendall(head("GET", "watch", "/bytes/20000000", X_Id="unread"))
        note = house.note("unread")
        assert 0 < note["bytes"] < 20_000_000
        assert note["error"]
        # what is in its buffers does not look like a whole answer
        with pytest.raises(ConnectionResetError):
            while client.recv(65536):
                pass


def test_a_client_that_reads_slowly_is_served(house: House) -> None:
    """The limit is for the pause, not for the whole."""
    with nobodys_failure(house, gone=0), dial(house, receive=65536) as client:
        client.sendall(head("GET", "watch", "/bytes/6000000", X_Id="slow-reader", Connection="close"))
        begun, got = time.monotonic(), 0
        while piece := client.recv(65536):
            got += len(piece)
            until = begun + got / 6_000_000 * 1.4
            eventually(lambda until=until: time.monotonic() > until, what="its pause")
        assert got > 6_000_000
        note = house.note("slow-reader")
        assert (note["bytes"], note["error"]) == (6_000_000, None)


def test_a_connection_that_idles(house: House) -> None:
    with nobodys_failure(house, gone=0), dial(house) as client:
        begun = time.monotonic()
        assert everything(client) == b""
        assert 1.8 < time.monotonic() - begun < 4 * PATIENCE
