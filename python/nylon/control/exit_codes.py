"""What the exit code of `nylon` says; scripts and service managers go by it."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Codes beyond these are 128 + the number of the second signal, which ends the process at once."""

    OK = 0
    """Done, or stopped by a signal as asked."""

    RUNTIME = 1
    """Something failed while running: the log says what."""

    USAGE = 2
    """The command line is not understood."""

    CONFIG = 3
    """The configuration, or what a worker was told to run, cannot be used."""

    ADDRESS = 4
    """A listener could not be opened: its address is in use, or not ours."""


EXPLAINED = {
    ExitCode.OK: "done, or stopped by a signal",
    ExitCode.RUNTIME: "failed while running; the log says why",
    ExitCode.USAGE: "wrong command line",
    ExitCode.CONFIG: "unusable configuration, or a plugin in Python that cannot be imported",
    ExitCode.ADDRESS: "cannot listen on an address",
}
"""One line for each code, for --help and the documentation."""
