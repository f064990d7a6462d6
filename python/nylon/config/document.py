"""Reads one YAML 1.2 file into plain values and remembers where each of them stands."""

import math
import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any, cast

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from nylon.config.problems import ConfigError, Location, Problem

KeyPath = tuple[Hashable, ...]
"""Where a value stands in a document: keys and indexes from the root."""

_INT = re.compile(r"[-+]?[0-9]{1,40}|0o[0-7]{1,40}|0x[0-9a-fA-F]{1,40}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL: dict[str, bool | None] = {
    **dict.fromkeys(("null", "Null", "NULL", "~", "")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_STANDARD_TAG = "tag:yaml.org,2002:"


class WrittenInt(int):
    """A number that knows how it was written: `port: 0x50` is a number, `name: 007` is a name."""

    text: str


class WrittenFloat(float):
    """As WrittenInt, for `version: 1.10`."""

    text: str


class Document:
    """One file: `value` holds mappings, lists and scalars, `at` says where each stands."""

    def __init__(self, file: Path, text: str) -> None:
        self.file = file
        self._keys: dict[KeyPath, Location] = {}
        self._values: dict[KeyPath, Location] = {}
        self._problems: list[Problem] = []
        try:
            root = _compose(file, text)
            self.value: Any = {} if root is None else self._read(root, (), ())
        except RecursionError:
            raise ConfigError([Problem(Location(file), "not usable: it is nested too deeply")]) from None
        if self.value is None:
            self.value = {}
        if self._problems:
            raise ConfigError(self._problems)

    def at(self, *path: Hashable) -> Location:
        """Where the value at `path` begins; for a path that is not there, where its nearest parent begins."""
        while path and path not in self._values:
            path = path[:-1]
        return self._values.get(path, Location(self.file))

    def key(self, *path: Hashable) -> Location:
        """Where the key of the value at `path` stands, or the value where it has none."""
        return self._keys.get(path) or self.at(*path)

    def _read(self, node: Any, path: KeyPath, parents: tuple[int, ...]) -> Any:
        here = self._location(node)
        self._values[path] = here
        if id(node) in parents:
            self._problems.append(Problem(here, "an alias refers to a value that contains it"))
            return None
        parents = (*parents, id(node))
        if node.id == "scalar":
            return self._scalar(node, here)
        if not (node.tag or _STANDARD_TAG).startswith(_STANDARD_TAG):
            self._problems.append(Problem(here, f"unknown tag {node.tag}"))
        if node.id == "sequence":
            return [self._read(item, (*path, index), parents) for index, item in enumerate(node.value)]
        return self._mapping(node, path, parents)

    def _mapping(self, node: Any, path: KeyPath, parents: tuple[int, ...]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            where = self._location(key_node)
            if key_node.id != "scalar":
                self._problems.append(Problem(where, "expected a plain key, found a list or a mapping"))
                continue
            key = str(key_node.value)
            if key == "<<" and key_node.style is None:
                self._problems.append(Problem(where, "merge keys ('<<') are not part of YAML 1.2: repeat the keys"))
                continue
            if key in result:
                first = self._keys[(*path, key)]
                self._problems.append(Problem(where, f"duplicate key '{key}', first set in line {first.line}"))
                continue
            self._keys[(*path, key)] = where
            result[key] = self._read(value_node, (*path, key), parents)
        return result

    def _scalar(self, node: Any, here: Location) -> Any:
        text: str = node.value
        kind = (node.tag or "").removeprefix(_STANDARD_TAG)
        if node.style is not None or kind == "str":
            return text
        if kind.startswith("!") or kind == "binary":
            self._problems.append(Problem(here, f"unknown tag {node.tag}"))
        return _plain(text)

    def _location(self, node: Any) -> Location:
        mark = node.start_mark
        return Location(self.file, mark.line + 1, mark.column + 1)


def _plain(text: str) -> Any:
    if text in _SPECIAL:
        return _SPECIAL[text]
    if _INT.fullmatch(text):
        digits = text.lstrip("+-").lower()
        base = {"0o": 8, "0x": 16}.get(digits[:2], 10)
        number = WrittenInt(int(text, base))
        number.text = text
        return number
    if _FLOAT.fullmatch(text):
        real = WrittenFloat(text)
        real.text = text
        return real if math.isfinite(real) else text
    return text


def _compose(file: Path, text: str) -> Any:
    try:
        # one document only: a second one is an error, as in the original
        return cast("Any", YAML(typ="safe", pure=True)).compose(text)
    except MarkedYAMLError as marked:
        error = cast("Any", marked)
        # The snippet that the library would show may hold a secret: only the place and the rule are told.
        mark = error.problem_mark or error.context_mark
        place = Location(file, mark.line + 1, mark.column + 1) if mark else Location(file)
        reason = " ".join(part for part in (error.context, error.problem) if part)
        raise ConfigError([Problem(place, f"not valid YAML: {reason}")]) from None
    except YAMLError:
        raise ConfigError([Problem(Location(file), "not valid YAML: a character that YAML does not allow")]) from None
