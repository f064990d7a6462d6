"""HTTP/1.1 on both sides of a gateway: a client that sees a cut body, and an upstream that remembers."""

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import Any, cast

Headers = list[dict[str, str]]


@dataclass
class Answer:
    """What the client got; `cut` when the connection broke before the end."""

    status: int = 0
    headers: Headers = field(default_factory=list[dict[str, str]])
    body: bytes = b""
    cut: bool = False
    seconds: float = 0.0
    trailers: Headers = field(default_factory=list[dict[str, str]])

    def header(self, name: str) -> str | None:
        """The first value of a header."""
        return next((one["value"] for one in self.headers if one["name"] == name), None)


def lines_of(headers: dict[str, Any]) -> list[tuple[str, str]]:
    """Names and values to send; a list is a header that repeats."""
    values = {name: cast("list[str]", value) if isinstance(value, list) else [value] for name, value in headers.items()}
    return [(name, str(one)) for name, repeats in values.items() for one in repeats]


async def head_of(reader: asyncio.StreamReader) -> tuple[str, Headers]:
    """First line and headers of a message."""
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    return lines[0], _pairs(lines[1:])


def _pairs(lines: list[str]) -> Headers:
    pairs = [line.partition(":") for line in lines if line]
    return [{"name": name.lower(), "value": value.strip()} for name, _, value in pairs]


async def _body(reader: asyncio.StreamReader, answer: Answer, *, to_end: bool) -> None:
    """Put a body into `answer` as it comes."""
    named = {one["name"]: one["value"] for one in answer.headers}
    try:
        if named.get("transfer-encoding", "").lower() == "chunked":
            while size := int((await reader.readline()).split(b";")[0] or b"z", 16):
                await _exactly(reader, answer, size)
                await reader.readexactly(2)
            lines: list[str] = []
            while line := (await _whole_line(reader)).strip():
                lines.append(line.decode("latin-1"))
            answer.trailers = _pairs(lines)
        elif "content-length" in named:
            await _exactly(reader, answer, int(named["content-length"]))
        elif to_end:
            answer.body += await reader.read()
    except (asyncio.IncompleteReadError, ConnectionError, ValueError):
        answer.cut = True


async def _exactly(reader: asyncio.StreamReader, answer: Answer, size: int) -> None:
    """So many bytes, as they come: a cut body keeps what it had."""
    while size:
        piece = await reader.read(min(size, 1 << 16))
        if not piece:
            raise ConnectionError("the end came before the body's")
        answer.body += piece
        size -= len(piece)


async def _whole_line(reader: asyncio.StreamReader) -> bytes:
    """A line; the end of the connection in place of one is a cut."""
    return await reader.readuntil(b"\n")


class Exchange:
    """One request on a connection of its own; `answer` is what has come so far."""

    def __init__(  # noqa: PLR0913
        self, address: str, method: str, target: str, headers: dict[str, Any], body: bytes, *, reads: bool = True
    ) -> None:
        self.begun = time.monotonic()
        self.answer = Answer()
        self.reads = asyncio.Event()
        if reads:
            self.reads.set()
        self._writer: asyncio.StreamWriter | None = None
        self._sent = asyncio.Event()
        self.task = asyncio.ensure_future(self._run(address, method, target, headers, body))

    async def _run(self, address: str, method: str, target: str, headers: dict[str, Any], body: bytes) -> Answer:
        host, port = address.rsplit(":", 1)
        # a reader that is not read from stops the socket at twice its limit
        limit = 1 << 24 if self.reads.is_set() else 1 << 14
        reader, self._writer = await asyncio.open_connection(host, int(port), limit=limit)
        answer = self.answer
        try:
            lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in lines_of(headers))]
            if body:
                lines.append(f"content-length: {len(body)}")
            connection = "" if "connection" in headers else "connection: close"
            head = "\r\n".join([*lines, *filter(None, [connection]), "", ""])
            self._writer.write(head.encode("latin-1") + body)
            self._sent.set()
            await self.reads.wait()
            try:
                first, answer.headers = await head_of(reader)
            except (asyncio.IncompleteReadError, ConnectionError):
                answer.cut = True
                return answer
            answer.status = int(first.split(" ")[1])
            if method != "HEAD" and answer.status not in (204, 304):
                await _body(reader, answer, to_end=True)
            return answer
        finally:
            answer.seconds = time.monotonic() - self.begun
            self._writer.close()

    async def feed(self, data: bytes, *, last: bool) -> None:
        """Send a piece of a chunked body."""
        await self._sent.wait()
        assert self._writer is not None
        piece = b"%x\r\n%s\r\n" % (len(data), data) if data else b""
        self._writer.write(piece + (b"0\r\n\r\n" if last else b""))
        await self._writer.drain()

    def leave(self) -> None:
        """Go away without waiting for the answer."""
        if self._writer is not None:
            self._writer.transport.abort()
        self.task.cancel()


class Upstream:
    """Answers by the path (`/status/N`, `/bytes/N`, `/slow/MS`, `/late/MS`, `/cut/N`, `/events/MS`).

    Keeps what came by `x-case`.
    """

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
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # gateways may leave, and the run may end; that is not the upstream's problem
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        first, headers = await head_of(reader)
        method, target, _ = first.split(" ")
        asked = Answer(headers=headers)
        await _body(reader, asked, to_end=False)
        if asked.cut:
            return False
        named = next((one["value"] for one in headers if one["name"] == "x-case"), "")
        self.seen.setdefault(named, []).append(
            {
                "method": method,
                "target": target,
                "headers": headers,
                "body": asked.body,
                "length": len(asked.body),
                "trailers": asked.trailers,
            }
        )
        kind, _, argument = target.split("?")[0].strip("/").partition("/")
        number = int(argument) if argument.isdigit() else 0
        if kind == "slow":
            await asyncio.sleep(number / 1000)
        if kind == "events":
            return await self._events(writer, number)
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

    async def _events(self, writer: asyncio.StreamWriter, milliseconds: int) -> bool:
        """Two events, the second so much later, and a trailer; 0 breaks off after the first."""
        head = ["HTTP/1.1 200 Because", "content-type: text/event-stream", 'etag: "v1"', "transfer-encoding: chunked"]
        writer.write("\r\n".join([*head, "trailer: x-sum", "", ""]).encode() + b"9\r\ndata: 1\n\n\r\n")
        await writer.drain()
        if not milliseconds:
            await asyncio.sleep(0.2)
            writer.transport.abort()
            return False
        await asyncio.sleep(milliseconds / 1000)
        writer.write(b"9\r\ndata: 2\n\n\r\n0\r\nx-sum: 2\r\n\r\n")
        return True


async def fetch(address: str, target: str, host: str = "admin") -> Answer:
    """One GET of the runner itself."""
    return await Exchange(address, "GET", target, {"host": host}, b"").task


def error_of(answer: Answer) -> dict[str, Any]:
    """The JSON of an error answer (21.2), or nothing."""
    try:
        return dict(json.loads(answer.body))
    except ValueError:
        return {}
