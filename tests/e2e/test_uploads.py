"""Uploads that a plugin reads as they come, slower than its `timeout`: what is cut off, and what is not."""

import http.client
import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

import pytest

from .conftest import InProcessStage, Stage
from .support import go
from .support.gateway import Gateway
from .support.library import library_configuration, link
from .support.nats import NatsServer
from .support.patience import eventually
from .support.process import Process, children
from .support.upstream import Upstream
from .test_streams import House

# seconds: what the entry has for a phase, between two pieces of an upload, and what a client may be silent for
TIMEOUT, PAUSE, READ = 0.3, 0.4, 1.2

needs_go = pytest.mark.skipif(not go.available(), reason="this machine has no Go")
CARRIERS = [
    pytest.param(("nats", "upload"), id="nats"),
    pytest.param(("nats", "upload_async"), id="nats-async"),
    pytest.param(("in_process", "upload"), id="in_process"),
    pytest.param(("in_process", "upload_async"), id="in_process-async"),
    pytest.param(("go", "upload"), id="go", marks=needs_go),
    pytest.param(("library", "upload"), id="library", marks=needs_go),
]
BESIDE = [
    pytest.param(("go", "beside"), id="go", marks=needs_go),
    pytest.param(("library", "beside"), id="library", marks=needs_go),
]


def changes(entry: str) -> dict[str, Any]:
    """The entry stands before the upstream."""
    return {
        "plugin": {"timeout": f"{TIMEOUT * 1000:.0f}ms"},
        "top": {"limits": {"read_timeout": f"{READ * 1000:.0f}ms"}},
        "chain": [link(entry)],
    }


class InProcess(InProcessStage):
    """`type: python`, with the plugin of this test."""

    def gateway(self, *, ready: bool = True, **changes: Any) -> Gateway:
        return super().gateway(ready=ready, module="streaming", **changes)


class InLibrary(Stage):
    """`type: ffi`, with the Go plugin as a library."""

    def gateway(self, *, ready: bool = True, **changes: Any) -> Gateway:
        file = go.build("./internal/tested", library=True)
        config = library_configuration(self.upstream.address, file, **changes)
        return self._stack.enter_context(Gateway(self._directory / "library", config, ready=ready))


class LibraryHouse(House):
    """Its handler asks for each piece, and is given none ahead."""


def start(stack: ExitStack, stage: Stage, carrier: str, entry: str) -> House:
    """A gateway and what runs the entry for it."""
    if isinstance(stage, InProcess | InLibrary):
        gateway = stage.gateway(**changes(entry))
        kind = LibraryHouse if isinstance(stage, InLibrary) else House
        return kind(gateway, gateway.process, stage.upstream)
    worker: Process
    if carrier == "go":
        binary = go.build("./internal/tested")
        worker = stack.enter_context(go.GoWorker(binary, stage.nats.url, env={"TESTED_DRAIN": "1s"}))
    else:
        worker = stage.worker("streaming")
    return House(stage.gateway(**changes(entry)), worker, stage.upstream)


