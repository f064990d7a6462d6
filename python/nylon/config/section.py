"""What every section of the configuration has in common, and what can be asked about one."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict
from pydantic.fields import FieldInfo


class Section(BaseModel):
    """A mapping with known keys. The text under each field is its entry in the reference."""

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, use_attribute_docstrings=True, hide_input_in_errors=True
    )

    not_built: ClassVar[Mapping[str, str]] = {}
    """Keys of features that do not exist yet, and what to do meanwhile: setting one is an error."""

    ignored: ClassVar[Mapping[str, str]] = {}
    """Keys that the original knows and that have no effect here, and why: setting one is a warning."""

    secret: ClassVar[bool] = False
    """Whether the values are secrets, which no message may show."""


@dataclass(frozen=True)
class Key:
    """A key that a section knows."""

    name: str
    info: FieldInfo
    section: type[Section] | None
    """The section that the value is, or that the items of its list or mapping are."""
    many: type[list[Any]] | type[dict[str, Any]] | None
    """Whether the value is a list or a mapping of such sections."""


@cache
def keys(section: type[Section]) -> tuple[Key, ...]:
    """Return the keys of a section in the order of their declaration."""
    found: list[Key] = []
    for name, info in section.model_fields.items():
        inner, many = _section_of(info.annotation)
        found.append(Key(info.alias or name, info, inner, many))
    return tuple(found)


def _section_of(annotation: Any) -> tuple[type[Section] | None, Any]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation, None
    origin = get_origin(annotation)
    for argument in get_args(annotation):
        inner, many = _section_of(argument)
        if inner is not None:
            return inner, origin if origin in (list, dict) else many
    return None, None
