"""Asking the gateway of a test."""

import asyncio
import json
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPConnection
from typing import Any, TypedDict, Unpack

from nylon.testing.upstream import Headers, Upstream, pairs

_SECONDS = 30.0


@dataclass(frozen=True)
class Answer:
    """What the client got: all of it, so that a stream has ended by then."""

    status: int
    headers: Message
    """By name, in any case; `get_all` for repeated ones."""
    body: bytes

    @property
    def text(self) -> str:
        """The body as UTF-8 text. Raises UnicodeDecodeError if it is none."""
        return self.body.decode()

    def json(self) -> Any:
        """The body as JSON. Raises ValueError if it is none."""
        return json.loads(self.body)


class Parts(TypedDict, total=False):
    """What a request may have beside method and target."""

    headers: Headers
    """Sent as they are. Host, Content-Length and, for `json`, Content-Type are added where they are missing."""
    body: bytes | str
    """Text goes as UTF-8."""
    json: Any
    """Sent as the body, with its content type; wins over `body`."""


class SyncClient:
    """Asks over HTTP/1.1, each request on a connection of its own. Any thread may use it, until the block ends."""

    def __init__(self, address: str, upstream: Upstream) -> None:
        self.address = address
        """Host and port of the gateway, for a client of your own."""
        self.upstream = upstream
        """What is behind the plugin; `upstream.seen` has what came through."""

    def request(self, method: str, target: str, **parts: Unpack[Parts]) -> Answer:
        """Send a request and return the answer; redirects are not followed.

        Raises http.client.HTTPException or OSError if it is cut off, TimeoutError if nothing comes for 30 s.
        """
        headers = pairs(parts.get("headers", ()))
        names = {name.lower() for name, _ in headers}
        body = parts.get("body")
        if "json" in parts:
            body = json.dumps(parts["json"])
            if "content-type" not in names:
                headers.append(("Content-Type", "application/json"))
        data = body.encode() if isinstance(body, str) else body
        if data is not None and not names & {"content-length", "transfer-encoding"}:
            headers.append(("Content-Length", str(len(data))))
        connection = HTTPConnection(self.address, timeout=_SECONDS)
        try:
            connection.putrequest(method, target, skip_host="host" in names, skip_accept_encoding=True)
            for name, value in headers:
                connection.putheader(name, value)
            connection.endheaders(data)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def get(self, target: str, **parts: Unpack[Parts]) -> Answer:
        """Send a GET."""
        return self.request("GET", target, **parts)

    def post(self, target: str, **parts: Unpack[Parts]) -> Answer:
        """Send a POST."""
        return self.request("POST", target, **parts)

    def put(self, target: str, **parts: Unpack[Parts]) -> Answer:
        """Send a PUT."""
        return self.request("PUT", target, **parts)

    def delete(self, target: str, **parts: Unpack[Parts]) -> Answer:
        """Send a DELETE."""
        return self.request("DELETE", target, **parts)


class AsyncClient:
    """As SyncClient, for a running loop: each request waits in a thread."""

    def __init__(self, client: SyncClient) -> None:
        self._client = client
        self.address = client.address
        self.upstream = client.upstream

    async def request(self, method: str, target: str, **parts: Unpack[Parts]) -> Answer:
        """Send a request and return the answer. Raises as SyncClient does."""
        return await asyncio.to_thread(self._client.request, method, target, **parts)

    async def get(self, target: str, **parts: Unpack[Parts]) -> Answer:
        """Send a GET."""
        return await self.request("GET", target, **parts)

    async def post(self, target: str, **parts: Unpack[Parts]) -> Answer:
        """Send a POST."""
        return await self.request("POST", target, **parts)

    async def put(self, target: str, **parts: Unpack[Parts]) -> Answer:
        """Send a PUT."""
        return await self.request("PUT", target, **parts)

    async def delete(self, target: str, **parts: Unpack[Parts]) -> Answer:
        """Send a DELETE."""
        return await self.request("DELETE", target, **parts)
