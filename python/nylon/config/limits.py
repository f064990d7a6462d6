"""`limits`: how much one client may ask of the gateway."""

from typing import Annotated

from pydantic import Field

from nylon.config.section import Section
from nylon.config.values import Duration, Size


class Limits(Section):
    """Bounds on what a client sends and on how long it may take. They hold before any route is chosen."""

    max_header_bytes: Annotated[Size, Field(ge=1024, le=1 << 20)] = 64 << 10
    """Request line and headers together; beyond it the answer is 431."""

    max_headers: Annotated[int, Field(ge=1, le=10_000)] = 100
    """Number of header fields in a request; beyond it the answer is 431."""

    max_request_body_bytes: Size | None = None
    """Length of a request body; beyond it the answer is 413. Without it there is no limit for bodies that are only
    passed on; what a plugin reads is bounded by the plugin's `max_body_bytes`."""

    max_connections: Annotated[int, Field(ge=1, le=1_000_000)] = 16_384
    """Client connections at one time, over all listeners; more are answered with 503 and closed."""

    header_timeout: Duration = 10_000
    """From the first byte of a request to the end of its headers; beyond it the answer is 408."""

    idle_timeout: Duration = 60_000
    """How long a keep-alive connection may wait for its next request; then it is closed."""

    read_timeout: Duration = 60_000
    """Longest pause while a request body arrives; beyond it the answer is 408."""

    write_timeout: Duration = 60_000
    """Longest pause while a client takes its answer; then its connection is closed."""
