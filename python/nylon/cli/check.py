"""`nylon check`: is this configuration usable?"""

import contextlib
import sys
from collections.abc import Iterable
from typing import Annotated

import typer

from nylon import _core
from nylon.cli.options import ConfigFile
from nylon.config import DEFAULT_RUNTIME_FILE, ConfigError, Problem, Server, compile, load
from nylon.control import targets
from nylon.control.exit_codes import ExitCode
from nylon.control.in_process import InProcess


def check(
    config: ConfigFile = DEFAULT_RUNTIME_FILE,
    show: Annotated[
        bool, typer.Option("--show", help="Print the snapshot, with every default. It has secrets.")
    ] = False,
    imports: Annotated[
        bool,
        typer.Option(
            "--import/--no-import",
            help="Whether to import plugins of `type: python` and the targets of `workers:`, which runs what stands "
            "at their top.",
        ),
    ] = True,
) -> None:
    """Read and compile the configuration as `nylon run` would, without serving it.

    Every problem is one line, with file, line and column. Nothing is connected to. Plugins in Python that `nylon run`
    would import or start as workers are imported, the latter in processes of their own, but not initialized; of other
    plugins no code is run.
    """
    try:
        loaded = load(config)
    except ConfigError as error:
        raise _refused(error) from None
    _warn(loaded.warnings)
    not_started = Server("nats://127.0.0.1:4222", "nylon", "not started")
    snapshot = compile(loaded.config, embedded={entry.name: not_started for entry in loaded.config.messaging})
    try:
        # What only the data plane knows: conflicts between path patterns.
        _core.Gateway(snapshot)
    except ValueError as error:
        raise _refused(ConfigError([loaded.refusal(str(error))])) from None
    if imports:
        problems, warnings = targets.examine(loaded)
        try:
            with contextlib.redirect_stdout(sys.stderr):  # what a module prints is no answer of ours
                InProcess().examine(loaded)
        except ConfigError as error:
            problems += error.problems
        _warn(warnings)
        if problems:
            raise _refused(ConfigError(problems))
    if show:
        typer.echo(snapshot.decode())
        return
    found = loaded.config
    typer.echo(
        f"ok: {_count(found.routes, 'route')}, {_count(found.services, 'service')}, "
        f"{_count(found.plugins, 'plugin')} from {_count(loaded.files, 'file')}"
    )


def _warn(warnings: Iterable[Problem]) -> None:
    for warning in warnings:
        typer.echo(f"warning: {warning}", err=True)


def _refused(error: ConfigError) -> typer.Exit:
    for problem in error.problems:
        typer.echo(f"error: {problem}", err=True)
    return typer.Exit(ExitCode.CONFIG)


def _count(items: object, name: str) -> str:
    number = len(items)  # pyright: ignore[reportArgumentType]
    return f"{number} {name}" if number == 1 else f"{number} {name}s"
