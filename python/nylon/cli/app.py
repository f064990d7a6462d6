"""Puts the commands together and decides the exit code."""

import typer

from nylon.cli.version import version

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.command()(version)


@app.callback()
def callback() -> None:
    """An HTTP gateway that you extend with plugins over NATS."""


def main() -> None:
    """Run the command line of this process."""
    app()
