"""Plugins of `type: python`: each is a worker in threads of this process, on a bus in memory instead of NATS."""

import itertools
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from nylon.config import ConfigError, Loaded, Location, Problem, RuntimeFile
from nylon.control.entries import used_entries
from nylon.sdk import Plugin, batch
from nylon.sdk.logs import ensure_as_told
from nylon.sdk.running import request_id
from nylon.sdk.serving import Serving
from nylon.worker.loading import LoadError, explain, load

_END_SECONDS = 5.0
"""How long handlers may go on once the gateway has ended."""

_numbers = itertools.count(1)


class InProcess:
    """The workers of one gateway. A module is imported once: its plugin lives as long as the process."""

    def __init__(self) -> None:
        """Make one with a bus of its own, and nothing on it."""
        self.bus = f"gateway-{next(_numbers)}"
        self._imported: dict[str, Plugin] = {}
        self._running: dict[tuple[str, str], Serving] = {}
        self._leaving: list[threading.Thread] = []

    def prepare(self, loaded: Loaded) -> None:
        """Import what `loaded` names and start what does not run yet.

        Raises ConfigError as `examine`, which starts nothing then, and with a plugin that cannot be started.
        """
        for (name, module), plugin in self.examine(loaded).items():
            if (name, module) not in self._running:
                try:
                    self._running[name, module] = self._start(name, plugin)
                except (RuntimeError, TypeError, ValueError, OverflowError) as error:
                    text = f"{module} cannot be started: {error}"
                    raise ConfigError([Problem(loaded.modules[name], text)]) from error

    def examine(self, loaded: Loaded) -> dict[tuple[str, str], Plugin]:
        """Import what `loaded` names; return it by names of plugins and modules.

        Raises ConfigError with every module that is no plugin, or has not the entries that `loaded` uses.
        """
        problems: list[Problem] = []
        plugins: dict[tuple[str, str], Plugin] = {}
        for name, module in _modules(loaded.config):
            place = loaded.modules[name]
            try:
                plugin = plugins[name, module] = self._import(module, loaded.files[0].parent)
                used = [other for (other, _), same in plugins.items() if same is plugin and other != name]
                if used:
                    text = f"{module} is plugin '{used[0]}' already: a plugin object has one configuration"
                    problems.append(Problem(place, text))
                problems += _missing_entries(loaded.config, name, module, plugin, place)
            except LoadError as error:
                problems.append(Problem(place, str(error)))
        if problems:
            raise ConfigError(problems)
        return plugins

    def keep(self, config: RuntimeFile) -> None:
        """Let the workers end that `config` has no plugin for; sessions that they have may finish."""
        wanted = set(_modules(config))
        for key in [key for key in self._running if key not in wanted]:
            serving = self._running.pop(key)
            ending = threading.Thread(target=serving.close, name=f"nylon-end-{key[0]}", daemon=True)
            ending.start()
            self._leaving.append(ending)

    def stop(self) -> bool:
        """End all of them; whether every handler had returned."""
        self._leaving = [ending for ending in self._leaving if ending.is_alive()]
        running, self._running = list(self._running.values()), {}
        for serving in running:
            serving.drain()
        closed = [serving.close(_END_SECONDS) for serving in running]
        for ending in self._leaving:
            ending.join(_END_SECONDS)
        return all(closed) and not any(ending.is_alive() for ending in self._leaving)

    def _import(self, module: str, directory: Path) -> Plugin:
        if module not in self._imported:
            if str(directory.resolve()) not in sys.path:
                sys.path.append(str(directory.resolve()))
            # As `nylon worker` does, so that what the plugin logs is seen.
            ensure_as_told(request_id)
            try:
                plugin = load(module)
                if not plugin.describe():
                    raise LoadError(
                        f"loading {module!r}: the plugin has no entry; register one with @plugin.handler(name)"
                    )
            except (Exception, SystemExit) as error:
                raise explain(module, error) from error
            self._imported[module] = plugin
        return self._imported[module]

    def _start(self, name: str, plugin: Plugin) -> Serving:
        serving = plugin.serving(plugin.settings_at(f"memory:{self.bus}", name))
        with batch.joined():
            serving.start(None)
        return serving


def _modules(config: RuntimeFile) -> Iterator[tuple[str, str]]:
    for plugin in config.plugins:
        if plugin.type == "python" and plugin.module is not None:
            yield plugin.name, plugin.module


def _missing_entries(config: RuntimeFile, name: str, module: str, plugin: Plugin, place: Location) -> Iterator[Problem]:
    for entry in sorted(set(used_entries(config, name)) - set(plugin.entries)):
        yield Problem(place, f"{module} has no entry '{entry}'; it has: {', '.join(sorted(plugin.entries))}")
