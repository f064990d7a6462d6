"""`workers`: Python workers that the gateway starts beside itself."""

from typing import Annotated

from pydantic import Field

from nylon.config.section import Section
from nylon.config.values import Text


class Worker(Section):
    """A plugin in Python, run by `nylon run` as worker processes and restarted when one ends."""

    target: Text
    """What to run: `module:plugin` or `path/to/file.py`, relative to the working directory."""

    messaging: Text | None = None
    """Name of the entry of `messaging` to connect to. May be left out where there is only one."""

    group: Text
    """Queue group to join: the group of the plugin that it serves."""

    processes: Annotated[int, Field(ge=1, le=256)] = 1
    """Number of processes."""

    max_threads: Annotated[int, Field(ge=1, le=1_024)] | None = None
    """Threads for `def` handlers in each process. Default: what the plugin's code says, else 32."""
