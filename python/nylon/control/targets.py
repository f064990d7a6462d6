"""What `workers:` names, before any of it runs."""

from dataclasses import dataclass, field

from nylon.config import Loaded, Location, Problem, RuntimeFile
from nylon.control.entries import EntriesError, find_entries, used_entries
from nylon.control.workers import group_of, messaging_of


@dataclass
class _Group:
    """What the workers of one group have."""

    place: Location
    entries: set[str] = field(default_factory=set[str])
    known: bool = True


def examine(loaded: Loaded) -> tuple[list[Problem], list[Problem]]:
    """Import every target of `workers:` in a process of its own; return problems and warnings.

    A target that is no plugin is a problem. An entry that is used, but that no target of its group has, is a warning:
    workers that are started elsewhere may have it.
    """
    problems: list[Problem] = []
    groups: dict[tuple[str, str], _Group] = {}
    for worker, place in zip(loaded.config.workers, loaded.targets, strict=True):
        group = groups.setdefault((messaging_of(loaded.config, worker).name, worker.group), _Group(place))
        try:
            found = find_entries(worker.target)
            if not found:
                raise EntriesError(f"{worker.target} has no entry; register one with @plugin.handler(name)")
            group.entries.update(entry.name for entry in found)
        except EntriesError as error:
            group.known = False
            problems.append(Problem(place, str(error)))
    return problems, _missing(loaded.config, groups)


def _missing(config: RuntimeFile, groups: dict[tuple[str, str], _Group]) -> list[Problem]:
    warnings: list[Problem] = []
    for plugin in config.plugins:
        group = groups.get(group_of(config, plugin)) if plugin.type == "messaging" else None
        if group is None or not group.known:
            continue
        have = ", ".join(sorted(group.entries))
        for entry in sorted(set(used_entries(config, plugin.name)) - group.entries):
            text = f"no worker here has entry '{entry}' of plugin '{plugin.name}'; they have: {have}"
            warnings.append(Problem(group.place, text))
    return warnings
