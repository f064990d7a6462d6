"""What no single value shows: names that nobody has, names that two have, loops, listeners in each other's way."""

import difflib
import os
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from nylon.config.document import Document
from nylon.config.files import ProxyFile, RuntimeFile
from nylon.config.messaging import IN_PROCESS, Messaging
from nylon.config.middleware import BUILT_IN, Middleware
from nylon.config.plugins import Plugin, beside
from nylon.config.problems import Location, Report
from nylon.config.routes import Path, Route, shape
from nylon.config.services import Service

T = TypeVar("T")

_FOREIGN = {
    "messaging": ["module", "file", "executor"],
    "python": ["messaging", "group", "balance", "file", "executor"],
    "ffi": ["group", "balance", "prefetch_body_bytes", "module"],
}
"""Keys that say nothing to a plugin of a type."""

_REFUSED_METHODS = ("CONNECT", "TRACE")


@dataclass(frozen=True)
class Source:
    """One file that was read."""

    document: Document
    content: ProxyFile


@dataclass(frozen=True)
class Placed(Generic[T]):
    """An item of a list and where it stands."""

    item: T
    document: Document
    path: tuple[Hashable, ...]

    def at(self, *below: Hashable) -> Location:
        """Return the location of a value below the item."""
        return self.document.at(*self.path, *below)


def check_references(runtime: RuntimeFile, sources: list[Source], report: Report) -> None:
    """Report everything that makes the files, taken together, unusable or surprising.

    `runtime` is the content of the first source.
    """
    _Check(runtime, sources, report).run()


