"""`middleware` and `middleware_groups`: the chain that every request of a route goes through."""

import json
from typing import Annotated, Any, Self, cast

from pydantic import AfterValidator, model_validator

from nylon._core import modifier_problem, template_problem
from nylon.config.policy import Policy
from nylon.config.values import Json, Text, wrong

BUILT_IN = ("RequestHeaderModifier", "ResponseHeaderModifier")
"""Names that stand for middleware of the gateway itself: no plugin can have them."""


def _templates(value: Any) -> Any:
    if isinstance(value, str) and (problem := template_problem(value)) is not None:
        raise wrong(problem)
    items: list[Any] = []
    if isinstance(value, dict):
        items = list(cast("dict[str, Any]", value).values())
    elif isinstance(value, list):
        items = cast("list[Any]", value)
    for item in items:
        _templates(item)
    return cast("Any", value)


Payload = Annotated[Json, AfterValidator(_templates)]
"""Any value; it keeps its YAML type and travels as JSON. Texts in it may have templates such as `${header(host)}`."""


class Middleware(Policy):
    """One link of a chain: an entry of a plugin, or a group of such links."""

    group: Text | None = None
    """Name of a middleware group; its links take this place. Excludes every other key."""

    plugin: Text | None = None
    """Name of a plugin, or `RequestHeaderModifier` or `ResponseHeaderModifier`."""

    entry: Text | None = None
    """Name of the handler in the plugin. The header modifiers have none."""

    payload: Payload = None
    """Handed to the handler with every request, as JSON. For the header modifiers: `set`, a list of `name` and `value`,
    and `remove`, a list of names."""

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if self.group is not None:
            others = sorted(self.model_fields_set - {"group"})
            if others:
                raise wrong(f"'group' stands alone: take out {', '.join(others)}, or move them into the group")
            return self
        if self.plugin is None:
            raise wrong("expected 'plugin' and 'entry', or 'group'")
        if self.plugin in BUILT_IN:
            problem = modifier_problem(self.plugin, json.dumps(self.payload))
            if problem is not None:
                raise wrong(problem)
            return self
        if self.entry is None:
            raise wrong(f"missing key 'entry': which handler of plugin '{self.plugin}'?")
        return self
