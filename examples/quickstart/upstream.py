"""The upstream of the quickstart: says what it was sent."""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = json.dumps({"path": self.path, "headers": dict(self.headers.items())}, indent=2).encode() + b"\n"
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the gateway's log is what matters here."""


def start(port: int) -> ThreadingHTTPServer:
    """Listen on loopback; port 0 takes a free one."""
    return ThreadingHTTPServer(("127.0.0.1", port), Echo)


if __name__ == "__main__":
    start(int(sys.argv[1]) if len(sys.argv) > 1 else 9000).serve_forever()
