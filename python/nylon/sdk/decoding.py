"""JSON values into the types that handlers ask for: dict, dataclass, TypedDict, pydantic models where installed."""

import dataclasses
import json
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Union, cast

from nylon.sdk.errors import DecodingError

encode: Callable[[Any], str] = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
"""A value as compact JSON text."""


def parse(text: bytes, what: str) -> Any:
    """JSON text as a value. Raises DecodingError."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise DecodingError(f"decoding {what}: {error}") from error


def decode(wanted: Any, value: Any, what: str) -> Any:
    """The JSON value as the wanted type. `None` stands for an empty object where the type is one.

    Raises DecodingError naming what does not fit, and where.
    """
    return _fit(wanted, value, what)


def _pydantic(wanted: Any) -> Callable[[Any], Any] | None:
    validate = getattr(wanted, "model_validate", None)
    return validate if isinstance(wanted, type) and callable(validate) else None


def _validated(validate: Callable[[Any], Any], wanted: Any, value: Any, what: str) -> Any:
    try:
        return validate({} if value is None else value)
    except ValueError as error:  # pydantic's ValidationError is one
        raise DecodingError(f"decoding {what} as {_name(wanted)}: {error}") from error


def _fit(wanted: Any, value: Any, where: str) -> Any:
    if wanted is Any or wanted is object:
        return value
    validate = _pydantic(wanted)
    if validate is not None:
        return _validated(validate, wanted, value, where)
    origin = typing.get_origin(wanted)
    if origin in (typing.Annotated, typing.Required, typing.NotRequired):
        return _fit(typing.get_args(wanted)[0], value, where)
    if dataclasses.is_dataclass(wanted) and isinstance(wanted, type):
        return _dataclass(wanted, value, where)
    if typing.is_typeddict(wanted):
        return _typed_dict(wanted, value, where)
    fit = _GENERIC.get(origin)
    if fit is not None:
        return fit(wanted, value, where)
    if isinstance(wanted, type):
        return _plain(wanted, value, where)
    return value  # an annotation without a meaning at run time


def _plain(wanted: type, value: Any, where: str) -> Any:
    if wanted in (dict, Mapping) and value is None:
        return {}
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if wanted in (tuple, set, frozenset) and isinstance(value, list):
        return cast("Callable[[list[Any]], Any]", wanted)(cast("list[Any]", value))
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is int):
        raise DecodingError(f"decoding {where}: expected {_name(wanted)}, found {_found(value)}")
    return value


def _object(wanted: Any, value: Any, where: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise DecodingError(f"decoding {where} as {_name(wanted)}: expected an object, found {_found(value)}")
    return cast("dict[str, Any]", value)


def _dataclass(wanted: type, value: Any, where: str) -> Any:
    given = _object(wanted, value, where)
    hints = typing.get_type_hints(wanted, include_extras=True)
    arguments: dict[str, Any] = {}
    missing: list[str] = []
    fields = {field.name: field for field in dataclasses.fields(wanted) if field.init}
    for name, field in fields.items():
        if name in given:
            arguments[name] = _fit(hints.get(name, Any), given[name], f"{where}.{name}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            missing.append(name)
    _complain(wanted, where, missing, [name for name in given if name not in fields])
    return wanted(**arguments)


def _typed_dict(wanted: Any, value: Any, where: str) -> Any:
    given = _object(wanted, value, where)
    hints = typing.get_type_hints(wanted, include_extras=True)
    missing = [name for name in wanted.__required_keys__ if name not in given]
    _complain(wanted, where, missing, [name for name in given if name not in hints])
    return {name: _fit(hints[name], part, f"{where}.{name}") for name, part in given.items()}


def _complain(wanted: Any, where: str, missing: list[str], unknown: list[str]) -> None:
    if missing:
        raise DecodingError(f"decoding {where} as {_name(wanted)}: missing {', '.join(sorted(missing))}")
    if unknown:
        raise DecodingError(f"decoding {where} as {_name(wanted)}: unknown {', '.join(sorted(unknown))}")


def _mapping(wanted: Any, value: Any, where: str) -> Any:
    given = _object(wanted, value, where)
    _, part = typing.get_args(wanted)
    return {name: _fit(part, item, f"{where}.{name}") for name, item in given.items()}


def _sequence(wanted: Any, value: Any, where: str) -> Any:
    if not isinstance(value, list):
        raise DecodingError(f"decoding {where}: expected a list, found {_found(value)}")
    items = cast("list[Any]", value)
    origin, parts = typing.get_origin(wanted), typing.get_args(wanted)
    if origin is tuple and not (len(parts) == 2 and parts[1] is Ellipsis):
        if len(items) != len(parts):
            raise DecodingError(f"decoding {where}: expected {len(parts)} items, found {len(items)}")
        fitted = [_fit(part, item, f"{where}[{n}]") for n, (part, item) in enumerate(zip(parts, items, strict=True))]
        return tuple(fitted)
    fitted = [_fit(parts[0], item, f"{where}[{n}]") for n, item in enumerate(items)]
    return cast("Callable[[list[Any]], Any]", origin)(fitted) if origin in (tuple, set, frozenset) else fitted


def _union(wanted: Any, value: Any, where: str) -> Any:
    parts = typing.get_args(wanted)
    if value is None and type(None) in parts:
        return None
    problems: list[str] = []
    for part in parts:
        if part is type(None):
            continue
        try:
            return _fit(part, value, where)
        except DecodingError as error:
            problems.append(str(error))
    if len(problems) == 1:
        raise DecodingError(problems[0])
    raise DecodingError(f"decoding {where}: {_found(value)} fits none of {', '.join(map(_name, parts))}")


def _literal(wanted: Any, value: Any, where: str) -> Any:
    allowed = typing.get_args(wanted)
    if not any(value == one and type(value) is type(one) for one in allowed):
        raise DecodingError(f"decoding {where}: expected one of {', '.join(map(repr, allowed))}, found {value!r}")
    return value


_GENERIC: dict[Any, Callable[[Any, Any, str], Any]] = {
    dict: _mapping,
    Mapping: _mapping,
    list: _sequence,
    tuple: _sequence,
    set: _sequence,
    frozenset: _sequence,
    typing.get_origin(typing.Sequence[int]): _sequence,
    Union: _union,
    types.UnionType: _union,
    typing.Literal: _literal,
}


def _name(wanted: Any) -> str:
    return wanted.__name__ if isinstance(wanted, type) else str(wanted)


def _found(value: Any) -> str:
    if value is None:
        return "null"
    return type(cast("object", value)).__name__
