"""The two layers of configuration: the runtime file and the files of the proxy directory."""

import os
from typing import Annotated, ClassVar

from pydantic import Field

from nylon.config.limits import Limits
from nylon.config.messaging import Messaging
from nylon.config.middleware import Middleware
from nylon.config.pingora import Pingora
from nylon.config.plugins import Plugin
from nylon.config.routes import Route
from nylon.config.section import Section
from nylon.config.services import Service
from nylon.config.values import Duration, HeaderName, ListenAddress, Network, Text
from nylon.config.workers import Worker

_TERMINATOR = "TLS is not built yet: listen under 'http' and put a TLS terminator in front"


class ProxyFile(Section):
    """A file of the proxy directory: what is routed where, and through which plugins."""

    not_built: ClassVar = {"tls": _TERMINATOR}

    header_selector: HeaderName | None = None
    """Name of the header that `header` routes look at. Default `x-nylon-proxy`. A client can send it, too."""

    messaging: list[Messaging] = []
    """Connections to NATS."""

    plugins: list[Plugin] = []
    """Pieces of code that middleware and services refer to."""

    services: list[Service] = []
    """Where requests go."""

    middleware_groups: dict[str, list[Middleware]] = {}
    """Named lists of middleware. A group may use other groups."""

    routes: list[Route] = []
    """What requests match."""


class RuntimeFile(ProxyFile):
    """The file given to `nylon run -c`. It may hold the keys of a proxy file, too: a small set-up is one file."""

    not_built: ClassVar = {
        **ProxyFile.not_built,
        "https": _TERMINATOR,
        "acme": "certificates are not managed yet: let the TLS terminator in front do it",
        "websocket": "WebSocket adapters are not built yet: take the block out",
    }

    http: list[ListenAddress] = []
    """Addresses to listen on for HTTP/1.1, at least one."""

    metrics: list[ListenAddress] = []
    """Addresses of the admin listener: `/metrics`, `/healthz`, `/readyz`. Keep it off the public network."""

    config_dir: Text | None = None
    """Directory of the proxy files: every `*.yaml` and `*.yml` below it, sorted by path, without names that begin with
    a dot. Default `/etc/nylon/config`, or none if this file has routes of its own."""

    threads: Annotated[int, Field(ge=1, le=256)] | None = None
    """Threads that serve requests. Default: the number of usable cores, at most 16. A change needs a restart."""

    drain_timeout: Duration | None = None
    """How long requests in flight may take to end after SIGTERM; then they are cut. Default 30s."""

    trusted_proxies: list[Network] = []
    """Networks of proxies whose `X-Forwarded-*`, `Forwarded` and `X-Request-Id` are believed. Default: none."""

    limits: Limits = Limits()
    """Bounds on what clients may ask for."""

    workers: list[Worker] = []
    """Python workers that `nylon run` starts beside the gateway."""

    pingora: Pingora = Pingora()
    """Settings under the names of the original."""


def usable_cores() -> int:
    """Return how many cores this process may run on, at most 16."""
    return max(1, min(len(os.sched_getaffinity(0)), 16))
