"""`pingora`: settings of the original's HTTP engine, kept so that its files load."""

from typing import Annotated, ClassVar

from pydantic import Field

from nylon.config.section import Section

_SERVICE_MANAGER = "the gateway stays in the foreground; leave this to systemd or the container"
_UPSTREAM_TLS = "there is no TLS to upstreams yet"


class Pingora(Section):
    """Settings under the names of the original. Those with an equivalent here act as that one."""

    ignored: ClassVar = {
        "daemon": _SERVICE_MANAGER,
        "error_log": "logs go to stderr",
        "pid_file": _SERVICE_MANAGER,
        "user": _SERVICE_MANAGER,
        "group": _SERVICE_MANAGER,
        "upgrade_sock": "listeners are not handed over between processes",
        "ca_file": _UPSTREAM_TLS,
        "work_stealing": "a request never changes threads",
        "graceful_shutdown_timeout_seconds": "draining ends when the last request has, or after `drain_timeout`",
    }

    threads: Annotated[int, Field(ge=1, le=256)] | None = None
    """Acts as `threads`, where that is not set."""

    grace_period_seconds: Annotated[int, Field(ge=0, le=86_400)] | None = None
    """Acts as `drain_timeout`, where that is not set."""

    upstream_keepalive_pool_size: Annotated[int, Field(ge=0, le=100_000)] | None = None
    """Acts as `max_idle_connections` of every http service that does not set it."""
