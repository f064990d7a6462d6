"""WebSockets of the Go SDK over NATS: the Python SDK's tests where both have the same to say, and Go's own."""

import signal
from collections.abc import Iterator
from typing import Any

import pytest

from .support import go
from .support.gateway import Gateway, configuration
from .support.nats import NatsServer
from .support.sockets import House
from .test_rooms import test_a_member_that_is_too_slow_is_closed_and_holds_nobody_up
from .test_websockets import (
    test_a_callback_that_raises_closes_with_1011,
    test_a_thousand_messages_keep_their_order,
    test_an_error_comes_before_the_close,
    test_nobody_gets_past_an_auth_plugin,
    test_rooms_can_be_spoken_to_when_the_socket_is_closed,
    test_the_sub_protocol_is_the_handlers_first_that_the_client_offers,
)

__all__ = [
    "test_a_callback_that_raises_closes_with_1011",
    "test_a_member_that_is_too_slow_is_closed_and_holds_nobody_up",
    "test_a_thousand_messages_keep_their_order",
    "test_an_error_comes_before_the_close",
    "test_nobody_gets_past_an_auth_plugin",
    "test_rooms_can_be_spoken_to_when_the_socket_is_closed",
    "test_the_sub_protocol_is_the_handlers_first_that_the_client_offers",
]

pytestmark = pytest.mark.skipif(not go.available(), reason="this machine has no Go")

# The path of each entry: `echo` answers bodies in the tests about streams.
ENTRIES = {"echo": "talk", "called": "called", "rooms": "rooms"}


def config_of(nats: str, **changes: Any) -> dict[str, Any]:
    """Every entry as a plugin service, and behind an auth plugin at `/private`."""
    config = configuration(nats, "127.0.0.1:1", **changes)
    config["services"] += [
        {"name": path, "service_type": "plugin", "plugin": {"name": "tested", "entry": entry}}
        for path, entry in ENTRIES.items()
    ]
    paths: list[dict[str, Any]] = [{"path": f"/{path}", "service": {"name": path}} for path in ENTRIES]
    private = {"path": "/private", "service": {"name": "echo"}, "middleware": [{"plugin": "tested", "entry": "auth"}]}
    config["routes"][0]["paths"] = [*paths, private]
    return config


@pytest.fixture(scope="module")
def house(shared_nats: NatsServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with (
        go.GoWorker(go.build("./internal/tested"), shared_nats.url) as worker,
        Gateway(tmp_path_factory.mktemp("sockets"), config_of(shared_nats.url)) as gateway,
    ):
        yield House(gateway, worker)  # pyright: ignore[reportArgumentType]


def test_messages_of_any_length_go_both_ways(house: House) -> None:
    with house.client(x_id="both") as client:
        assert client.headers["x-entry"] == "echo"
        for message in ("hello", b"\x00\xff", "", b"", "ünï", "x" * 70_000, b"y" * 1_000_000):
            client.send(message)
            assert client.receive() == message
        assert client.close(1000, "enough") == (1000, "enough")
    assert house.note(logged="both")["status"] == 101
    assert len(house.notes(id="both", over=True)) == 1
    house.idle()


def test_callbacks_come_one_at_a_time_and_the_close_last(house: House) -> None:
    with house.client("called", x_id="caller") as client:
        client.send("hello")
        client.send(b"\x00" * 9)
        client.send("again")
        assert [client.receive(), client.receive()] == ["caller: hello", "caller: again"]
        client.close(1000)
    house.note(logged="caller")
    calls = [note["on"] for note in house.notes(id="caller")]
    assert calls == ["open", "opened", "text", "binary", "text", "close"]


def test_a_request_that_is_no_handshake_is_the_handlers_to_answer(house: House) -> None:
    assert house.gateway.get("/echo").status == 426
    house.idle()


def test_a_killed_worker_closes_with_1011_and_a_draining_one_with_1001(shared_nats: NatsServer, tmp_path: Any) -> None:
    for group, number, closure in (
        ("killed", signal.SIGKILL, (1011, "the plugin failed")),
        ("drained", signal.SIGTERM, (1001, "the worker shuts down")),
    ):
        (tmp_path / group).mkdir()
        with (
            go.GoWorker(go.build("./internal/tested"), shared_nats.url, group=group) as worker,
            Gateway(tmp_path / group, config_of(shared_nats.url, plugin={"group": group})) as gateway,
        ):
            house = House(gateway, worker)  # pyright: ignore[reportArgumentType]
            with house.client() as client:
                client.send("hello")
                assert client.receive() == "hello"
                worker.signal(number)
                assert client.closed() == closure
