"""Finds the files of a configuration, reads and checks them all, and makes one configuration of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from nylon.config.document import Document
from nylon.config.files import ProxyFile, RuntimeFile
from nylon.config.inspection import inspect
from nylon.config.plugins import Plugin, beside
from nylon.config.problems import ConfigError, Location, Problem, Report
from nylon.config.references import Source, check_references
from nylon.config.wording import explain

DEFAULT_RUNTIME_FILE = Path("/etc/nylon/config.yaml")
"""Where `nylon run` looks when it is told nothing; the same as in the original."""

DEFAULT_PROXY_DIRECTORY = Path("/etc/nylon/config")
"""Where proxy files are looked for when the runtime file has neither `config_dir` nor routes of its own."""

_DEEPEST = 10

S = TypeVar("S", bound=ProxyFile)


@dataclass(frozen=True)
class Loaded:
    """A usable configuration: the runtime file with the proxy files merged into it."""

    config: RuntimeFile
    warnings: tuple[Problem, ...]
    files: tuple[Path, ...]
    """Every file that was read, the runtime file first."""
    modules: Mapping[str, Location] = field(default_factory=dict[str, Location])
    """Where each plugin of `type: python` says what to import."""
    targets: tuple[Location, ...] = ()
    """Where each entry of `workers:` says what to run."""
    patterns: Mapping[str, Location] = field(default_factory=dict[str, Location])
    """Where each path pattern stands, by the name that the data plane has for it."""

    def refusal(self, reason: str) -> Problem:
        """Return what the data plane says against the configuration, at the place that it names."""
        for name, location in self.patterns.items():
            _, found, text = reason.partition(f"{name}: ")
            if found:
                return Problem(location, text)
        return Problem(Location(self.files[0]), reason)


def load(path: Path) -> Loaded:
    """Read the runtime file `path` and the proxy files it names.

    Raises ConfigError with every problem of every file.
    """
    report = Report()
    first = _read(path, RuntimeFile, report)
    if first is None:
        raise ConfigError(report.problems)
    document, runtime = first
    sources = [Source(document, runtime)]
    if (directory := _proxy_directory(runtime)) is not None:
        for file in _proxy_files(directory, document.at("config_dir"), report):
            other = _read(file, ProxyFile, report, elsewhere=RuntimeFile)
            if other:
                sources.append(Source(*other))
    # What refers to a file that could not be read would only be reported a second time.
    report.check()
    check_references(runtime, sources, report)
    report.check()
    config = _merged(runtime, sources)
    return Loaded(
        config,
        tuple(sorted(report.warnings)),
        tuple(source.document.file for source in sources),
        {
            plugin.name: source.document.at("plugins", index, "module")
            for source in sources
            for index, plugin in enumerate(source.content.plugins)
            if plugin.type == "python"
        },
        tuple(document.at("workers", index, "target") for index in range(len(runtime.workers))),
        {
            f"routes[{route.name}].paths[{number}].patterns[{position}]": source.document.at(
                "routes", index, "paths", number, "path", position
            )
            for source in sources
            for index, route in enumerate(source.content.routes)
            for number, path in enumerate(route.paths)
            for position in range(len(path.path))
        },
    )


def _read(
    file: Path, section: type[S], report: Report, elsewhere: type[ProxyFile] | None = None
) -> tuple[Document, S] | None:
    try:
        document = Document(file, file.read_text(encoding="utf-8"))
    except OSError as error:
        report.error(Location(file), f"cannot read the file: {(error.strerror or str(error)).lower()}")
        return None
    except UnicodeDecodeError:
        report.error(Location(file), "cannot read the file: it is not UTF-8 text")
        return None
    except ConfigError as error:
        report.problems.extend(error.problems)
        return None
    if not isinstance(document.value, dict):
        report.error(document.at(), "expected a mapping of keys at the top of the file")
        return None
    value = inspect(document, section, report, elsewhere)
    try:
        return document, section.model_validate(value)
    except ValidationError as error:
        explain(error, document, section, report)
        return None


def _proxy_directory(runtime: RuntimeFile) -> Path | None:
    if runtime.config_dir is not None:
        return Path(runtime.config_dir)
    return None if runtime.model_fields_set & ProxyFile.model_fields.keys() else DEFAULT_PROXY_DIRECTORY


def _proxy_files(directory: Path, named_at: Location, report: Report) -> list[Path]:
    if (usable := _is_directory(directory, named_at, report)) is None:
        return []
    if not usable:
        who = "this file has no routes, and the default " if directory is DEFAULT_PROXY_DIRECTORY else ""
        report.error(named_at, f"{who}config_dir {directory} is not a directory")
        return []
    files: list[Path] = []
    _collect(directory, 0, files, report)
    return sorted(files)


def _collect(directory: Path, depth: int, files: list[Path], report: Report) -> None:
    if depth > _DEEPEST:
        report.error(Location(directory), f"more than {_DEEPEST} directories deep: is there a link to a parent?")
        return
    try:
        entries = sorted(directory.iterdir())
    except OSError as error:
        report.error(Location(directory), f"cannot read the directory: {(error.strerror or str(error)).lower()}")
        return
    for entry in entries:
        # Kubernetes mounts a ConfigMap with a hidden `..data` link that shows each file a second time.
        if entry.name.startswith("."):
            continue
        if _is_directory(entry, Location(entry), report):
            _collect(entry, depth + 1, files, report)
        elif entry.suffix in (".yaml", ".yml"):
            files.append(entry)


def _is_directory(path: Path, named_at: Location, report: Report) -> bool | None:
    """Return whether it is one; None if that cannot be found out, which is a problem."""
    try:
        return path.is_dir()
    except OSError as error:
        report.error(named_at, f"cannot look at {path}: {(error.strerror or str(error)).lower()}")
        return None


def _merged(runtime: RuntimeFile, sources: list[Source]) -> RuntimeFile:
    contents = [source.content for source in sources]
    selectors = [content.header_selector for content in contents if content.header_selector is not None]
    return runtime.model_copy(
        update={
            "header_selector": selectors[-1] if selectors else None,
            "messaging": [item for content in contents for item in content.messaging],
            "plugins": [_placed(item, source) for source in sources for item in source.content.plugins],
            "services": [item for content in contents for item in content.services],
            "middleware_groups": {
                name: group for content in contents for name, group in content.middleware_groups.items()
            },
            "routes": [item for content in contents for item in content.routes],
        }
    )


def _placed(plugin: Plugin, source: Source) -> Plugin:
    """Return the plugin with the path of its library as this process can use it."""
    if plugin.file is None:
        return plugin
    return plugin.model_copy(update={"file": str(beside(source.document.file, plugin.file))})
