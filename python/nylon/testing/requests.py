"""Asking the gateway of a test."""

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from http.client import HTTPConnection, HTTPResponse
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from nylon.testing.answers import Answer, UpgradeRefusedError
from nylon.testing.streams import AsyncStream, SyncStream
from nylon.testing.threads import Twin, awaited
from nylon.testing.upstream import Headers, Upstream, pairs

if TYPE_CHECKING:
    from nylon.testing.sockets import AsyncSocket, SyncSocket

_SECONDS = 30.0


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
        connection, response = self._ask(method, target, parts)
        try:
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def stream(self, method: str, target: str, **parts: Unpack[Parts]) -> SyncStream:
        """Send a request and return its answer when the head has come: `with t.stream("GET", "/events") as answer`.

        Raises as request does.
        """
        return SyncStream(*self._ask(method, target, parts))

    def websocket(self, target: str, *, headers: Headers = (), subprotocols: Sequence[str] = ()) -> "SyncSocket":
        """Open a WebSocket: `with t.websocket("/chat") as ws`. Raises UpgradeRefusedError if the answer is no 101."""
        try:
            from nylon.testing.sockets import SyncSocket, handshake
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(f"opening a WebSocket: {error}; pip install 'nylon[testing]'") from error
        asked = [*pairs(headers), *handshake(tuple(subprotocols))]
        connection, response = self._ask("GET", target, {"headers": asked})
        if response.status == 101:
            return SyncSocket(connection, response)
        try:
            raise UpgradeRefusedError(Answer(response.status, response.headers, response.read()))
        finally:
            connection.close()

    def _ask(self, method: str, target: str, parts: Parts) -> tuple[HTTPConnection, HTTPResponse]:
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
            return connection, connection.getresponse()
        except BaseException:
            connection.close()
            raise

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


class AsyncClient(Twin[SyncClient]):
    """As SyncClient, for a running loop."""

    request = awaited(SyncClient.request)
    get = awaited(SyncClient.get)
    post = awaited(SyncClient.post)
    put = awaited(SyncClient.put)
    delete = awaited(SyncClient.delete)

    def __init__(self, blocking: SyncClient) -> None:
        super().__init__(blocking)
        self.address = blocking.address
        self.upstream = blocking.upstream

    @asynccontextmanager
    async def stream(self, method: str, target: str, **parts: Unpack[Parts]) -> AsyncGenerator[AsyncStream, None]:
        """Send a request and give its answer when the head has come; the block's end closes the connection."""
        with await asyncio.to_thread(self.blocking.stream, method, target, **parts) as stream:
            yield AsyncStream(stream)

    @asynccontextmanager
    async def websocket(
        self, target: str, *, headers: Headers = (), subprotocols: Sequence[str] = ()
    ) -> AsyncGenerator["AsyncSocket", None]:
        """Open a WebSocket; the block's end leaves. Raises UpgradeRefusedError if the answer is no 101."""
        opening = asyncio.to_thread(self.blocking.websocket, target, headers=headers, subprotocols=subprotocols)
        with await opening as socket:
            from nylon.testing.sockets import AsyncSocket

            yield AsyncSocket(socket)
