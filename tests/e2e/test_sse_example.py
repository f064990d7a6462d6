"""examples/sse does what it says."""

import shutil
import socket
from pathlib import Path

from .support.http import get, request
from .support.patience import eventually
from .support.process import NYLON, Process

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "sse"


def listen(address: str) -> socket.socket:
    """A listener that has been welcomed."""
    host, _, port = address.rpartition(":")
    client = socket.create_connection((host, int(port)), timeout=20)
    client.sendall(b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n")
    head = until(client, b": welcome\n\n").lower()
    assert head.startswith(b"http/1.1 200") and b"content-type: text/event-stream" in head
    return client


def until(client: socket.socket, wanted: bytes) -> bytes:
    got = b""
    while wanted not in got:
        more = client.recv(4096)
        assert more, got
        got += more
    return got


def test_everybody_hears_what_is_posted(tmp_path: Path) -> None:
    shutil.copytree(EXAMPLE, tmp_path / "sse")
    config = tmp_path / "sse" / "nylon.yaml"
    config.write_text(config.read_text().replace(":8080", ":0").replace(":6192", ":0"))
    with Process([*NYLON, "run", "-c", str(config)], cwd=config.parent) as process:
        found = process.wait_for(r"listening(?=.*\blistener=http\b).*\baddress=['\"]?([^\s'\"]+)", seconds=60)
        address = found[1]
        eventually(lambda: b"EventSource" in get(address, "/").body, what="the page", seconds=40)
        with listen(address) as one, listen(address) as two:
            answer = request(address, "POST", "/events", body=b"hello\nworld")
            assert answer.json == {"listeners": 2}
            for client in (one, two):
                until(client, b"data: hello\ndata: world\n\n")
        # who has left is forgotten
        eventually(lambda: request(address, "POST", "/events", body=b"x").json == {"listeners": 0}, what="nobody")
        assert request(address, "POST", "/events", body=b" ").status == 400
        assert process.terminate() == 0
