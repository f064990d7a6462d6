"""What is wrong with a configuration, and where: every problem has a file, a line and a column."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, order=True)
class Location:
    """A place in a file; lines and columns count from 1, as editors do. 0 stands for the whole file."""

    file: Path
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else str(self.file)


@dataclass(frozen=True, order=True)
class Problem:
    """One sentence about one place. It never contains the value of a secret."""

    location: Location
    text: str

    def __str__(self) -> str:
        return f"{self.location}: {self.text}"


class ConfigError(Exception):
    """The configuration cannot be used; `problems` lists every reason that was found, in reading order."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(dict.fromkeys(sorted(problems)))
        super().__init__("\n".join(map(str, self.problems)))


class Report:
    """Collects problems and warnings while a configuration is read, so that one run shows them all."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []

    def error(self, location: Location, text: str) -> None:
        """Note something that makes the configuration unusable."""
        self.problems.append(Problem(location, text))

    def warn(self, location: Location, text: str) -> None:
        """Note something that is accepted but will not do what its author may think."""
        self.warnings.append(Problem(location, text))

    def check(self) -> None:
        """Raise ConfigError if there is any problem."""
        if self.problems:
            raise ConfigError(self.problems)
