"""HTTP/1.1 on both sides of a gateway: a client that sees a cut body, and an upstream that remembers."""

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import Any

Headers = list[dict[str, str]]


@dataclass
class Answer:
    """What the client got; `cut` when the connection broke before the end."""

    status: int = 0
    headers: Headers = field(default_factory=list[dict[str, str]])
    body: bytes = b""
    cut: bool = False
    seconds: float = 0.0

    def header(self, name: str) -> str | None:
        """The first value of a header."""
        return next((one["value"] for one in self.headers if one["name"] == name), None)


async def _head(reader: asyncio.StreamReader) -> tuple[str, Headers]:
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    pairs = [line.partition(":") for line in lines[1:] if line]
    return lines[0], [{"name": name.lower(), "value": value.strip()} for name, _, value in pairs]


async def _body(reader: asyncio.StreamReader, headers: Headers, *, to_end: bool) -> tuple[bytes, bool]:
    named = {one["name"]: one["value"] for one in headers}
    body = b""
    try:
        if named.get("transfer-encoding", "").lower() == "chunked":
            while size := int((await reader.readline()).split(b";")[0] or b"z", 16):
                body += await reader.readexactly(size)
                await reader.readexactly(2)
            while (await reader.readline()).strip():
                pass
        elif "content-length" in named:
            body = await reader.readexactly(int(named["content-length"]))
        elif to_end:
            body = await reader.read()
    except asyncio.IncompleteReadError as error:
        return body + error.partial, True
    except (ConnectionError, ValueError):
        return body, True
    return body, False


class Exchange:
    """One request on a connection of its own."""

    def __init__(self, address: str, method: str, target: str, headers: dict[str, str], body: bytes) -> None:
        self.begun = time.monotonic()
        self._writer: asyncio.StreamWriter | None = None
        self.task = asyncio.ensure_future(self._run(address, method, target, headers, body))

    async def _run(self, address: str, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
        host, port = address.rsplit(":", 1)
        reader, self._writer = await asyncio.open_connection(host, int(port), limit=1 << 24)
        try:
            lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
            if body:
                lines.append(f"content-length: {len(body)}")
            self._writer.write("\r\n".join([*lines, "connection: close", "", ""]).encode("latin-1") + body)
            try:
                first, found = await _head(reader)
            except (asyncio.IncompleteReadError, ConnectionError):
                return Answer(cut=True, seconds=time.monotonic() - self.begun)
            status = int(first.split(" ")[1])
            none = method == "HEAD" or status in (204, 304)
            content, cut = (b"", False) if none else await _body(reader, found, to_end=True)
            return Answer(status, found, content, cut, time.monotonic() - self.begun)
        finally:
            self._writer.close()

    def leave(self) -> None:
        """Go away without waiting for the answer."""
        if self._writer is not None:
            self._writer.transport.abort()
        self.task.cancel()


class Upstream:
    """Answers by the path (`/status/N`, `/bytes/N`, `/slow/MS`, `/late/MS`, `/cut/N`); keeps what came by `x-case`."""

    def __init__(self) -> None:
        self.seen: dict[str, list[dict[str, Any]]] = {}
        self.address = ""
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 24)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def stop(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._one(reader, writer):
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # gateways may leave; that is not the upstream's problem
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        first, headers = await _head(reader)
        method, target, _ = first.split(" ")
        body, cut = await _body(reader, headers, to_end=False)
        if cut:
            return False
        named = next((one["value"] for one in headers if one["name"] == "x-case"), "")
        self.seen.setdefault(named, []).append(
            {"method": method, "target": target, "headers": headers, "length": len(body)}
        )
        kind, _, argument = target.split("?")[0].strip("/").partition("/")
        number = int(argument) if argument.isdigit() else 0
        if kind == "slow":
            await asyncio.sleep(number / 1000)
        status = number if kind == "status" else 200
        content = (
            b""
            if status in (204, 304)
            else b"0123456789abcdef" * (number // 16)
            if kind in ("bytes", "cut")
            else b"upstream"
        )
        announced = 2 * len(content) if kind == "cut" else len(content)
        extra = ["set-cookie: a=1", "set-cookie: b=2", 'etag: "v1"', "x-upstream: yes", "content-type: text/plain"]
        head = [
            f"HTTP/1.1 {status} Because",
            *extra,
            *([] if status in (204, 304) else [f"content-length: {announced}"]),
        ]
        writer.write("\r\n".join([*head, "", ""]).encode())
        if kind == "late":
            await writer.drain()
            await asyncio.sleep(number / 1000)
        if method != "HEAD":
            writer.write(content)
        if kind == "cut":
            await writer.drain()
            writer.transport.abort()
            return False
        return True


async def fetch(address: str, target: str) -> Answer:
    """One GET of the runner itself."""
    return await Exchange(address, "GET", target, {"host": "admin"}, b"").task


def error_of(answer: Answer) -> dict[str, Any]:
    """The JSON of an error answer (21.2), or nothing."""
    try:
        return dict(json.loads(answer.body))
    except ValueError:
        return {}
