"""Puts the commands together and decides the exit code."""

from typing import Annotated

import typer

from nylon.cli.check import check
from nylon.cli.dev import dev
from nylon.cli.nats import nats
from nylon.cli.run import run
from nylon.cli.schema import schema
from nylon.cli.version import version
from nylon.cli.worker import worker
from nylon.control.exit_codes import EXPLAINED

_EXIT_CODES = "Exit codes: " + ", ".join(f"{int(code)} {text}" for code, text in EXPLAINED.items()) + "."

app = typer.Typer(
    no_args_is_help=True,
    # without it, texts keep the line breaks of the source
    rich_markup_mode="markdown",
    add_completion=False,
    pretty_exceptions_enable=False,
    help="An HTTP gateway that you extend with plugins over NATS.",
    epilog=_EXIT_CODES,
)
for command in (run, check, worker, dev, schema, version):
    app.command(epilog=_EXIT_CODES)(command)
app.add_typer(nats, name="nats")


def _print_version(wanted: bool) -> None:
    if wanted:
        version()
        raise typer.Exit


@app.callback()
def callback(
    _version: Annotated[
        bool,
        typer.Option("--version", "-V", help="The same as `nylon version`.", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    """Take the options that stand before the command."""


def main() -> None:
    """Run the command line of this process."""
    app()
