"""The chat, tested: behind a gateway in this process, without NATS. `pytest test_chat.py`."""

import chat
import pytest

from nylon.testing import SocketClosedError
from nylon.testing.fixtures import Start


def test_everybody_in_the_room_hears_what_is_said(nylon_plugin: Start) -> None:
    client = nylon_plugin(chat.plugin, service="talk", path="/rooms/{room}")
    with client.websocket("/rooms/hall?name=Ann") as ann:
        assert ann.receive() == "Ann is here"
        with client.websocket("/rooms/hall?name=Bob") as bob:
            assert (ann.receive(), bob.receive()) == ("Bob is here", "Bob is here")
            bob.send("hello")
            assert (ann.receive(), bob.receive()) == ("Bob: hello", "Bob: hello")
        assert ann.receive() == "Bob has left"


def test_only_text_is_spoken(nylon_plugin: Start) -> None:
    client = nylon_plugin(chat.plugin, service="talk", path="/rooms/{room}")
    assert client.get("/rooms/hall").status == 426
    with client.websocket("/rooms/hall") as ws:
        assert ws.receive() == "somebody is here"
        ws.send(b"\x00")
        with pytest.raises(SocketClosedError, match="1003 text only"):
            ws.receive()
