"""`services`: where a request goes when its route's middleware is done."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from nylon.config.middleware import Payload
from nylon.config.policy import Policy
from nylon.config.section import Section
from nylon.config.values import Duration, IpAddress, Text, wrong

_ALGORITHMS = ("weighted", "consistent", "random")


def _algorithm(value: object) -> object:
    if value in _ALGORITHMS:
        raise wrong(f"algorithm '{value}' is not built yet: use round_robin, which honours weights")
    return value


def _service_type(value: object) -> object:
    if value == "static":
        raise wrong("static services are not built yet: let a web server hold the files, and use an http service")
    return value


class Endpoint(Section):
    """One address of an upstream."""

    ip: IpAddress
    """IPv4 or IPv6 address; names are not looked up."""

    port: Annotated[int, Field(ge=1, le=65_535)]
    """TCP port."""

    weight: Annotated[int, Field(le=1_000)] = 1
    """Share of the requests, in proportion to the other endpoints: 1 to 1000."""

    @model_validator(mode="after")
    def _some_weight(self) -> Self:
        if self.weight < 1:
            raise wrong(f"weight {self.weight} would never be chosen: use 1 or more, or take the endpoint out")
        return self


class HealthCheck(Section):
    """Active checks. They are not built yet: the block is read and checked, and must be disabled."""

    enabled: bool = False
    """Must be `false`."""

    path: Text = "/"
    """Path to ask for."""

    interval: Duration = 10_000
    """Time between two checks."""

    timeout: Duration = 5_000
    """Time for one check."""

    healthy_threshold: Annotated[int, Field(ge=1)] = 2
    """Successes in a row that bring an endpoint back."""

    unhealthy_threshold: Annotated[int, Field(ge=1)] = 3
    """Failures in a row that take an endpoint out."""

    @model_validator(mode="after")
    def _disabled(self) -> Self:
        if self.enabled:
            raise wrong("health checks are not built yet: set 'enabled: false'")
        return self


class Timeouts(Section):
    """Limits on every wait for an upstream."""

    connect: Duration = 5_000
    """To open a connection; beyond it the client gets 504."""

    head: Duration = 60_000
    """From the end of the request to the head of the answer; beyond it the client gets 504."""

    read: Duration = 60_000
    """Longest pause while the answer's body arrives; beyond it the client's connection is reset."""

    write: Duration = 60_000
    """Longest pause while the upstream takes the request's body."""

    idle: Duration = 60_000
    """How long an unused connection is kept for the next request."""


class PluginService(Policy):
    """The entry that answers the requests of a plugin service."""

    name: Text
    """Name of the plugin."""

    entry: Text
    """Name of the handler in it."""

    payload: Payload = None
    """Handed to the handler with every request, as JSON."""


class Service(Section):
    """An upstream, or a plugin that answers itself."""

    not_built: ClassVar = {"static": "static services are not built yet: let a web server hold the files"}

    name: Text
    """What routes call it; unique over all files."""

    service_type: Annotated[Literal["http", "plugin"], BeforeValidator(_service_type)]
    """`http`: pass the request on to an endpoint. `plugin`: an entry of a plugin makes the answer."""

    algorithm: Annotated[Literal["round_robin"], BeforeValidator(_algorithm)] = "round_robin"
    """How an endpoint is chosen: in turn, by weight."""

    endpoints: list[Endpoint] | None = None
    """Addresses of the upstream. Required for http services."""

    health_check: HealthCheck | None = None
    """Active checks of the endpoints."""

    timeouts: Timeouts = Timeouts()
    """Limits on every wait for the upstream."""

    max_idle_connections: Annotated[int, Field(ge=0, le=100_000)] | None = None
    """Unused connections that are kept, per thread. Default 128."""

    plugin: PluginService | None = None
    """Which entry answers. Required for plugin services."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.service_type == "http" and not self.endpoints:
            raise wrong("an http service needs at least one endpoint under 'endpoints'")
        if self.service_type == "plugin" and self.plugin is None:
            raise wrong("missing key 'plugin' (name and entry), which a plugin service needs")
        return self