@pytest.fixture(scope="module", params=CARRIERS)
def house(
    request: pytest.FixtureRequest, shared_nats: NatsServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    carrier, entry = request.param
    directory = tmp_path_factory.mktemp("uploads")
    with ExitStack() as stack:
        upstream = stack.enter_context(Upstream())
        stage: Stage
        match carrier:
            case "in_process":
                stage = InProcess(stack, directory, None, upstream)
            case "library":
                stage = InLibrary(stack, directory, None, upstream)
            case _:
                stage = Stage(stack, directory, shared_nats, upstream)
        yield start(stack, stage, carrier, entry)


class Upload:
    """A client that sends its body in pieces."""

    def __init__(self, house: House, name: str, *, hang: str = "") -> None:
        self.house, self.name, self.sent = house, name, 0
        address, _, port = house.gateway.address.rpartition(":")
        self.socket = socket.create_connection((address, int(port)))
        self.socket.settimeout(20)
        self.began = time.monotonic()
        lines = ["POST /upload HTTP/1.1", "Host: tested", f"X-Id: {name}", f"X-Hang: {hang}"]
        self.socket.sendall("\r\n".join([*lines, "Transfer-Encoding: chunked", "", ""]).encode())

    def send(self, length: int) -> None:
        self.sent += length
        self.socket.sendall(b"%x\r\n%s\r\n" % (length, b"x" * length))

    def taken(self) -> None:
        """The handler has all of it so far."""

        def all_of_it() -> bool:
            return sum(note["piece"] for note in self.house.notes(id=self.name) if "piece" in note) == self.sent

        eventually(all_of_it, what="a handler that has taken what was sent")

    def slowly(self, pieces: int, length: int = 1000) -> None:
        """So many pieces, further apart than a phase may last."""
        for piece in range(pieces):
            if piece:
                time.sleep(PAUSE)  # sleep: a slow client
            self.send(length)

    def end(self) -> None:
        self.socket.sendall(b"0\r\n\r\n")

    def answer(self) -> tuple[int, Any, float]:
        """Status, body, and how long after the beginning."""
        with http.client.HTTPResponse(self.socket, method="POST") as response:
            response.begin()
            body = json.loads(response.read())
            return response.status, body, time.monotonic() - self.began

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()


@pytest.mark.parametrize("length", [10, 20_000])
def test_an_upload_may_take_longer_than_a_phase(house: House, length: int) -> None:
    with Upload(house, f"slow-{length}") as upload:
        upload.slowly(5, length)
        upload.taken()
        time.sleep(PAUSE)  # sleep: a slow client, behind its last byte
        upload.end()
        status, body, seconds = upload.answer()
    assert (status, body["bytes"]) == (200, 5 * length)
    assert seconds > 5 * PAUSE > 4 * TIMEOUT
    assert not house.notes(id=upload.name, cancelled=True)
    house.idle()


def refused(upload: Upload, status: int, code: str) -> float:
    """How long after the beginning the upload was answered so. Nothing has reached the upstream."""
    found, body, seconds = upload.answer()
    assert (found, body.get("error")) == (status, code)
    assert not upload.house.upstream.seen
    upload.house.idle()
    return seconds


def test_a_handler_that_hangs_before_it_reads(house: House) -> None:
    with Upload(house, "before", hang="before") as upload:
        upload.send(1000)
        assert refused(upload, 504, "PLUGIN_TIMEOUT") >= TIMEOUT
    assert house.note(id="before", cancelled=True)


def test_a_handler_that_hangs_behind_the_last_piece(house: House) -> None:
    with Upload(house, "last", hang="last") as upload:
        upload.slowly(3)
        upload.end()
        ended = time.monotonic() - upload.began
        assert refused(upload, 504, "PLUGIN_TIMEOUT") >= ended + TIMEOUT - 0.05
    assert house.note(id="last", cancelled=True)


def test_a_handler_that_reads_no_further(house: House) -> None:
    """What it has not taken is more than it was given ahead, so that it is the one who is waited for. A library
    is so from its first piece on."""
    with Upload(house, "no-further", hang="first") as upload:
        upload.slowly(3)
        upload.send(600_000)
        ended = 0.0 if isinstance(house, LibraryHouse) else time.monotonic() - upload.began
        assert refused(upload, 504, "PLUGIN_TIMEOUT") >= ended + TIMEOUT - 0.05
    assert house.note(id="no-further", cancelled=True)


def broke_off(house: House, name: str) -> None:
    """The handler has read an error, and no end."""
    eventually(lambda: any("broken" in note for note in house.notes(id=name)), what="a body that breaks off")
    assert not any("whole" in note for note in house.notes(id=name))
    house.idle()


def test_a_client_that_sends_no_further(house: House) -> None:
    with Upload(house, "stalls") as upload:
        upload.slowly(3)
        ended = time.monotonic() - upload.began
        assert refused(upload, 408, "REQUEST_TIMEOUT") >= ended + READ - 0.05
    broke_off(house, "stalls")


def test_a_client_that_leaves_while_it_is_waited_for(house: House) -> None:
    for number in range(5):
        with Upload(house, f"half-{number}") as upload:
            upload.send(1000)
            upload.taken()
        broke_off(house, upload.name)


def test_a_client_that_leaves(house: House) -> None:
    with Upload(house, "leaves", hang="first") as upload:
        upload.slowly(2)
    assert house.note(id="leaves", cancelled=True)
    house.idle()


@pytest.mark.parametrize("house", BESIDE, indirect=True)
def test_an_upload_is_read_on_while_its_answer_is_a_stream(house: House) -> None:
    with Upload(house, "beside") as upload:
        upload.send(1000)
        head = upload.socket.recv(65536, socket.MSG_PEEK)  # the stream has begun
        assert head.startswith(b"HTTP/1.1 200"), head
        upload.slowly(3)
        upload.end()
        status, body, _ = upload.answer()
    assert (status, body["bytes"]) == (200, 4000)
    house.idle()


@pytest.fixture(
    params=[pytest.param(("nats", "upload"), id="nats"), pytest.param(("go", "upload"), id="go", marks=needs_go)]
)
def mortal(request: pytest.FixtureRequest, own_stage: Stage) -> Iterator[House]:
    """With a worker that may die."""
    with ExitStack() as stack:
        yield start(stack, own_stage, *request.param)


def test_the_worker_dies(mortal: House) -> None:
    with Upload(mortal, "dies") as upload:
        upload.slowly(3)
        upload.taken()
        for pid in children(mortal.worker.pid) or [mortal.worker.pid]:
            os.kill(pid, signal.SIGKILL)
        refused(upload, 503, "PLUGIN_LOST")


def test_the_worker_drains(mortal: House) -> None:
    with Upload(mortal, "drains") as upload:
        upload.slowly(3)
        upload.taken()
        mortal.worker.signal(signal.SIGTERM)
        mortal.worker.wait_for("drain")
        time.sleep(PAUSE)  # sleep: a slow client
        upload.send(1000)
        upload.end()
        status, body, _ = upload.answer()
    assert (status, body["bytes"]) == (200, 4000)
    mortal.worker.wait()
