"""`messaging`: connections to NATS."""

import re
from typing import Annotated, Any, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, model_validator

from nylon.config.section import Section
from nylon.config.values import Duration, Text, wrong

IN_PROCESS = "in-process"
"""Name of the entry that the snapshot has for plugins of `type: python`."""

_SCHEMES = ("nats", "tls")


def _servers(value: Any) -> Any:
    if not isinstance(value, list):
        # not shown: it may have credentials in it
        raise wrong("expected a list of servers such as [nats://localhost:4222]")
    return value  # pyright: ignore[reportUnknownVariableType]


def _server(value: str) -> str:
    scheme, separator, rest = value.partition("://")
    if not separator:
        scheme, rest = "nats", value
    if "@" in rest:
        raise wrong("credentials belong under 'auth', not in the address: addresses are logged")
    try:
        parts = urlsplit(f"{scheme}://{rest}")
        usable = scheme in _SCHEMES and parts.hostname and parts.path in ("", "/") and not parts.query
        port = parts.port or 4222
    except ValueError:
        usable, port, parts = False, 0, None
    if not usable or parts is None:
        raise wrong(f"expected a server such as nats://localhost:4222 or tls://nats:4222, found {value!r}")
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{scheme}://{host}:{port}"


def _prefix(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*", value):
        raise wrong(f"expected a subject prefix of letters, digits, '_', '-' and '.', found {value!r}")
    return value


class Auth(Section):
    """How the gateway proves who it is to NATS: one of user and password, token, nkey, or creds file."""

    secret: ClassVar = True

    user: Text | None = None
    """User name; needs `password`."""

    password: Text | None = None
    """Password of `user`."""

    token: Text | None = None
    """A token that the server knows."""

    nkey_seed: Text | None = None
    """An nkey seed (it begins with `SU`)."""

    creds_file: Text | None = None
    """Path of a `.creds` file, as NATS accounts use it."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.user is None) != (self.password is None):
            raise wrong("'user' and 'password' need each other")
        ways = [name for name in ("user", "token", "nkey_seed", "creds_file") if getattr(self, name) is not None]
        if len(ways) != 1:
            raise wrong(f"expected one of user and password, token, nkey_seed, creds_file; found {len(ways)} of them")
        return self


class Tls(Section):
    """TLS to NATS. With an empty mapping the system's certificate authorities are trusted."""

    ca_file: Text | None = None
    """PEM file of the certificate authorities to trust instead of the system's."""

    cert_file: Text | None = None
    """PEM file of the gateway's own certificate (mTLS); needs `key_file`."""

    key_file: Text | None = None
    """PEM file of the key of `cert_file`."""

    @model_validator(mode="after")
    def _pair(self) -> Self:
        if (self.cert_file is None) != (self.key_file is None):
            raise wrong("'cert_file' and 'key_file' need each other")
        return self


class Messaging(Section):
    """One NATS system that plugins are reached over."""

    name: Text
    """What plugins call it."""

    type: Literal["nats"] = "nats"
    """Only `nats`."""

    servers: Annotated[list[Annotated[Text, AfterValidator(_server)]], BeforeValidator(_servers)] = []
    """Addresses of one or several servers of a cluster. Required, unless `embedded` is set."""

    embedded: bool = False
    """Start a nats-server of our own on a free loopback port with random credentials; it ends with the gateway. For
    development and for one machine: nothing outside this gateway's own `workers` can know how to reach it."""

    auth: Auth | None = None
    """Credentials; without them the connection is anonymous."""

    tls: Tls | None = None
    """TLS, or mutual TLS with a certificate of our own."""

    prefix: Annotated[Text, AfterValidator(_prefix)] = "nylon"
    """First part of every subject. Gateways and workers that shall meet need the same."""

    timeout: Duration = 5_000
    """How long a plugin has for one phase, where neither the plugin nor the middleware says otherwise."""

    accept_timeout: Duration = 250
    """How long to wait for a worker to take a session before another one is tried (SPEC 9.7); when the last one has not
    either, the phase has failed with 504."""

    ping_interval: Duration = 5_000
    """How often the connection is tested; a server that misses two pings is gone."""

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if self.embedded and (self.servers or self.auth or self.tls):
            raise wrong("'embedded' brings its own server: leave out servers, auth and tls")
        if not self.embedded and not self.servers:
            raise wrong("missing key 'servers' (or set 'embedded: true')")
        return self
