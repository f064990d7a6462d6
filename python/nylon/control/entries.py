"""Entries: which ones a configuration uses, and which ones a plugin has.

`python -m nylon.control.entries TARGET` prints the latter as JSON. It is a process of its own, because importing a
plugin runs its author's code, which has no business in the gateway.
"""

import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from nylon.config import RuntimeFile
from nylon.config.middleware import Middleware
from nylon.control.child import Child

_REQUEST_FILTER = 1


@dataclass(frozen=True)
class EntryFound:
    """An entry of a plugin that was looked at."""

    name: str
    answers: bool
    """Whether it has a request filter: without one it cannot be a service."""


class EntriesError(Exception):
    """The plugin could not be loaded; the text says why."""


def used_entries(config: RuntimeFile, name: str) -> Iterator[str]:
    """Return the entries that routes and services of `config` use of the plugin `name`, some of them several times."""
    chains: list[list[Middleware]] = list(config.middleware_groups.values())
    for route in config.routes:
        chains += [route.middleware, *(path.middleware for path in route.paths)]
    for link in itertools.chain.from_iterable(chains):
        if link.plugin == name and link.entry is not None:
            yield link.entry
    for service in config.services:
        if service.plugin is not None and service.plugin.name == name:
            yield service.plugin.entry


def find_entries(target: str) -> list[EntryFound]:
    """Load `target` in a process of its own and return its entries. Raises EntriesError."""
    child = Child([sys.executable, "-m", "nylon.control.entries", target], grace=0, stdout=subprocess.PIPE)
    try:
        said, code = child.output(), child.wait()
    finally:
        child.stop()
    try:
        # the plugin may have printed lines of its own
        answer: dict[str, Any] = json.loads(said.strip().splitlines()[-1])
    except (IndexError, ValueError):
        raise EntriesError(f"loading {target!r}: its import ended the process with exit code {code}") from None
    if "error" in answer:
        raise EntriesError(answer["error"])
    return [EntryFound(**entry) for entry in answer["entries"]]


def main(target: str) -> None:
    """Print the entries of `target`, or why it has none."""
    from nylon.sdk import logs
    from nylon.sdk.running import request_id
    from nylon.worker.loading import explain, load

    logs.ensure_as_told(request_id)
    try:
        entries = [
            {"name": entry.name, "answers": bool(entry.phases & _REQUEST_FILTER)} for entry in load(target).describe()
        ]
        answer = {"entries": entries}
    except (Exception, SystemExit) as error:  # noqa: BLE001 (the author's code may raise anything)
        answer = {"error": str(explain(target, error))}
    sys.stdout.write("\n" + json.dumps(answer) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
