"""What holds for one use of a plugin entry: deadline, failure policy, phases, headers."""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from nylon.config.section import Section
from nylon.config.values import Duration, HeaderName, wrong

Phase = Literal["request_filter", "response_filter", "response_body_filter", "logging"]
"""The moments of an exchange at which an entry may be asked."""

Outcome = Literal["fail", "continue"]
"""`fail`: the client gets an error; `continue`: the exchange goes on without the entry."""


class OnError(Section):
    """What happens when the entry fails, per phase."""

    request_filter: Outcome = "fail"
    """Default `fail`: a request that was not checked does not pass."""

    response_filter: Outcome = "continue"
    """Default `continue`: the answer is already there."""

    response_body_filter: Outcome = "fail"
    """Default `fail`: a body that was not filtered does not leave."""

    logging: Literal["continue"] = "continue"
    """Always `continue`: the client already has its answer."""


def every_phase(value: object) -> object:
    """Read `on_error: fail` as a mapping that says so for every phase that has a choice."""
    if isinstance(value, str) and value not in ("fail", "continue"):
        raise wrong(f"expected fail, continue or a mapping of phases, found '{value}'")
    if value in ("fail", "continue"):
        return dict.fromkeys(("request_filter", "response_filter", "response_body_filter"), value)
    return value


class Headers(Section):
    """Which headers of the request an entry gets to see; those of the response are all there (SPEC 10.3)."""

    allow: list[HeaderName] | None = None
    """Only these; without it all."""

    deny: list[HeaderName] = []
    """All but these; wins over `allow`. Default: none."""


class Policy(Section):
    """What middleware and plugin services have in common."""

    timeout: Duration | None = None
    """How long the entry has for one phase; beyond it the phase has failed with 504. Streams and WebSockets have no
    such limit; while an entry that reads an upload as it comes waits for the client, that one's `read_timeout` holds
    instead. Default: the plugin's `timeout`."""

    on_error: Annotated[OnError, BeforeValidator(every_phase)] | None = None
    """`fail` or `continue` for every phase, or a mapping of phases. Default: the plugin's `on_error`."""

    phases: Annotated[list[Phase], Field(min_length=1)] | None = None
    """Ask the entry only in these phases. Default: in those that its handler has."""

    headers: Headers | None = None
    """Which headers of the request the entry gets to see. Default: all."""

    retry: Annotated[int, Field(ge=0, le=1)] = 1
    """How often a session that no worker has taken is offered to another one: 0 or 1. It is *at least once*: a worker
    that took it and died in silence may have run it. A plugin service tries again only for idempotent methods
    (RFC 9110, 9.2.2)."""

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if self.phases is not None and len(set(self.phases)) != len(self.phases):
            raise wrong("a phase is listed twice under 'phases'")
        return self
