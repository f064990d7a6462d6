"""An upstream that records every request and answers as the path asks.

`/status/404` that status · `/bytes/N` N bytes · `/chunked/N` N bytes, chunked · `/slow/MS` after so long ·
`/late/MS` the head at once, `late` after so long ·
`/cut/N` announces 2 N bytes, sends N and resets · `/sse` one event as `text/event-stream` ·
`/events` an event, another one when `go_on` is set, and a trailer · `/endless` zeros for ever ·
anything else: JSON of what it saw.
"""

import hashlib
import json
import socket
import struct
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self, cast


@dataclass
class Seen:
    """One request as the upstream received it."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for known, value in self.headers if known.lower() == name.lower()), None)


@dataclass
class Upstream:
    """Started by `with`; `seen` is what came, in order."""

    seen: list[Seen] = field(default_factory=list[Seen])
    address: str = ""
    ip: str = "127.0.0.1"
    go_on: threading.Event = field(default_factory=threading.Event)
    _server: ThreadingHTTPServer | None = None

    def __enter__(self) -> Self:
        upstream = self

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False
            address_family = socket.AF_INET6 if ":" in upstream.ip else socket.AF_INET
            request_queue_size = 1024

            def handle_error(self, request: Any, client_address: Any) -> None:
                """Gateways may leave; that is not the upstream's problem."""

        class Handler(_Handler):
            owner = upstream

        self._server = Server((self.ip, 0), Handler)
        self.address = f"{self.ip}:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: Upstream
    # the gateway's pool must not wait for Nagle
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""

    def _body(self) -> bytes:
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            parts: list[bytes] = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self._whole(size))
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
            return b"".join(parts)
        return self._whole(int(self.headers.get("content-length") or 0))

    def _whole(self, count: int) -> bytes:
        """So many bytes; a part of a request is none."""
        got = self.rfile.read(count)
        if len(got) < count:
            raise ConnectionAbortedError("the request broke off")
        return got

    def _answer(self) -> None:
        body = self._body()
        seen = Seen(self.command, self.path, list(self.headers.items()), body)
        self.owner.seen.append(seen)
        kind, _, argument = self.path.split("?")[0].strip("/").partition("/")
        match kind:
            case "status":
                self._send(int(argument), b"" if int(argument) in (204, 304) else f"status {argument}".encode())
            case "bytes":
                self._send(200, _pattern(int(argument)), "application/octet-stream")
            case "chunked":
                self._chunked(_pattern(int(argument)))
            case "slow":
                threading.Event().wait(int(argument) / 1000)
                self._send(200, b"slow")
            case "late":
                self._late(int(argument))
            case "cut":
                self._cut(int(argument))
            case "sse":
                self._send(200, b"data: one\n\n", "text/event-stream")
            case "events":
                self._events()
            case "endless":
                self._endless()
            case _:
                report = {
                    "method": seen.method,
                    "target": seen.target,
                    "headers": [[name.lower(), value] for name, value in seen.headers],
                    "length": len(body),
                    "sha256": hashlib.sha256(body).hexdigest(),
                }
                self._send(200, json.dumps(report).encode(), "application/json")

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = do_OPTIONS = _answer

    def _send(self, status: int, body: bytes, kind: str = "text/plain") -> None:
        self.send_response(status)
        self.send_header("X-Upstream", "yes")
        if status not in (204, 304):
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", '"v1"')
        self.end_headers()
        if self.command != "HEAD" and status not in (204, 304):
            self.wfile.write(body)

    def _chunked(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for start in range(0, len(body), 4096):
            part = body[start : start + 4096]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        self.wfile.write(b"0\r\n\r\n")

    def _events(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.send_header("Trailer", "X-Sum")
        self.end_headers()
        self.wfile.write(b"b\r\ndata: one\n\n\r\n")
        self.wfile.flush()
        self.owner.go_on.wait(20)
        self.wfile.write(b"b\r\ndata: two\n\n\r\n0\r\nX-Sum: 22\r\n\r\n")

    def _endless(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while True:
            self.wfile.write(b"10000\r\n%s\r\n" % bytes(65536))

    def _late(self, milliseconds: int) -> None:
        self.send_response(200)
        self.send_header("X-Upstream", "yes")
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.flush()
        threading.Event().wait(milliseconds / 1000)
        self.wfile.write(b"late")

    def _cut(self, count: int) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(2 * count))
        self.end_headers()
        self.wfile.write(_pattern(count))
        self.wfile.flush()
        connection = cast(socket.socket, self.connection)
        # a reset, not a clean end
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True


def _pattern(count: int) -> bytes:
    """Bytes whose order shows: a counter of four digits over and over."""
    block = b"".join(b"%04d" % number for number in range(2500))
    return (block * (count // len(block) + 1))[:count]
