"""Rooms of libraries that reach other gateways over a messaging connection."""

from contextlib import ExitStack
from pathlib import Path
from select import select
from typing import Any

import pytest

from .support import go
from .support.gateway import Gateway
from .support.library import Start, build, calm, library_configuration
from .support.nats import NatsServer
from .support.patience import eventually
from .support.upstream import Upstream
from .support.websocket import WebSocketClient


def configured(nats: str, upstream: Upstream) -> dict[str, Any]:
    """A library whose WebSockets stand at `/plugin`, with rooms over NATS."""
    config = library_configuration(upstream.address, build(), service="socket", plugin={})
    config["messaging"] = [{"name": "bus", "type": "nats", "servers": [nats]}]
    config["plugins"][0]["messaging"] = "bus"
    return config


def connected(gateway: Gateway) -> bool:
    """Whether its threads are."""
    return gateway.metric("nylon_nats_connected") == 2


def member(gateway: Gateway, name: str) -> WebSocketClient:
    """A client that is in the room, as the server knows: it has heard itself."""
    client = WebSocketClient(gateway.address, "/plugin")
    assert client.receive() == "hello"
    client.send(f"all:{name} is here")
    while client.receive() != f"{name} is here":
        pass
    return client


def hears_itself(client: WebSocketClient) -> bool:
    """Whether what the client says in the room comes back: its gateway is subscribed."""
    client.send("all:again")
    return bool(select([client.socket], [], [], 1)[0] and client.receive())


def test_a_room_spans_gateways(shared_nats: NatsServer, upstream: Upstream, tmp_path: Path) -> None:
    config = configured(shared_nats.url, upstream)
    with ExitStack() as stack:
        gateways = [stack.enter_context(Gateway(tmp_path / name, config)) for name in ("one", "two")]
        for gateway in gateways:
            eventually(lambda gateway=gateway: connected(gateway), what="a connection")
        clients = [
            stack.enter_context(member(gateway, f"{place}{number}"))
            for place, gateway in enumerate(gateways)
            for number in range(3)
        ]
        for number in range(100):
            clients[0].send(f"all:{number}")
        for client in clients:
            heard: list[str | bytes] = []
            while len(heard) < 100:
                message = client.receive()
                if not str(message).endswith("is here"):
                    heard.append(message)
            assert heard == [str(number) for number in range(100)], "each once, in order"
        clients[5].send("leave")
        assert clients[5].receive() == "left"
        clients[5].send("all:from outside")
        for client in clients[:5]:
            assert client.receive() == "from outside"
        clients[5].send("still here")
        assert clients[5].receive() == "still here"
        # One that has gone says goodbye to all of them from its callback.
        clients[0].drop()
        for client in clients[1:5]:
            assert client.receive() == b"gone"
        for client in clients[1:]:
            client.drop()
        for gateway in gateways:
            eventually(lambda gateway=gateway: calm(gateway), what="no session is left")


def test_what_was_said_in_its_own_room_comes_before_its_close(
    shared_nats: NatsServer, upstream: Upstream, tmp_path: Path
) -> None:
    with Gateway(tmp_path, configured(shared_nats.url, upstream)) as gateway:
        eventually(lambda: connected(gateway), what="a connection")
        for _ in range(20):
            with member(gateway, "a") as client:
                client.send("end:last words")
                assert client.receive() == "last words"
                assert client.closed()[0] == 1000
        eventually(lambda: calm(gateway), what="no session is left")


def test_what_is_said_behind_the_end_of_a_session_counts(start: Start) -> None:
    """Its library says it before it returns from hearing of that."""
    gateway = start("MASK", service="socket_parting")
    with member(gateway, "a") as stays:
        with member(gateway, "b") as leaves:
            leaves.close()
        heard = [stays.receive() for _ in range(3)]
    assert heard == ["b is here", b"gone", b"parting"]
    eventually(lambda: calm(gateway), what="no session is left")


def test_what_is_said_behind_a_socket_that_failed_counts(start: Start) -> None:
    gateway = start("MASK", service="socket")
    with member(gateway, "a") as stays:
        with member(gateway, "b") as fails:
            fails.send("rude")
            assert fails.closed()[0] == 1011
        assert [stays.receive() for _ in range(2)] == ["b is here", b"gone"]
    eventually(lambda: calm(gateway), what="no session is left")


@pytest.mark.skipif(not go.available(), reason="this machine has no Go")
def test_a_go_library_without_logging_says_goodbye(upstream: Upstream, tmp_path: Path) -> None:
    file = go.build("./internal/tested", library=True)
    with (
        Gateway(tmp_path, library_configuration(upstream.address, file, service="parting")) as gateway,
        WebSocketClient(gateway.address, "/plugin", x_id="stays") as stays,
    ):
        assert stays.receive() == "hello"
        for number in range(5):
            with WebSocketClient(gateway.address, "/plugin", x_id=f"{number}") as leaves:
                assert leaves.receive() == "hello"
                leaves.close()
            assert stays.receive() == f"{number} has left"


def test_members_survive_a_lost_connection(own_nats: NatsServer, upstream: Upstream, tmp_path: Path) -> None:
    config = configured(own_nats.url, upstream)
    with Gateway(tmp_path / "one", config) as one, Gateway(tmp_path / "two", config) as two:
        for gateway in (one, two):
            eventually(lambda gateway=gateway: connected(gateway), what="a connection")
        with member(one, "a") as speaker, member(two, "b") as listener:
            own_nats.kill()
            for gateway in (one, two):
                eventually(lambda gateway=gateway: not connected(gateway), what="a lost connection")
            speaker.send("all:lost")
            speaker.send("direct")  # what is no room's goes on
            while speaker.receive() != "direct":
                pass
            one.process.wait_for("what a plugin library says in a room is lost")
            own_nats.start()
            for gateway in (one, two):
                eventually(lambda gateway=gateway: connected(gateway), what="a connection")

            for client in (speaker, listener):
                eventually(lambda client=client: hears_itself(client), what="its own word")
            listener.send("all:me too")
            for client in (speaker, listener):
                while client.receive() != "me too":
                    pass
