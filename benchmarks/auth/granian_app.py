"""The auth rule as an HTTP service for nginx `auth_request`: an RSGI and an ASGI application for Granian."""

from typing import Any

TOKEN = "Bearer secret"


class Rsgi:
    """Granian's own protocol."""

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        if scope.headers.get("authorization") == TOKEN:
            protocol.response_empty(200, [("x-auth-user", "alice")])
        else:
            protocol.response_empty(401, [])


rsgi = Rsgi()

PASS = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"x-auth-user", b"alice"), (b"content-length", b"0")],
}
DENY = {"type": "http.response.start", "status": 401, "headers": [(b"content-length", b"0")]}
END = {"type": "http.response.body", "body": b""}


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    """The same as ASGI; a `lifespan` scope is refused by raising, as the specification allows."""
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    answer = DENY
    for name, value in scope["headers"]:
        if name == b"authorization":
            if value == b"Bearer secret":
                answer = PASS
            break
    await send(answer)
    await send(END)
