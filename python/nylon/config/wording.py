"""Says in the words of the configuration what is wrong with a value: what was expected, and what was found."""

import difflib
from collections.abc import Hashable
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from nylon.config.document import Document
from nylon.config.inspection import dotted
from nylon.config.problems import Location, Report
from nylon.config.section import Section, keys

_EXPECTED = {
    "string_type": "text",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}


def explain(error: ValidationError, document: Document, section: type[Section], report: Report) -> None:
    """Report every problem of `error` at its place in the document."""
    for detail in error.errors(include_url=False):
        place, text = _one(detail, document, section)
        report.error(place, text)


def _one(detail: ErrorDetails, document: Document, section: type[Section]) -> tuple[Location, str]:
    path = tuple(detail["loc"])
    if detail["type"] == "missing":
        parent = f" in {dotted(path[:-1])}" if path[:-1] else ""
        return document.at(*path[:-1]), f"missing key '{path[-1]}'{parent}"
    secret = _is_secret(path, section)
    text = _sentence(detail, secret=secret)
    prefix = dotted(path)
    return document.at(*path), f"{prefix}: {text}" if prefix else text


def _sentence(detail: ErrorDetails, *, secret: bool) -> str:
    kind, context, value = detail["type"], detail.get("ctx", {}), detail["input"]
    found = "" if secret else f", found {_shown(value)}"
    if kind == "nylon":
        return str(context["text"])
    if expected := _EXPECTED.get(kind):
        return f"expected {expected}{found}"
    if kind == "literal_error":
        choices = str(context["expected"])
        text = f"expected {choices}{found}"
        words = choices.replace("'", "").replace(" or ", ", ").split(", ")
        close = difflib.get_close_matches(str(value), words, n=1, cutoff=0.6) if not secret else []
        return f"{text}; did you mean '{close[0]}'?" if close else text
    if kind in ("greater_than_equal", "less_than_equal"):
        bound = f"at least {context['ge']}" if "ge" in context else f"at most {context['le']}"
        return f"expected {bound}{found}"
    if kind == "too_short":
        return "expected at least one item"
    return detail["msg"] if not secret else "not a usable value"


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return str(value).lower()
    return f"'{value}'" if isinstance(value, str) else str(getattr(value, "text", value))


def _is_secret(path: tuple[Hashable, ...], section: type[Section]) -> bool:
    current: type[Section] | None = section
    for part in path:
        if current is None:
            return False
        if current.secret:
            return True
        if isinstance(part, int):
            continue
        found = next((key for key in keys(current) if key.name == part), None)
        if found is not None:
            current = found.section
    return current is not None and current.secret
