"""Reloads with plugin libraries: all or nothing, and without a gap on the way to NATS."""

import socket
from typing import Any

from .support.gateway import Gateway, configuration
from .support.library import Start, build, library_configuration, link
from .support.patience import eventually
from .support.upstream import Upstream
from .support.websocket import WebSocketClient


def initialized(gateway: Gateway) -> list[str]:
    """What libraries have been given, in order."""
    return [line.rpartition(" ")[2] for line in gateway.process.lines if "library: initialize" in line]


def test_a_library_that_hangs_leaves_the_others_with_what_they_had(start: Start, upstream: Upstream) -> None:
    gateway = start(chain=[link("auth")], plugin={"config": {"version": 1}})
    second = {"name": "second", "type": "ffi", "file": str(build("SECOND")), "config": {"hang_initialize": 1}}
    changes: dict[str, Any] = {"chain": [link("auth")], "plugin": {"config": {"version": 2}}, "plugins": [second]}
    gateway.reload(library_configuration(upstream.address, build(), **changes))
    gateway.process.wait_for("reload refused")
    assert initialized(gateway) == [
        '{"version":1}',
        '{"version":2}',
        '{"hang_initialize":1}',
        '{"version":1}',
    ]
    assert gateway.get("/").status == 401
    assert gateway.get("/", Authorization="Bearer secret").status == 200


def test_a_reload_that_is_refused_elsewhere_tells_libraries_nothing(start: Start, upstream: Upstream) -> None:
    gateway = start(plugin={"config": {"version": 1}})
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        changes: dict[str, Any] = {"plugin": {"config": {"version": 2}}, "top": {"http": [address]}}
        gateway.reload(library_configuration(upstream.address, build(), **changes))
    gateway.process.wait_for("reload refused")
    assert initialized(gateway) == ['{"version":1}']
    gateway.reload(library_configuration(upstream.address, build(), plugin={"config": {"version": 3}}))
    gateway.process.wait_for("reloaded")
    assert initialized(gateway) == ['{"version":1}', '{"version":3}']


def test_a_reload_does_not_wait_for_nats_for_ever(start: Start, upstream: Upstream) -> None:
    gateway = start(chain=[link("auth")])
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        gateway.reload(
            configuration(f"nats://127.0.0.1:{nobody.getsockname()[1]}", upstream.address, chain=[link("auth")])
        )
        gateway.process.wait_for("new nats connections are not up yet")
        gateway.process.wait_for("reloaded")
        assert gateway.get("/", Authorization="Bearer secret").status == 503, "nothing passes a plugin that is away"


def test_a_library_that_keeps_a_gateway_thread_is_reported_and_moved(start: Start) -> None:
    gateway = start("RUNS", plugin={"executor": "inline"}, chain=[link("thread_slow")])
    assert gateway.metric("nylon_ffi_blocks") == 0
    assert gateway.get("/").status == 200
    gateway.process.wait_for("the plugin library keeps a gateway thread")
    eventually(lambda: gateway.metric("nylon_ffi_blocks") == 1, what="the library was moved")
    assert gateway.get("/").status == 200


def test_the_end_of_a_websocket_keeps_no_gateway_thread(start: Start) -> None:
    gateway = start("MASK", "RUNS", plugin={"executor": "inline"}, service="socket_lingering")
    with WebSocketClient(gateway.address, "/plugin") as client:
        assert client.receive() == "hello"
        client.close()
    gateway.process.wait_for("socket_lingering: has let go")
    assert gateway.metric("nylon_ffi_blocks") == 0
