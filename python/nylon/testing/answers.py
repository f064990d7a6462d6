"""What a client of a test gets, and what it raises."""

import json
from dataclasses import dataclass
from email.message import Message
from typing import Any


@dataclass(frozen=True)
class Answer:
    """What the client got: all of it, so that a stream has ended by then. `stream` reads one while it is made."""

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


class UpgradeRefusedError(Exception):
    """A WebSocket was asked for, and the answer is another."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(f"opening a WebSocket: the answer is {answer.status}: {answer.body[:200]!r}")
        self.answer = answer
        """What came in place of the 101."""


class SocketClosedError(Exception):
    """The plugin, or the gateway for it, has closed the WebSocket."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"the WebSocket was closed with {code} {reason}".rstrip())
        self.code = code
        """Of RFC 6455; 1005 if the close had none."""
        self.reason = reason
