"""The peer of the WebSocket echo: the `websockets` package by itself, on the port that is given."""

import asyncio
import sys
from http import HTTPStatus

from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


def plain(connection: ServerConnection, request: Request) -> Response | None:
    """Answers who only looks whether it is there."""
    return None if "Upgrade" in request.headers else connection.respond(HTTPStatus.OK, "ok\n")


async def main() -> None:
    # Compression is off on both sides: Nylon offers none.
    async with serve(echo, "127.0.0.1", int(sys.argv[1]), compression=None, process_request=plain) as server:
        await server.serve_forever()


asyncio.run(main())
