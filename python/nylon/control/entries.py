"""`python -m nylon.control.entries TARGET`: what a plugin in a file has, as JSON.

A process of its own, because importing a plugin runs its author's code, which has no business in the gateway.
"""

import json
import subprocess
import sys
from dataclasses import dataclass

_REQUEST_FILTER = 1


@dataclass(frozen=True)
class EntryFound:
    """An entry of a plugin that was looked at."""

    name: str
    answers: bool
    """Whether it has a request filter: without one it cannot be a service."""


class EntriesError(Exception):
    """The plugin could not be loaded; the text says why."""


def find_entries(target: str) -> list[EntryFound]:
    """Load `target` in a process of its own and return its entries. Raises EntriesError."""
    command = [sys.executable, "-m", "nylon.control.entries", target]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise EntriesError(done.stderr.strip().rpartition("\n")[2] or f"loading {target}: exit code {done.returncode}")
    # the plugin may have printed lines of its own
    return [EntryFound(**entry) for entry in json.loads(done.stdout.strip().splitlines()[-1])]


def main(target: str) -> int:
    """Print the entries of `target`, or on stderr why it has none."""
    from nylon.worker.loading import explain, load

    try:
        found = load(target).describe()
    except (Exception, SystemExit) as error:  # noqa: BLE001 (the author's code may raise anything)
        sys.stderr.write(f"{explain(target, error)}\n")
        return 1
    entries = [{"name": entry.name, "answers": bool(entry.phases & _REQUEST_FILTER)} for entry in found]
    sys.stdout.write("\n" + json.dumps(entries) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
