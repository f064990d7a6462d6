"""Compiles a configuration into the snapshot that the data plane reads: JSON with every default written out."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nylon.config.files import RuntimeFile, usable_cores
from nylon.config.messaging import IN_PROCESS, Messaging
from nylon.config.middleware import BUILT_IN, Middleware
from nylon.config.plugins import Plugin
from nylon.config.policy import OnError, Policy
from nylon.config.routes import Path, Route
from nylon.config.services import Service

_DRAIN_TIMEOUT_MS = 30_000
_TIMEOUT_MS = 5_000
_IDLE_CONNECTIONS = 128
_HEADER_SELECTOR = "x-nylon-proxy"


@dataclass(frozen=True)
class Server:
    """Where an embedded nats-server listens, and what it wants to hear."""

    url: str
    user: str
    password: str


def compile(  # noqa: PLR0913 (what a process adds to a configuration)
    config: RuntimeFile,
    *,
    number: int = 1,
    loaded_at_ms: int = 0,
    embedded: Mapping[str, Server] | None = None,
    cores: int | None = None,
    bus: str = "gateway",
) -> bytes:
    """Return the snapshot of `config` as JSON.

    `number` counts the revisions of this process, `loaded_at_ms` is the time of loading since the epoch; workers go by
    it when two gateways disagree. `embedded` has the servers started for messaging entries with `embedded: true`; `bus`
    names what carries the sessions of plugins of `type: python` inside this process.
    """
    return json.dumps(
        _Compiler(config, embedded or {}, bus).snapshot(number, loaded_at_ms, cores or usable_cores()),
        ensure_ascii=False,
        separators=(",", ":"),
    ).encode()


def drain_timeout_ms(config: RuntimeFile) -> int:
    """Return how long requests in flight may take to end after SIGTERM, in milliseconds."""
    if config.drain_timeout is not None:
        return config.drain_timeout
    grace = config.pingora.grace_period_seconds
    return _DRAIN_TIMEOUT_MS if grace is None else grace * 1_000


class _Compiler:
    def __init__(self, config: RuntimeFile, embedded: Mapping[str, Server], bus: str) -> None:
        self.config = config
        self.embedded = embedded
        self.plugins = {plugin.name: plugin for plugin in config.plugins}
        self.messaging = {messaging.name: messaging for messaging in config.messaging}
        if any(plugin.type == "python" for plugin in config.plugins):
            # not validated: no file may name a bus
            self.messaging[IN_PROCESS] = Messaging.model_construct(name=IN_PROCESS, servers=[f"memory:{bus}"])

    def snapshot(self, number: int, loaded_at_ms: int, cores: int) -> dict[str, Any]:
        config, limits = self.config, self.config.limits
        return {
            "revision": {"number": number, "loaded_at_ms": loaded_at_ms},
            "process": {
                "listen": _listen(config.http),
                "admin": config.metrics,
                "threads": config.threads or config.pingora.threads or cores,
                "drain_timeout_ms": drain_timeout_ms(config),
            },
            "limits": {
                "max_header_bytes": limits.max_header_bytes,
                "max_headers": limits.max_headers,
                "max_request_body_bytes": limits.max_request_body_bytes,
                "max_connections": limits.max_connections,
                "header_timeout_ms": limits.header_timeout,
                "idle_timeout_ms": limits.idle_timeout,
                "read_timeout_ms": limits.read_timeout,
                "write_timeout_ms": limits.write_timeout,
            },
            "trusted_proxies": config.trusted_proxies,
            "header_selector": config.header_selector or _HEADER_SELECTOR,
            "messaging": [self._messaging(entry) for entry in self.messaging.values()],
            "plugins": [self._plugin(plugin) for plugin in config.plugins],
            "services": [self._service(service) for service in config.services],
            "routes": [self._route(route) for route in config.routes],
        }

    def _messaging(self, entry: Messaging) -> dict[str, Any]:
        auth: dict[str, Any] | None = None
        if entry.auth is not None:
            auth = entry.auth.model_dump(exclude_none=True)
        servers = entry.servers
        if entry.embedded:
            server = self.embedded[entry.name]
            servers = [server.url]
            auth = {"user": server.user, "password": server.password}
        return {
            "name": entry.name,
            "servers": servers,
            "prefix": entry.prefix,
            "timeout_ms": entry.timeout,
            "accept_timeout_ms": entry.accept_timeout,
            "ping_interval_ms": entry.ping_interval,
            "auth": auth,
            "tls": entry.tls.model_dump() if entry.tls is not None else None,
        }

    def messaging_of(self, plugin: Plugin) -> Messaging:
        """Return the messaging entry that a plugin uses; where it names none there is only one."""
        if plugin.type == "python":
            return self.messaging[IN_PROCESS]
        return self.messaging[plugin.messaging] if plugin.messaging is not None else self.config.messaging[0]

    def _plugin(self, plugin: Plugin) -> dict[str, Any]:
        if plugin.type == "ffi":
            return {
                "name": plugin.name,
                "type": "ffi",
                "file": plugin.file,
                "executor": plugin.executor,
                "messaging": plugin.messaging,
                "config": _json(plugin.config),
                "max_in_flight": plugin.max_in_flight,
                "max_body_bytes": plugin.max_body_bytes,
            }
        return {
            "name": plugin.name,
            # to the data plane, a worker in this process is a worker
            "type": "messaging",
            "messaging": self.messaging_of(plugin).name,
            "group": plugin.name if plugin.type == "python" else plugin.group or plugin.name,
            "config": _json(plugin.config),
            "config_hash": _hash(plugin.config),
            "balance": "auto" if plugin.type == "python" else plugin.balance,
            "max_in_flight": plugin.max_in_flight,
            "max_body_bytes": plugin.max_body_bytes,
            "prefetch_body_bytes": plugin.prefetch_body_bytes,
        }

    def _service(self, service: Service) -> dict[str, Any]:
        if service.service_type == "plugin" and service.plugin is not None:
            use = service.plugin
            return {
                "name": service.name,
                "type": "plugin",
                "link": self._link(use.name, use.entry, use.payload, use),
            }
        idle = service.max_idle_connections
        if idle is None:
            idle = self.config.pingora.upstream_keepalive_pool_size
        return {
            "name": service.name,
            "type": "http",
            "algorithm": service.algorithm,
            "endpoints": [
                {"address": _address(endpoint.ip, endpoint.port), "weight": endpoint.weight}
                for endpoint in service.endpoints or []
            ],
            "connect_timeout_ms": service.timeouts.connect,
            "head_timeout_ms": service.timeouts.head,
            "read_timeout_ms": service.timeouts.read,
            "write_timeout_ms": service.timeouts.write,
            "idle_timeout_ms": service.timeouts.idle,
            "max_idle_connections": _IDLE_CONNECTIONS if idle is None else idle,
        }

    def _link(self, name: str, entry: str, payload: Any, policy: Policy) -> dict[str, Any]:
        plugin = self.plugins[name]
        timeout = policy.timeout or plugin.timeout
        if timeout is None:
            timeout = _TIMEOUT_MS if plugin.type == "ffi" else self.messaging_of(plugin).timeout
        on_error = policy.on_error or plugin.on_error or OnError()
        headers = policy.headers
        return {
            "plugin": name,
            "entry": entry,
            "payload": _json(payload),
            "timeout_ms": timeout,
            "on_error": on_error.model_dump(),
            "phases": policy.phases,
            "headers": {
                "allow": headers.allow if headers is not None else None,
                "deny": headers.deny if headers is not None else [],
            },
            "retry": policy.retry,
        }

    def _chain(self, links: Sequence[Middleware]) -> Iterator[dict[str, Any]]:
        for link in links:
            if link.group is not None:
                yield from self._chain(self.config.middleware_groups[link.group])
            elif link.plugin in BUILT_IN:
                yield _modifier(link)
            elif link.plugin is not None and link.entry is not None:
                yield self._link(link.plugin, link.entry, link.payload, link)

    def _route(self, route: Route) -> dict[str, Any]:
        return {
            "name": route.name,
            "match": {"type": route.route.type, "values": route.route.values},
            "strip_headers": route.strip_headers,
            "paths": [self._path(route, path) for path in route.paths],
        }

    def _path(self, route: Route, path: Path) -> dict[str, Any]:
        return {
            "patterns": path.path,
            "methods": path.methods,
            "encoded_slashes": path.encoded_slashes,
            "service": path.service.name,
            "rewrite": path.service.rewrite,
            "chain": [*self._chain(route.middleware), *self._chain(path.middleware)],
        }


def _modifier(link: Middleware) -> dict[str, Any]:
    return {
        "plugin": link.plugin,
        "entry": "",
        "payload": _json(link.payload),
        # it never waits
        "timeout_ms": _TIMEOUT_MS,
        "on_error": OnError().model_dump(),
        "phases": None,
        "headers": {"allow": None, "deny": []},
        "retry": 0,
    }


def _json(value: Any) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _hash(config: Any) -> str:
    text = json.dumps(config, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _address(ip: str, port: int) -> str:
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"


def _listen(addresses: list[str]) -> list[str]:
    """Leave out what `0.0.0.0` on the same port covers: the original binds only the first such address."""
    covered = {address.rpartition(":")[2] for address in addresses if address.startswith("0.0.0.0:")} - {"0"}
    return [
        address
        for address in addresses
        if address.startswith(("0.0.0.0:", "[")) or address.rpartition(":")[2] not in covered
    ]
