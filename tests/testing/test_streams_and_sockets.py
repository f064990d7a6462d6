"""`TestPlugin`: answers that are read while they are made, and WebSockets; in memory and through a real nats-server."""

import asyncio
import socket
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.client import HTTPConnection, IncompleteRead

import pytest

from nylon import ClientGoneError, HttpError, NotWebSocketError, PhaseHandler, Plugin, RequestFilterContext
from nylon.testing import SocketClosedError, TestPlugin, UpgradeRefusedError
from nylon.testing.sockets import SyncSocket

in_memory_and_real = pytest.mark.parametrize("real", [False, True], ids=["memory", "nats"])


class Talkative:
    """A plugin that streams and has WebSockets, and how they ended."""

    def __init__(self) -> None:
        self.plugin = Plugin()
        self.ended = threading.Event()
        self.closed: list[tuple[int | None, str | None]] = []
        outer = self

        @self.plugin.handler("ticks")
        class Ticks(PhaseHandler):  # pyright: ignore[reportUnusedClass]
            async def request_filter(self, ctx: RequestFilterContext) -> None:
                async with ctx.response.stream() as stream:
                    await stream.write("data: 1\n\ndata: 2\n\n")
                    if ctx.request.path == "/cut":
                        raise ValueError("asked to")
                    if ctx.request.path == "/short":
                        return
                    try:
                        await asyncio.Event().wait()
                    finally:
                        outer.ended.set()

        @self.plugin.handler("room")
        class Room(PhaseHandler):  # pyright: ignore[reportUnusedClass]
            async def request_filter(self, ctx: RequestFilterContext) -> None:
                try:
                    ws = await ctx.websocket_upgrade(subprotocols=["two", "one"])
                except NotWebSocketError as error:
                    raise HttpError(426, "no WebSocket") from error
                try:
                    await ws.join("hall")
                    await ws.send("joined")
                    async for message in ws:
                        if message == "end":
                            await ws.close(4000, "enough")
                        else:
                            await ws.broadcast("hall", message)
                except ClientGoneError:
                    pass  # so early that it could not even join
                outer.closed.append((ws.close_code, ws.close_reason))
                outer.ended.set()


@pytest.fixture
def talkative() -> Talkative:
    return Talkative()


@in_memory_and_real
def test_an_answer_is_read_while_it_is_made(talkative: Talkative, real: bool) -> None:
    with TestPlugin(talkative.plugin, service="ticks", real=real) as t:
        with t.stream("GET", "/") as answer:
            assert (answer.status, answer.headers["Transfer-Encoding"]) == (200, "chunked")
            assert [answer.until(b"\n\n"), answer.until(b"\n\n")] == [b"data: 1\n\n", b"data: 2\n\n"]
            assert not talkative.ended.is_set()
        assert talkative.ended.wait(10), "the handler hears that its client has left"


def test_an_answer_that_ends_and_one_that_is_cut(talkative: Talkative) -> None:
    with TestPlugin(talkative.plugin, service="ticks") as t:
        with t.stream("GET", "/short") as answer:
            assert b"".join(answer) == b"data: 1\n\ndata: 2\n\n"
        with t.stream("GET", "/short") as answer, pytest.raises(EOFError, match=r"without b'3'.*data: 2"):
            answer.until(b"3")
        # A reset may take along what has not been read, the head included.
        with pytest.raises((IncompleteRead, ConnectionResetError)), t.stream("GET", "/cut") as answer:
            list(answer)


@pytest.mark.parametrize(
    ("size", "real"), [*((size, False) for size in (0, 5, 125, 126, 65_535, 65_536, 100_000)), (100_000, True)]
)
def test_messages_come_back_whole(talkative: Talkative, size: int, real: bool) -> None:
    with TestPlugin(talkative.plugin, service="room", real=real) as t, t.websocket("/") as one, t.websocket("/") as two:
        assert one.receive() == two.receive() == "joined"
        for message in ("é" + "x" * size, b"\xff" * size):
            one.send(message)
            assert one.receive() == two.receive() == message
        assert one.close(1000, "bye") == (1000, "bye")
        assert talkative.ended.wait(10)
        assert talkative.closed == [(1000, "bye")]


