"""What `nylon dev` serves: the configuration beside a plugin, or one made up from the plugin's entries."""

import json
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from nylon.config import ConfigError, Loaded, Location, Problem, RuntimeFile, load
from nylon.config.workers import Worker
from nylon.control.entries import EntriesError, EntryFound, find_entries

_NAME = "app"


@dataclass(frozen=True)
class DevOptions:
    """What `nylon dev` was told."""

    target: str
    """The plugin, as for `nylon worker`."""
    config: Path | None
    """The configuration to use; None to make one up."""
    listen: str
    """Where to listen, when the configuration is made up."""
    upstream: str | None
    """URL of the server behind the plugin, when the configuration is made up."""
    group: str | None
    """Group of the plugin, where the configuration has several."""
    scratch: Path
    """A directory of our own, for the configuration that is made up."""


class DevSource:
    """Reads or makes the configuration, and knows when that is worth doing again."""

    def __init__(self, options: DevOptions) -> None:
        self._options = options
        self._seen: object = None
        self._files: Sequence[Path] = ()
        self.entries: list[EntryFound] = []

    def __call__(self) -> Loaded:
        """Return the configuration. Raises ConfigError, also when the plugin cannot be loaded."""
        options = self._options
        if options.config is not None:
            self._seen = _stamps([options.config, *self._files])
            loaded = load(options.config)
            self._files = loaded.files
            self._seen = _stamps([options.config, *self._files])
            return replace(loaded, config=with_plugin(loaded.config, options))
        self._seen = _stamps(_sources(options.target))
        try:
            self.entries = usable(find_entries(options.target), options)
        except EntriesError as error:
            raise ConfigError([Problem(Location(_file(options.target)), str(error))]) from None
        file = options.scratch / "nylon.yaml"
        file.write_text(json.dumps(made_up(self.entries, options)), encoding="utf-8")
        return load(file)

    def changed(self) -> bool:
        """Return whether reading again would give something else."""
        options = self._options
        if options.config is not None:
            return self._seen != _stamps([options.config, *self._files])
        stamps = _stamps(_sources(options.target))
        if self._seen == stamps:
            return False
        self._seen = stamps
        try:
            return find_entries(options.target) != self.entries
        except EntriesError:
            return False  # the worker, which starts again at every change, says why


def usable(entries: list[EntryFound], options: DevOptions) -> list[EntryFound]:
    """Return `entries` if requests can be served with them. Raises EntriesError."""
    if not entries:
        raise EntriesError(
            f"loading {options.target!r}: the plugin has no entry; register one with @plugin.handler(name)"
        )
    if options.upstream is None and not any(entry.answers for entry in entries):
        raise EntriesError(
            f"loading {options.target!r}: no entry has a request filter, so none can answer; "
            "name the server behind them with --upstream"
        )
    return entries


def made_up(entries: Sequence[EntryFound], options: DevOptions) -> dict[str, Any]:
    """Return a configuration for `entries`.

    With an upstream, all of them are middleware in front of it, in the order of the file. Without, each is a service
    under its own name, and a single one answers everything.
    """
    config: dict[str, Any] = {
        "http": [options.listen],
        "messaging": [{"name": _NAME, "embedded": True}],
        "plugins": [{"name": _NAME, "type": "messaging"}],
        "workers": [{"target": options.target, "group": _NAME}],
    }
    route: dict[str, Any] = {"name": _NAME, "route": {"type": "host", "value": "*"}}
    if options.upstream is not None:
        ip, port = upstream_address(options.upstream)
        config["services"] = [{"name": "upstream", "service_type": "http", "endpoints": [{"ip": ip, "port": port}]}]
        route["middleware"] = [{"plugin": _NAME, "entry": entry.name} for entry in entries]
        route["paths"] = [{"path": ["/", "/{*path}"], "service": {"name": "upstream"}}]
        return {**config, "routes": [route]}
    answering = [entry.name for entry in entries if entry.answers]
    config["services"] = [
        {"name": name, "service_type": "plugin", "plugin": {"name": _NAME, "entry": name}} for name in answering
    ]
    route["paths"] = [
        {"path": [f"/{_literal(name)}", f"/{_literal(name)}/{{*path}}"], "service": {"name": name}}
        for name in answering
    ]
    if len(answering) == 1:
        route["paths"] = [{"path": ["/", "/{*path}"], "service": {"name": answering[0]}}]
    return {**config, "routes": [route]}


def with_plugin(config: RuntimeFile, options: DevOptions) -> RuntimeFile:
    """Return `config` with NATS servers of our own and with a worker for the plugin, unless it has one."""
    messaging = [
        entry.model_copy(update={"embedded": True, "servers": [], "auth": None, "tls": None})
        for entry in config.messaging
    ]
    workers = list(config.workers)
    file = _file(options.target).resolve()
    # with nothing but plugins in this process there is nobody to work for
    needed = not config.plugins or any(plugin.type == "messaging" for plugin in config.plugins)
    if needed and not any(_file(worker.target).resolve() == file for worker in workers):
        workers.append(_worker(config, options))
    return config.model_copy(update={"messaging": messaging, "workers": workers})


def upstream_address(url: str) -> tuple[str, int]:
    """Return address and port of `http://host:port`; a name is looked up here, once. Raises ValueError."""
    parts = urlsplit(url if "://" in url else f"http://{url}")
    try:
        port = parts.port or 80
    except ValueError:
        port = 0
    if parts.scheme != "http" or not parts.hostname or not port or parts.path not in ("", "/"):
        raise ValueError(f"expected an upstream such as http://127.0.0.1:9000, found '{url}'")
    try:
        found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ValueError(f"looking up {parts.hostname}: {error.strerror or error}") from None
    return str(found[0][4][0]), port


def _worker(config: RuntimeFile, options: DevOptions) -> Worker:
    plugins = {plugin.group or plugin.name: plugin for plugin in config.plugins if plugin.type == "messaging"}
    group = options.group or (next(iter(plugins)) if len(plugins) == 1 else None)
    if group not in plugins:
        groups = ", ".join(plugins) or "none"
        text = f"which group does {options.target} serve? --group NAME; there is: {groups}"
        raise ConfigError([Problem(Location(options.config or options.scratch), text)])
    return Worker(target=options.target, group=group, messaging=plugins[group].messaging)


def _file(target: str) -> Path:
    return Path(target.partition(":")[0])


def _sources(target: str) -> Iterable[Path]:
    return sorted(_file(target).resolve().parent.glob("*.py"))


def _stamps(files: Iterable[Path]) -> list[tuple[str, int, int]]:
    found: list[tuple[str, int, int]] = []
    for file in files:
        try:
            stat = file.stat()
        except OSError:
            continue  # just being replaced by an editor
        found.append((str(file), stat.st_mtime_ns, stat.st_size))
    return found


def _literal(name: str) -> str:
    return name.replace("{", "{{").replace("}", "}}")
