"""Shared libraries with the Nylon ABI in the gateway's process: everything that works."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from .support.gateway import Gateway
from .support.http import Client, request
from .support.library import build, calm, library_configuration, link
from .support.patience import eventually
from .support.upstream import Upstream
from .support.websocket import WebSocketClient

Start = Callable[..., Gateway]


@pytest.fixture
def start(tmp_path: Path, upstream: Upstream) -> Iterator[Start]:
    """Starts gateways with the C library; `defines` are its macros."""
    with ExitStack() as stack:
        count = iter(range(100))

        def start(*defines: str, **changes: Any) -> Gateway:
            config = library_configuration(upstream.address, build(*defines), **changes)
            return stack.enter_context(Gateway(tmp_path / f"gateway{next(count)}", config))

        yield start


def test_a_library_answers_and_can_read_everything(start: Start) -> None:
    path = {"path": "/read/{name}", "service": {"name": "answer"}}
    gateway = start(paths=[path], payload={"k": "v"}, plugin={"config": {"a": [1, "ä"]}})
    headers = {"X-Test": "value", "Host": "a.test:8080"}
    answer = request(gateway.address, "POST", "/read/x%20y?a=1&b=", body=b"hello", headers=headers)
    assert answer.status == 201
    read = dict(line.split("=", 1) for line in answer.body.decode().splitlines())
    assert int(read.pop("211")) > 1_600_000_000_000
    assert read == {
        "200": "hello",
        "201": "value",
        "202": "1",
        "203": "http://a.test:8080/read/x%20y?a=1&b=",
        "204": "/read/x%20y",
        "205": "a=1&b=",
        "206": '{"name":"x%20y"}',
        "207": "a.test",
        "208": "127.0.0.1",
        "209": "POST",
        "210": "5",
        "payload": '{"k":"v"}',
        "absent": "",
    }
    assert answer.header("content-type") == "text/plain"
    assert answer.header("x-read-back") == "201"
    assert answer.header("x-bytes-back") == str(len(answer.body))
    # The framing is the gateway's own, whatever the library does about it.
    assert answer.all("content-length") == [str(len(answer.body))]
    assert answer.header("transfer-encoding") is None
    gateway.process.wait_for(r'library: initialize \{"a":\[1,"ä"\]\}')
    gateway.process.wait_for("library: extensions 400 401 402 410")
    eventually(lambda: calm(gateway), what="no session is left")