@in_memory_and_real
def test_the_plugin_closes(talkative: Talkative, real: bool) -> None:
    with TestPlugin(talkative.plugin, service="room", real=real) as t:
        with t.websocket("/", subprotocols=["one", "two"], headers={"X-A": "1"}) as ws:
            assert (ws.subprotocol, ws.headers["Upgrade"]) == ("two", "websocket")
            assert ws.receive() == "joined"
            ws.send("end")
            with pytest.raises(SocketClosedError, match="closed with 4000 enough"):
                ws.receive()
        # What it has said to the room before the close comes first.
        for _ in range(10):
            with t.websocket("/", subprotocols=["one"]) as ws:
                ws.send("a")
                ws.send("end")
                assert list(ws) == ["joined", "a"]


def test_a_client_that_leaves(talkative: Talkative) -> None:
    with TestPlugin(talkative.plugin, service="room") as t:
        with t.websocket("/", subprotocols=["one"]):
            pass
        assert talkative.ended.wait(10)
        assert talkative.closed[0][0] == 1006


def test_an_answer_that_is_no_upgrade(talkative: Talkative) -> None:
    with TestPlugin(talkative.plugin, service="room", path="/here") as t:
        with pytest.raises(UpgradeRefusedError, match="the answer is 404") as refused:
            t.websocket("/elsewhere")
        assert refused.value.answer.status == 404
        assert t.get("/here").status == 426


@in_memory_and_real
def test_in_a_loop(talkative: Talkative, real: bool) -> None:
    async def ask() -> None:
        async with TestPlugin(talkative.plugin, service="room", real=real) as t:
            async with t.websocket("/", subprotocols=["one"]) as ws:
                await ws.send("hello")
                assert [await ws.receive(), await ws.receive()] == ["joined", "hello"]
                await ws.send("again")
                await ws.send("end")
                assert [message async for message in ws] == ["again"]
            async with t.websocket("/", subprotocols=["one"]) as ws:
                assert await ws.close(1001) == (1001, "")
        async with TestPlugin(talkative.plugin, service="ticks", real=real) as t:
            async with t.stream("GET", "/") as answer:
                assert await answer.until(b"\n\n") == b"data: 1\n\n"
                assert await answer.read() == b"data: 2\n\n"
            async with t.stream("GET", "/short") as answer:
                assert b"".join([piece async for piece in answer]) == b"data: 1\n\ndata: 2\n\n"

    asyncio.run(ask())


@contextmanager
def served(frames: bytes) -> Generator[tuple[SyncSocket, socket.socket]]:
    """A client, and the server's end of its connection, which has sent these frames."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + frames)
        connection = HTTPConnection("a.test")
        connection.sock = ours
        connection.request("GET", "/")
        with SyncSocket(connection, connection.getresponse()) as client:
            theirs.recv(65536)
            yield client, theirs


def test_a_message_in_pieces_and_a_ping_between_them() -> None:
    with served(b"\x01\x02a\xc3\x89\x02hi\x80\x01\xa9") as (client, theirs):
        assert client.receive() == "aé"
        assert theirs.recv(2) == b"\x8a\x82", "a masked pong"


def test_a_gateway_that_breaks_the_protocol_has_not_closed() -> None:
    for frames in (b"\x91\x01a", b"\x81\x81\0\0\0\0a", b"\x81\x01\xff", b"\x83\x00"):
        with served(frames) as (client, _), pytest.raises(ConnectionError, match=r"which is 100[27]"):
            client.receive()


def test_a_ping_behind_our_close_is_not_answered() -> None:
    with served(b"\x89\x00\x88\x02\x03\xe8") as (client, _):
        assert client.close() == (1000, "")
        with pytest.raises(ConnectionError, match="sending to a WebSocket"):
            client.send("late")


def test_what_websockets_need_is_named(talkative: Talkative, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wsproto.connection", None)
    monkeypatch.delitem(sys.modules, "nylon.testing.sockets")
    with TestPlugin(talkative.plugin, service="room", path="/here") as t:
        assert t.get("/here").status == 426
        with pytest.raises(ModuleNotFoundError, match=r"wsproto.*pip install 'nylon\[testing\]'"):
            t.websocket("/here")
