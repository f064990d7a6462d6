"""`middleware` and `middleware_groups`: the chain that every request of a route goes through."""

import re
from typing import Annotated, Any, Self, cast

from pydantic import AfterValidator, model_validator

from nylon.config.policy import Policy
from nylon.config.values import Json, Text, wrong

_TEMPLATE = re.compile(r"\$\{[^}]+\}")
_BUILT_IN = ("RequestHeaderModifier", "ResponseHeaderModifier")


def _no_templates(value: Any) -> Any:
    if isinstance(value, str) and (match := _TEMPLATE.search(value)):
        raise wrong(f"templates such as {match[0]} are not built yet: let the handler read the request itself")
    items: list[Any] = []
    if isinstance(value, dict):
        items = list(cast("dict[str, Any]", value).values())
    elif isinstance(value, list):
        items = cast("list[Any]", value)
    for item in items:
        _no_templates(item)
    return cast("Any", value)


Payload = Annotated[Json, AfterValidator(_no_templates)]
"""Any value; it keeps its YAML type and travels as JSON."""


class Middleware(Policy):
    """One link of a chain: an entry of a plugin, or a group of such links."""

    group: Text | None = None
    """Name of a middleware group; its links take this place. Excludes every other key."""

    plugin: Text | None = None
    """Name of a plugin."""

    entry: Text | None = None
    """Name of the handler in the plugin."""

    payload: Payload = None
    """Handed to the handler with every request, as JSON."""

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if self.group is not None:
            others = sorted(self.model_fields_set - {"group"})
            if others:
                raise wrong(f"'group' stands alone: take out {', '.join(others)}, or move them into the group")
            return self
        if self.plugin is None:
            raise wrong("expected 'plugin' and 'entry', or 'group'")
        if self.plugin in _BUILT_IN:
            raise wrong(f"'{self.plugin}' is not built yet: set headers in a handler")
        if self.entry is None:
            raise wrong(f"missing key 'entry': which handler of plugin '{self.plugin}'?")
        return self
