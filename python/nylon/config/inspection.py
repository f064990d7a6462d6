"""Looks at the keys of a document before its values are checked: unknown, ignored, not built yet."""

import difflib
from collections.abc import Hashable
from typing import Any, cast

from nylon.config.document import Document
from nylon.config.problems import Report
from nylon.config.section import Key, Section, keys


def inspect(document: Document, section: type[Section], report: Report, elsewhere: type[Section] | None = None) -> Any:
    """Report keys that `section` does not act on, and return the document's value without them.

    `elsewhere` is the section of another file, for the hint that a key belongs there.
    """
    return _Inspection(document, report, elsewhere).mapping(document.value, section, ())


class _Inspection:
    def __init__(self, document: Document, report: Report, elsewhere: type[Section] | None) -> None:
        self.document = document
        self.report = report
        self.elsewhere = elsewhere

    def mapping(self, value: Any, section: type[Section], path: tuple[Hashable, ...]) -> Any:
        if not isinstance(value, dict):
            return value
        known = {key.name: key for key in keys(section)}
        result: dict[str, Any] = {}
        for name, item in cast("dict[str, Any]", value).items():
            here = (*path, name)
            place = self.document.key(*here)
            if name in known:
                # a key without a value counts as not set
                if item is not None:
                    result[name] = self._value(item, known[name], here)
            elif name in section.not_built:
                if item not in (None, [], {}):
                    self.report.error(place, f"{dotted(here)}: {section.not_built[name]}")
            elif name in section.ignored:
                self.report.warn(place, f"{dotted(here)} has no effect: {section.ignored[name]}")
            else:
                self.report.error(place, self._unknown(name, section, list(known), path))
        return result

    def _value(self, value: Any, key: Key, path: tuple[Hashable, ...]) -> Any:
        if key.section is None:
            return value
        if key.many is None:
            return self.mapping(value, key.section, path)
        return self._items(value, key.section, path)

    def _items(self, value: Any, section: type[Section], path: tuple[Hashable, ...]) -> Any:
        if isinstance(value, list):
            items = cast("list[Any]", value)
            return [self.mapping(item, section, (*path, index)) for index, item in enumerate(items)]
        if isinstance(value, dict):
            entries = cast("dict[str, Any]", value)
            return {
                # a group without items is a group that does nothing
                name: self._items([] if item is None else item, section, (*path, name))
                for name, item in entries.items()
            }
        return value

    def _unknown(self, name: str, section: type[Section], known: list[str], path: tuple[Hashable, ...]) -> str:
        where = f" in {dotted(path)}" if path else ""
        text = f"unknown key '{name}'{where}"
        if not path and self.elsewhere and any(key.name == name for key in keys(self.elsewhere)):
            return f"{text}: it belongs into the runtime file"
        choices = [*known, *section.ignored]
        if close := difflib.get_close_matches(name.lower().replace("-", "_"), choices, n=1, cutoff=0.6):
            return f"{text}; did you mean '{close[0]}'?"
        return f"{text}; known keys: {', '.join(known)}"


def dotted(path: tuple[Hashable, ...]) -> str:
    """Return a path as people write it: `routes[0].paths[1].path`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else str(part)
    return text
