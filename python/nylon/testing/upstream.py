"""The service behind the plugin in a test: an HTTP server in a thread, which notes what it gets."""

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

Headers = Mapping[str, str] | Iterable[tuple[str, str]]
"""Names and values; pairs where a name is repeated."""


def pairs(headers: Headers) -> list[tuple[str, str]]:
    """Return headers one by one."""
    return list(cast("Mapping[str, str]", headers).items() if isinstance(headers, Mapping) else headers)


@dataclass(frozen=True)
class UpstreamRequest:
    """A request as it came to the upstream, with everything that plugins did to it."""

    method: str
    target: str
    """Path and query."""
    headers: Message
    """By name, in any case; `get_all` for repeated ones."""
    body: bytes


@dataclass(frozen=True)
class UpstreamAnswer:
    """What the upstream answers; the `Content-Length` is added. Text goes as UTF-8."""

    status: int = 200
    headers: Headers = ()
    body: bytes | str = b""


UpstreamHandler = Callable[[UpstreamRequest], UpstreamAnswer]
"""Makes an answer; called in threads of the upstream, several at a time."""


class Upstream:
    """A running upstream; `seen` is what came, in order, before it was answered. It may be emptied between requests."""

    def __init__(self, answer: UpstreamAnswer | UpstreamHandler) -> None:
        """Start it on a free loopback port."""
        self.seen: list[UpstreamRequest] = []
        self._answer = answer

        class Handler(_Handler):
            upstream = self

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, name="nylon-test-upstream", daemon=True
        )
        self._thread.start()

    def answer(self, request: UpstreamRequest) -> UpstreamAnswer:
        """Note the request and answer it."""
        self.seen.append(request)
        return self._answer if isinstance(self._answer, UpstreamAnswer) else self._answer(request)

    def close(self) -> None:
        """End it, once."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # the gateway keeps its connections; they end with it
    block_on_close = False


class _Handler(BaseHTTPRequestHandler):
    upstream: Upstream
    protocol_version = "HTTP/1.1"

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except ConnectionError:
            # the gateway left, as it does when its client has
            self.close_connection = True

    def parse_request(self) -> bool:
        if not super().parse_request():
            return False
        # the base class looks for a method of its own for each method of HTTP
        setattr(self, f"do_{self.command}", self._serve)
        return True

    def _serve(self) -> None:
        request = UpstreamRequest(self.command, self.path, self.headers, self._read_body())
        answer = self.upstream.answer(request)
        body = answer.body.encode() if isinstance(answer.body, str) else answer.body
        self.send_response(answer.status)
        for name, value in pairs(answer.headers):
            self.send_header(name, value)
        bodiless = answer.status in (204, 304)
        if not bodiless:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if not bodiless and self.command != "HEAD":
            self.wfile.write(body)

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", "0")))
        body = b""
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline() not in (b"\r\n", b""):
            pass
        return body

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: `seen` has it all."""
