"""examples/chat does what it says."""

import shutil
from pathlib import Path

from .support.http import get
from .support.patience import eventually
from .support.process import NYLON, Process
from .support.websocket import WebSocketClient

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "chat"


def test_everybody_in_a_room_hears_what_is_said(tmp_path: Path) -> None:
    shutil.copytree(EXAMPLE, tmp_path / "chat")
    config = tmp_path / "chat" / "nylon.yaml"
    config.write_text(config.read_text().replace(":8080", ":0").replace(":6192", ":0"))
    with Process([*NYLON, "run", "-c", str(config)], cwd=config.parent) as process:
        found = process.wait_for(r"listening(?=.*\blistener=http\b).*\baddress=['\"]?([^\s'\"]+)", seconds=60)
        address = found[1]
        eventually(lambda: b"new WebSocket" in get(address, "/").body, what="the page", seconds=40)
        assert get(address, "/rooms/hall").status == 426
        with WebSocketClient(address, "/rooms/hall?name=Ann") as ann:
            assert ann.receive() == "Ann is here"
            with (
                WebSocketClient(address, "/rooms/hall?name=Bob") as bob,
                WebSocketClient(address, "/rooms/attic?name=Eve") as eve,
            ):
                assert (ann.receive(), bob.receive(), eve.receive()) == ("Bob is here", "Bob is here", "Eve is here")
                bob.send("hello")
                assert (ann.receive(), bob.receive()) == ("Bob: hello", "Bob: hello")
                assert bob.close(1000) == (1000, "")
                assert ann.receive() == "Bob has left"
                eve.send("alone?")
                assert eve.receive() == "Eve: alone?"
                eve.send(b"\x00")
                assert eve.closed() == (1003, "text only")
            ann.close(1000)
        assert process.terminate() == 0