class _Check:
    def __init__(self, runtime: RuntimeFile, sources: list[Source], report: Report) -> None:
        self.runtime = runtime
        self.sources = sources
        self.document = sources[0].document
        self.report = report
        self.messaging: list[Placed[Messaging]] = self._all("messaging")
        self.plugins: list[Placed[Plugin]] = self._all("plugins")
        self.services: list[Placed[Service]] = self._all("services")
        self.routes: list[Placed[Route]] = self._all("routes")
        self.loops: set[frozenset[str]] = set()
        self.groups: dict[str, list[Placed[Middleware]]] = {}

    def _all(self, section: str) -> list[Placed[T]]:
        return [
            Placed(item, source.document, (section, index))
            for source in self.sources
            for index, item in enumerate(getattr(source.content, section))
        ]

    def run(self) -> None:
        for kind, items in (
            ("messaging entry", self.messaging),
            ("plugin", self.plugins),
            ("service", self.services),
            ("route", self.routes),
        ):
            self._unique(kind, items)  # pyright: ignore[reportArgumentType]
        self._collect_groups()
        self._listeners()
        for messaging in self.messaging:
            if messaging.item.name == IN_PROCESS:
                self.report.error(messaging.at("name"), f"the name '{IN_PROCESS}' stands for plugins of type python")
            self._files(messaging)
        for plugin in self.plugins:
            if plugin.item.name in BUILT_IN:
                self.report.error(plugin.at("name"), f"the name '{plugin.item.name}' stands for a built-in")
            self._plugin_keys(plugin)
        for service in self.services:
            self._service(service)
        for links in self.groups.values():
            for link in links:
                self._link(link)
        for name in self.groups:
            self._loops(name, ())
        for route in self.routes:
            self._route(route)
        self._hosts()
        self._workers()

    def _unique(self, kind: str, items: list[Placed[Messaging]]) -> None:
        first: dict[str, Location] = {}
        for placed in items:
            name, place = placed.item.name, placed.at("name")
            if name in first:
                self.report.error(place, f"{kind} '{name}' exists already at {first[name]}")
            else:
                first[name] = place

    def _collect_groups(self) -> None:
        first: dict[str, Location] = {}
        for source in self.sources:
            for name, links in source.content.middleware_groups.items():
                path = ("middleware_groups", name)
                place = source.document.key(*path)
                if name in first:
                    self.report.error(place, f"middleware group '{name}' exists already at {first[name]}")
                    continue
                first[name] = place
                self.groups[name] = [Placed(link, source.document, (*path, index)) for index, link in enumerate(links)]

    def _listeners(self) -> None:
        runtime, document = self.runtime, self.document
        if not runtime.http:
            text = "no listener under 'http': name an address to listen on, such as http: [127.0.0.1:8080]"
            self.report.error(document.key("http"), text)
        listeners = [
            (section, index, address)
            for section, addresses in (("http", runtime.http), ("metrics", runtime.metrics))
            for index, address in enumerate(addresses)
            if not address.endswith(":0")
        ]
        taken: dict[str, str] = {}
        for section, index, address in listeners:
            if address in taken:
                text = f"{section}[{index}]: {address} is taken already by {taken[address]}"
                self.report.error(document.at(section, index), text)
            taken.setdefault(address, f"{section}[{index}]")
        for section, index, address in listeners:
            host, _, port = address.rpartition(":")
            wildcard = f"0.0.0.0:{port}"
            if wildcard not in taken or host == "0.0.0.0" or host.startswith("["):
                continue
            text = f"{section}[{index}]: {address} is covered by {taken[wildcard]} ({wildcard})"
            if section == "http" and taken[wildcard].startswith("http"):
                self.report.warn(document.at(section, index), text)
            else:
                self.report.error(document.at(section, index), text)

    def _files(self, messaging: Placed[Messaging]) -> None:
        for section in ("auth", "tls"):
            settings = getattr(messaging.item, section)
            for key in ("creds_file", "ca_file", "cert_file", "key_file"):
                file = getattr(settings, key, None)
                if file is not None and not os.access(file, os.R_OK):
                    self.report.error(messaging.at(section, key), f"cannot read {key} {file}")

    def _messaging_of(self, placed: Placed[T], name: str | None, who: str) -> None:
        known = [item.item.name for item in self.messaging]
        if name is None:
            if len(known) != 1:
                choice = f"one of {', '.join(known)}" if known else "but there is no entry under 'messaging'"
                self.report.error(placed.at(), f"missing key 'messaging': {who} needs to name the connection, {choice}")
        elif name not in known:
            self._missing(placed.at("messaging"), "messaging entry", name, known)

    def _plugin_keys(self, placed: Placed[Plugin]) -> None:
        plugin = placed.item
        for key in _FOREIGN[plugin.type]:
            if key in plugin.model_fields_set:
                text = f"'{key}' has no effect in a plugin of type {plugin.type}"
                self.report.warn(placed.document.key(*placed.path, key), text)
        if plugin.type == "messaging" or (plugin.type == "ffi" and plugin.messaging is not None):
            self._messaging_of(placed, plugin.messaging, f"plugin '{plugin.name}'")
        if plugin.type == "ffi" and plugin.file is not None:
            self._library(placed, plugin.file)

    def _library(self, placed: Placed[Plugin], file: str) -> None:
        path = beside(placed.document.file, file)
        if not path.is_file() or not os.access(path, os.R_OK):
            text = f"cannot read the library {path}"
            if os.path.isfile(file):  # noqa: PTH113 (a path of a route has the name here)
                text += f"; there is one at {file} in the working directory, but paths are relative to this file"
            self.report.error(placed.at("file"), text)

    def _service(self, placed: Placed[Service]) -> None:
        service = placed.item
        foreign = ["plugin"] if service.service_type == "http" else ["algorithm", "endpoints", "health_check"]
        for key in foreign:
            if key in service.model_fields_set:
                text = f"'{key}' has no effect in a service of type {service.service_type}"
                self.report.warn(placed.document.key(*placed.path, key), text)
        if service.service_type == "plugin" and service.plugin is not None:
            self._plugin(placed.at("plugin", "name"), service.plugin.name)

    def _plugin(self, place: Location, name: str) -> None:
        known = [item.item.name for item in self.plugins]
        if name not in known:
            self._missing(place, "plugin", name, known)

    def _link(self, placed: Placed[Middleware]) -> None:
        link = placed.item
        if link.group is not None and link.group not in self.groups:
            self._missing(placed.at("group"), "middleware group", link.group, list(self.groups))
        if link.plugin in BUILT_IN:
            for key in sorted(link.model_fields_set - {"plugin", "payload"}):
                place = placed.document.key(*placed.path, key)
                self.report.warn(place, f"'{key}' has no effect in a {link.plugin}")
        elif link.plugin is not None:
            self._plugin(placed.at("plugin"), link.plugin)

    def _loops(self, name: str, above: tuple[str, ...]) -> None:
        for placed in self.groups.get(name, []):
            inner = placed.item.group
            if inner is None:
                continue
            if inner == name or inner in above:
                loop = frozenset((*above, name))
                if loop in self.loops:
                    continue
                self.loops.add(loop)
                chain = " → ".join((*above, name, inner))
                self.report.error(placed.at("group"), f"middleware group contains itself: {chain}")
            else:
                self._loops(inner, (*above, name))

    def _route(self, placed: Placed[Route]) -> None:
        services = [item.item.name for item in self.services]
        for index, link in enumerate(placed.item.middleware):
            self._link(Placed(link, placed.document, (*placed.path, "middleware", index)))
        for number, path in enumerate(placed.item.paths):
            below = (*placed.path, "paths", number)
            if path.service.name not in services:
                self._missing(placed.document.at(*below, "service", "name"), "service", path.service.name, services)
            for index, link in enumerate(path.middleware):
                self._link(Placed(link, placed.document, (*below, "middleware", index)))
            for index, method in enumerate(path.methods or ()):
                if method in _REFUSED_METHODS:
                    place = placed.document.at(*below, "methods", index)
                    self.report.warn(place, f"{method} has no effect: the gateway answers it with 501 itself")
        self._patterns(placed)
        self._slashes(placed)

    def _patterns(self, route: Placed[Route]) -> None:
        seen: dict[tuple[str, str | None], Location] = {}
        for number, path in enumerate(route.item.paths):
            for index, pattern in enumerate(path.path):
                place = route.at("paths", number, "path", index)
                clash = next((seen[key] for key in seen if key[0] == pattern and _meets(key[1], path)), None)
                if clash is not None:
                    text = f"path '{pattern}' is in route '{route.item.name}' already, at {clash}"
                    self.report.error(place, text)
                for method in path.methods or [None]:
                    seen.setdefault((pattern, method), place)

    def _slashes(self, route: Placed[Route]) -> None:
        """Warn of `/x/` past the middleware of `/x` and `/x/{*rest}`, neither of which is it."""
        patterns = [
            (path, pattern, route.at("paths", number, "path", index))
            for number, path in enumerate(route.item.paths)
            for index, pattern in enumerate(path.path)
        ]
        known = {shape(pattern) for _, pattern, _ in patterns}
        wide = [(above, path, pattern) for path, pattern, _ in patterns if (above := _above_catch_all(pattern))]
        for path, pattern, place in patterns:
            above = _above_catch_all(pattern)
            if above is None or "/".join(above) not in known or "/".join([*above, ""]) in known:
                continue
            takers = [taker for taker in wide if _covers(taker[0], above) and _share_methods(taker[1], path)]
            for _, taker, wider in sorted(takers, key=lambda taker: len(taker[0]))[-1:]:
                if any(link not in taker.middleware for link in path.middleware):
                    missing = pattern.rpartition("/")[0] + "/"
                    text = f"'{missing}' is matched by '{wider}', past the middleware of '{pattern}'"
                    self.report.warn(place, f"{text}: write '{missing}' beside it")

    def _hosts(self) -> None:
        first: dict[tuple[str, str], tuple[str, Location]] = {}
        selector = any(source.content.header_selector is not None for source in self.sources)
        for placed in self.routes:
            match, place = placed.item.route, placed.at("route", "value")
            if match.type == "header" and not selector:
                text = (
                    "any client that sends x-nylon-proxy is routed by it: name it as header_selector, "
                    "or a header that your proxy sets and takes out of what clients send"
                )
                self.report.warn(placed.at("route", "type"), text)
            for value in match.values:
                known = first.get((match.type, value))
                if known is not None:
                    text = f"{match.type} '{value}' belongs to route '{known[0]}' already, at {known[1]}"
                    self.report.error(place, text)
                else:
                    first[(match.type, value)] = (placed.item.name, place)

    def _workers(self) -> None:
        for index, worker in enumerate(self.runtime.workers):
            placed = Placed(worker, self.document, ("workers", index))
            self._messaging_of(placed, worker.messaging, f"worker '{worker.target}'")

    def _missing(self, place: Location, kind: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        text = f"there is no {kind} '{name}'"
        if close := difflib.get_close_matches(name, names, n=1, cutoff=0.6):
            text += f"; did you mean '{close[0]}'?"
        elif names:
            text += f"; there is: {', '.join(names)}"
        self.report.error(place, text)


def _meets(method: str | None, path: Path) -> bool:
    return method is None or path.methods is None or method in path.methods


def _share_methods(one: Path, other: Path) -> bool:
    return any(_meets(method, other) for method in one.methods or [None])


def _above_catch_all(pattern: str) -> list[str] | None:
    """Return the segments before the catch-all, if there is one."""
    *above, last = shape(pattern).split("/")
    return above if last == "{*}" else None


def _covers(wide: list[str], above: list[str]) -> bool:
    """Whether a catch-all below `wide` matches the path that ends with a slash behind `above`."""
    pairs = zip(wide, above, strict=False)
    return len(wide) < len(above) and all(segment in (other, "{}") for segment, other in pairs)
