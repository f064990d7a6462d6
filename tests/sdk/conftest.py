"""A real nats-server and a real gateway in this process, for plugins that are served."""

import dataclasses
import http.client
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import pytest

from nylon import Plugin
from nylon._core import Gateway
from nylon.config import Server
from nylon.control.nats import EmbeddedNats


def until(condition: Callable[[], object], what: str, seconds: float = 10.0) -> None:
    """Waits for a condition."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.002)


@dataclass
class Answer:
    """What the gateway answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Served:
    """A gateway whose path `/x` is served by the entry `x` of the plugin."""

    def __init__(self, nats: Server, group: str, entries: tuple[str, ...]) -> None:
        self._nats, self._group, self._entries = nats, group, entries
        self._number = 0
        self._settled = False
        self.config: Mapping[str, Any] | None = None
        self._gateway = Gateway(self._snapshot())

    def _snapshot(self) -> bytes:
        self._number += 1
        config = None if self.config is None else json.dumps(self.config)
        services = [{"name": entry, "type": "plugin", "link": _link(entry)} for entry in self._entries]
        paths = [
            {
                "patterns": [f"/{entry}"],
                "methods": None,
                "encoded_slashes": "refuse",
                "service": entry,
                "rewrite": None,
                "chain": [],
            }
            for entry in self._entries
        ]
        snapshot = {
            "revision": {"number": self._number, "loaded_at_ms": self._number},
            "process": {"listen": ["127.0.0.1:0"], "admin": [], "threads": 1, "drain_timeout_ms": 1000},
            "limits": _LIMITS,
            "trusted_proxies": [],
            "header_selector": "x-nylon-proxy",
            "messaging": [
                {
                    "name": "local",
                    "servers": [self._nats.url],
                    "prefix": "nylon",
                    "timeout_ms": 5000,
                    "accept_timeout_ms": 250,
                    "ping_interval_ms": 5000,
                    "auth": {"user": self._nats.user, "password": self._nats.password},
                    "tls": None,
                }
            ],
            "plugins": [
                {
                    "name": "plugin",
                    "type": "messaging",
                    "messaging": "local",
                    "group": self._group,
                    "config": config,
                    "config_hash": f"{self._number:064x}",
                    "balance": "auto",
                    "max_in_flight": 4096,
                    "max_body_bytes": 10 << 20,
                    "prefetch_body_bytes": 32768,
                }
            ],
            "services": services,
            "routes": [
                {
                    "name": "main",
                    "match": {"type": "host", "values": ["*"]},
                    "strip_headers": [],
                    "paths": paths,
                }
            ],
        }
        return json.dumps(snapshot).encode()

    def _workers(self) -> bool:
        return re.search(r"^nylon_workers\{[^}]*\} [1-9]", self._gateway.metrics(), re.MULTILINE) is not None

    def reload(self, config: Mapping[str, Any]) -> None:
        """Gives the plugin another configuration."""
        self.config = config
        self._gateway.reload(self._snapshot())

    def get(self, path: str, body: bytes | None = None, timeout: float = 20.0) -> Answer:
        """Asks the gateway, the first time when it has heard of a worker."""
        if not self._settled:
            until(self._workers, "a worker's beat")
            self._settled = True
        host, port = self._gateway.addresses()["http"][0].split(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=timeout)
        try:
            connection.request("GET" if body is None else "POST", path, body)
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def __enter__(self) -> Self:
        self._gateway.start()
        until(self._gateway.ready, "the gateway's connection to nats")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._gateway.stop()


def _link(entry: str) -> dict[str, Any]:
    return {
        "plugin": "plugin",
        "entry": entry,
        "payload": None,
        "timeout_ms": 5000,
        "on_error": dict.fromkeys(("request_filter", "response_filter", "response_body_filter", "logging"), "fail"),
        "phases": None,
        "headers": {"allow": None, "deny": []},
        "retry": 1,
    }


_LIMITS = {
    "max_header_bytes": 65536,
    "max_headers": 100,
    "max_request_body_bytes": None,
    "max_connections": 16384,
    "header_timeout_ms": 10000,
    "idle_timeout_ms": 60000,
    "read_timeout_ms": 60000,
    "write_timeout_ms": 60000,
}


@pytest.fixture(scope="session")
def nats() -> Iterator[Server]:
    server = EmbeddedNats()
    yield server.server
    server.stop()


@dataclass
class Bench:
    """Makes plugins and gateways that belong together."""

    nats: Server
    group: str

    def plugin(self, **options: Any) -> Plugin:
        """A plugin of the group."""
        nats = dataclasses.asdict(self.nats)
        return Plugin(nats["url"], self.group, user=nats["user"], password=nats["password"], **options)

    def gateway(self, plugin: Plugin) -> Served:
        """A gateway for its entries."""
        return Served(self.nats, self.group, plugin.entries)


@pytest.fixture
def bench(nats: Server, request: pytest.FixtureRequest) -> Bench:
    return Bench(nats, request.node.name)
