"""`routes`: what a request matches and which service it goes to."""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from nylon.config.middleware import Middleware
from nylon.config.section import Section
from nylon.config.values import TOKEN, HeaderName, Text, wrong

_PARAMETER = re.compile(r"\{(\*?[^{}]*)\}")
_HOST = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?|\[[0-9a-f:.]+\]")


def _method(value: str) -> str:
    if not TOKEN.fullmatch(value):
        raise wrong(f"expected a method such as GET, found {value!r}")
    return value.upper()


def _pattern(value: str) -> str:
    if not value.startswith("/"):
        raise wrong(f"a path begins with '/', found {value!r}")
    literal = _PARAMETER.sub("", value.replace("{{", "").replace("}}", ""))
    if "{" in literal or "}" in literal:
        raise wrong(f"unbalanced braces in path {value!r}: write {{{{ and }}}} for literal ones")
    for name in parameters(value):
        if name in ("", "*"):
            raise wrong(f"a parameter without a name in path {value!r}")
        if name.startswith("*") and not value.endswith(f"{{{name}}}"):
            raise wrong(f"a catch-all stands only at the end of a path: {value!r}")
    return value


def parameters(pattern: str) -> list[str]:
    """Return the parameters of a path pattern; a catch-all keeps its star."""
    return _PARAMETER.findall(pattern.replace("{{", "").replace("}}", ""))


def shape(pattern: str) -> str:
    """Return a path pattern without the names of its parameters."""
    return _PARAMETER.sub(lambda name: "{*}" if name[1].startswith("*") else "{}", pattern)


def _host(value: str) -> str:
    if value == "*":
        return value
    host = value.lower()
    if "*" in host:
        raise wrong(f"wildcards within a host are not known, only '*' alone: {value!r}")
    if host.rpartition(":")[2].isdigit() and not host.endswith("]"):
        raise wrong(f"a host is matched without its port: {value!r}")
    if not _HOST.fullmatch(host):
        raise wrong(f"expected a host name, found {value!r}")
    return host


def _one_or_many(value: object) -> object:
    return [value] if not isinstance(value, list) else value  # pyright: ignore[reportUnknownVariableType]


class Match(Section):
    """Which requests a route is for."""

    type: Literal["host", "header"]
    """`host`: by the Host header. `header`: by the value of the selector header, tried first."""

    value: Text
    """One or several values, separated by `|`. Hosts are compared without case and port; the host `*` matches what no
    other route does."""

    @property
    def values(self) -> list[str]:
        """The values one by one, hosts in lower case."""
        return [value.lower() if self.type == "host" else value for value in self.value.split("|")]

    @model_validator(mode="after")
    def _each(self) -> Self:
        for value in self.value.split("|"):
            if not value:
                raise wrong(f"an empty value between '|' in {self.value!r}")
            if self.type == "host":
                _host(value)
        return self


class RouteTls(Section):
    """TLS of a route. It is not built yet: the block is read and must be disabled."""

    enabled: bool
    """Must be `false`: put a TLS terminator in front."""

    redirect: Text | None = None
    """Without effect while `enabled` is false."""

    @model_validator(mode="after")
    def _disabled(self) -> Self:
        if self.enabled:
            raise wrong("TLS is not built yet: set 'enabled: false' and put a TLS terminator in front")
        return self


class Target(Section):
    """Where the requests of a path go."""

    name: Text
    """Name of a service."""

    rewrite: Annotated[Text, AfterValidator(_pattern)] | None = None
    """What replaces the fixed beginning of the matched path, up to its first parameter; the rest and the query are
    kept: `/old/{*p}` with `/new` turns `/old/a` into `/new/a`. With parameters it is the whole new path: `/v2/{*p}`."""


class Path(Section):
    """One or several path patterns of a route with the same treatment."""

    path: Annotated[list[Annotated[Text, AfterValidator(_pattern)]], BeforeValidator(_one_or_many), Field(min_length=1)]
    """A pattern or a list of them: `/status`, `/users/{id}`, `/files/{*rest}`. A catch-all needs at least one
    character, so the usual pair is `/` and `/{*path}`. Fixed text wins over parameters, parameters over a catch-all.
    Paths have one form (docs/operating.md, Paths) before they are matched; a pattern that has another is an error."""

    methods: Annotated[list[Annotated[Text, AfterValidator(_method)]], Field(min_length=1)] | None = None
    """Methods that are let through, in any case; others get 405. Default: GET, POST, PUT, DELETE, OPTIONS, HEAD,
    PATCH. CONNECT and TRACE get 501 everywhere."""

    encoded_slashes: Literal["refuse", "keep"] = "refuse"
    """What to do with `%2F` in a request's path: `refuse` it with 400, or `keep` it for an upstream that tells it from
    `/`. It is part of a segment then: `{id}` matches `group%2Fproject`. What would be another path of the route if it
    were a `/` is 400 all the same."""

    middleware: list[Middleware] = []
    """Links that come after those of the route."""

    service: Target
    """Where the request goes."""

    @model_validator(mode="after")
    def _known_parameters(self) -> Self:
        for name in parameters(self.service.rewrite or ""):
            for pattern in self.path:
                if name not in parameters(pattern):
                    raise wrong(f"rewrite uses {{{name}}}, which path {pattern!r} does not have")
        return self


class Route(Section):
    """A set of paths under one or several hosts or selector values."""

    name: Text
    """Unique over all files."""

    route: Match
    """Which requests it is for."""

    tls: RouteTls | None = None
    """TLS settings of the original."""

    strip_headers: list[HeaderName] = []
    """Headers that are taken out of what clients send, before any plugin sees them: name here what your plugins set
    for the upstream, such as `X-Auth-User`. Spelled with `_` for `-` they go, too: some upstreams see no difference."""

    middleware: list[Middleware] = []
    """Links that every request of the route goes through, in order."""

    paths: list[Path]
    """The paths of the route; what matches none gets 404."""
