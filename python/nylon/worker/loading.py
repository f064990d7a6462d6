"""Finding a plugin by `package.module:plugin` or `path/to/file.py:plugin`."""

import contextlib
import importlib
import importlib.util
import logging
import sys
import threading
import traceback
from collections.abc import Generator
from pathlib import Path
from types import ModuleType

from nylon.sdk import Plugin, logs

DEFAULT_NAME = "plugin"

_SLOW_SECONDS = 3.0
"""How long an import may take before the log says that it is what everybody waits for."""


class LoadError(Exception):
    """The target names no plugin; the text says what was tried."""


def load(target: str) -> Plugin:
    """Imports the target and returns its plugin. Without a name, `plugin` or the module's only plugin is meant.

    Raises LoadError. Exceptions of the imported code are passed on as they are.
    """
    place, name = split(target)
    with _told_when_slow(target):
        module = _import(place)
    if name is not None:
        found = module
        for part in name.split("."):
            if not hasattr(found, part):
                raise LoadError(f"loading {target!r}: {place} has no {part!r}")
            found = getattr(found, part)
        if not isinstance(found, Plugin):
            raise LoadError(f"loading {target!r}: {name} is a {type(found).__name__}, not a Plugin")
        return found
    found = getattr(module, DEFAULT_NAME, None)
    if isinstance(found, Plugin):
        return found
    plugins = {key: value for key, value in vars(module).items() if isinstance(value, Plugin)}
    if len(set(map(id, plugins.values()))) == 1:
        return next(iter(plugins.values()))
    if plugins:
        raise LoadError(f"loading {target!r}: {place} has several plugins, say which: {', '.join(sorted(plugins))}")
    raise LoadError(f"loading {target!r}: {place} has no plugin; make one with `plugin = Plugin()`")


def explain(target: str, error: BaseException) -> LoadError:
    """Say in one line what the code of the target raised while it was imported, and where."""
    if isinstance(error, LoadError):
        return error
    text = f"loading {target!r}: {type(error).__name__}: {error}"
    if isinstance(error, SyntaxError):  # says itself where
        return LoadError(text)
    last = traceback.extract_tb(error.__traceback__)[-1]
    return LoadError(f"{text} ({last.filename}:{last.lineno})")


def split(target: str) -> tuple[str, str | None]:
    """Module or file, and the name in it."""
    place, separator, name = target.rpartition(":")
    if not separator:
        return target, None
    if not place or not name:
        raise LoadError(f"loading {target!r}: expected module:plugin or path/to/file.py:plugin")
    return place, name


def directory(target: str) -> Path:
    """The directory whose changes concern the target."""
    place, _ = split(target)
    return Path(place).resolve().parent if is_file(place) else Path.cwd()


def is_file(place: str) -> bool:
    """Whether it is the path of a file, not the name of a module."""
    return place.endswith(".py") or "/" in place


@contextlib.contextmanager
def _told_when_slow(target: str) -> Generator[None]:
    values = {"target": target, "seconds": _SLOW_SECONDS, "advice": "what stands at the top of a module has to return"}
    timer = threading.Timer(_SLOW_SECONDS, logs.say, (logging.WARNING, "the import is still running"), values)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _import(place: str) -> ModuleType:
    if not is_file(place):
        _put_first(Path.cwd())
        try:
            return importlib.import_module(place)
        except ModuleNotFoundError as error:
            missing = error.name or ""
            if missing == place or place.startswith(f"{missing}."):
                raise LoadError(f"loading {place!r}: there is no module {missing}") from error
            raise
    path = Path(place).resolve()
    if not path.is_file():
        raise LoadError(f"loading {place!r}: there is no such file{'' if str(path) == place else f', {path}'}")
    # Beside the file, as `python file.py` would find its neighbours.
    _put_first(path.parent)
    name = path.stem
    if name in sys.modules and getattr(sys.modules[name], "__file__", None) != str(path):
        name = f"_nylon_plugin_{path.stem}"
    specification = importlib.util.spec_from_file_location(name, path)
    if specification is None or specification.loader is None:
        raise LoadError(f"loading {place!r}: it is no Python file")
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    specification.loader.exec_module(module)
    return module


def _put_first(directory: Path) -> None:
    if str(directory) not in sys.path:
        sys.path.insert(0, str(directory))
