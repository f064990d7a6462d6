"""A small HTTP client over `http.client`, one connection each, that keeps repeats of headers."""

import http.client
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    seconds: float

    def header(self, name: str) -> str | None:
        return next((value for known, value in self.headers if known.lower() == name.lower()), None)

    def all(self, name: str) -> list[str]:
        return [value for known, value in self.headers if known.lower() == name.lower()]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """A keep-alive connection to one address."""

    def __init__(self, address: str, *, seconds: float = 20.0) -> None:
        self._connection = http.client.HTTPConnection(address, timeout=seconds)

    def request(
        self, method: str, target: str, *, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        start = time.monotonic()
        self._connection.request(method, target, body=body, headers=dict(headers or {}))
        response = self._connection.getresponse()
        content = response.read()
        return Answer(response.status, response.getheaders(), content, time.monotonic() - start)

    def get(self, target: str, **headers: str) -> Answer:
        return self.request("GET", target, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def close(self) -> None:
        self._connection.close()


def get(address: str, target: str, **headers: str) -> Answer:
    """One GET on a connection of its own."""
    return request(address, "GET", target, headers={name.replace("_", "-"): value for name, value in headers.items()})


def request(
    address: str,
    method: str,
    target: str,
    *,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """One request on a connection of its own."""
    client = Client(address)
    try:
        return client.request(method, target, body=body, headers=headers)
    finally:
        client.close()
