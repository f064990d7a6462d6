"""How a plugin reaches its group: what the code says, else the environment, else a default."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypedDict

DEFAULT_SERVER = "nats://127.0.0.1:4222"


class Options(TypedDict, total=False):
    """Keyword arguments of `Plugin` and `NatsPlugin`."""

    prefix: str
    """Beginning of every subject: tokens of `[A-Za-z0-9_-]` joined by dots (default: NYLON_PREFIX, else `nylon`)."""
    name: str
    """Name in the server's connection list (default: `nylon-` and the group)."""
    user: str
    """NATS user (default: NATS_USER). It, `token`, `nkey_seed` and `creds_file` exclude each other; of those in the
    environment the first one counts, in this order, and none if the code has one."""
    password: str
    """Its password (default: NATS_PASSWORD, else empty)."""
    token: str
    """NATS token (default: NATS_TOKEN)."""
    nkey_seed: str
    """NATS nkey seed, `SU…` (default: NATS_NKEY_SEED)."""
    creds_file: str | os.PathLike[str]
    """NATS credentials file (default: NATS_CREDS_FILE)."""
    tls: bool
    """Whether TLS is required even if no server asks for it (default: whether NATS_TLS is set, to any text). The files
    below require it, too."""
    tls_ca_file: str | os.PathLike[str]
    """PEM file of the authorities to trust instead of the system's (default: NATS_CA_FILE)."""
    tls_cert_file: str | os.PathLike[str]
    """PEM file of the client's certificate; needs `tls_key_file` (default: NATS_CERT_FILE)."""
    tls_key_file: str | os.PathLike[str]
    """PEM file of its key (default: NATS_KEY_FILE)."""
    ping_interval: float
    """Seconds between pings of the connection; a server that misses two is left for another (default 5)."""
    max_threads: int
    """Most `def` handlers that run at once, each in a thread; more wait (default 32, at least 1)."""
    max_sessions: int
    """Most sessions in handlers or waiting for them, streams and WebSockets too; one more is answered BUSY, and goes to
    another worker (SPEC 22.1; default 1024, at least 1)."""
    max_body_bytes: int
    """Longest body that a handler gets or sets as a whole, in bytes; streams have no limit (default 10 MiB)."""
    drain_timeout: float
    """Seconds that running sessions may take to finish before they are aborted (default 25; 0 waits for none)."""
    config: Mapping[str, Any]
    """The worker's own configuration, of JSON values; wins over the gateway's, and is taken at the start."""
    version: str
    """Semantic version shown by `nats micro info` (default `0.0.0`)."""
    metadata: Mapping[str, str]
    """Names and values shown by `nats micro info` (default: none)."""


LIMITS = ("max_threads", "max_sessions", "max_body_bytes", "drain_timeout", "config", "version", "metadata")
"""Options that have nothing to do with where a plugin serves."""


@dataclass(frozen=True)
class Settings:
    """Options with everything filled in."""

    servers: list[str]
    group: str
    prefix: str = "nylon"
    name: str = ""
    user: str | None = None
    password: str | None = None
    token: str | None = None
    nkey_seed: str | None = None
    creds_file: str | os.PathLike[str] | None = None
    tls: bool = False
    tls_ca_file: str | os.PathLike[str] | None = None
    tls_cert_file: str | os.PathLike[str] | None = None
    tls_key_file: str | os.PathLike[str] | None = None
    ping_interval: float = 5.0
    max_threads: int = 32
    max_sessions: int = 1024
    max_body_bytes: int = 10 << 20
    drain_timeout: float = 25.0
    config: Mapping[str, Any] | None = None
    version: str = "0.0.0"
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])

    def for_worker(self, *, initialize: bool) -> dict[str, Any]:
        """As the extension wants them."""
        values: dict[str, Any] = {one.name: getattr(self, one.name) for one in fields(self)}
        for name in ("group", "max_threads", "config"):
            del values[name]
        values["name"] = self.name or f"nylon-{self.group}"
        values["metadata"] = dict(self.metadata)
        values["initialize"] = initialize
        for name in ("creds_file", "tls_ca_file", "tls_cert_file", "tls_key_file"):
            values[name] = None if values[name] is None else Path(values[name])
        if self.config is not None:
            values["config"] = json.dumps(self.config).encode()
        return values


_IDENTITIES = {
    "user": "NATS_USER",
    "token": "NATS_TOKEN",
    "nkey_seed": "NATS_NKEY_SEED",
    "creds_file": "NATS_CREDS_FILE",
}
_VARIABLES = {
    "password": "NATS_PASSWORD",
    "prefix": "NYLON_PREFIX",
    "tls_ca_file": "NATS_CA_FILE",
    "tls_cert_file": "NATS_CERT_FILE",
    "tls_key_file": "NATS_KEY_FILE",
}


def server_list(servers: str | Sequence[str] | None) -> list[str]:
    """Servers given as one text with commas, or as several."""
    parts = servers.split(",") if isinstance(servers, str) else list(servers or ())
    return [part.strip() for part in parts if part.strip()]


def resolve(
    servers: str | Sequence[str] | None,
    group: str | None,
    options: Options,
    environment: Mapping[str, str],
) -> Settings:
    """Fills in what the code leaves out. Raises ValueError when there is no group, or a number makes no sense."""
    group = group or environment.get("NATS_GROUP")
    if not group:
        raise ValueError("starting a worker: no group is given; pass group=... or set NATS_GROUP")
    merged: dict[str, Any] = dict(options)
    # One way to prove who we are: what the code names keeps the environment's others out.
    if not any(merged.get(name) for name in _IDENTITIES):
        for name, variable in _IDENTITIES.items():
            if environment.get(variable):
                merged[name] = environment[variable]
                break
    for name, variable in _VARIABLES.items():
        if merged.get(name) is None and environment.get(variable):
            merged[name] = environment[variable]
    merged.setdefault("tls", bool(environment.get("NATS_TLS")))
    if merged.get("max_threads", 1) < 1:
        raise ValueError("starting a worker: max_threads must be at least 1")
    found = server_list(servers) or server_list(environment.get("NATS_SERVERS")) or [DEFAULT_SERVER]
    return Settings(servers=found, group=group, **merged)
