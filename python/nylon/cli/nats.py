"""`nylon nats`: what concerns the NATS servers behind a configuration."""

from typing import Annotated

import typer

from nylon.cli.options import ConfigFile
from nylon.config import DEFAULT_RUNTIME_FILE, ConfigError, load
from nylon.control.exit_codes import ExitCode
from nylon.control.permissions import authorization

nats = typer.Typer(no_args_is_help=True, help="What concerns the NATS servers behind a configuration.")


@nats.callback()
def callback() -> None:
    """Keep `permissions` a subcommand although it is the only one."""


@nats.command()
def permissions(
    config: ConfigFile = DEFAULT_RUNTIME_FILE,
    messaging: Annotated[str | None, typer.Option(help="Which entry of `messaging`. Default: the only one.")] = None,
) -> None:
    """Print the authorization block for nats-server: the gateways' user and one for each worker group.

    Passwords are variables: nats-server takes $NYLON_GATEWAY_PASSWORD and the like from its environment.
    """
    try:
        found = load(config).config
    except ConfigError as error:
        for problem in error.problems:
            typer.echo(f"error: {problem}", err=True)
        raise typer.Exit(ExitCode.CONFIG) from None
    entries = {entry.name: entry for entry in found.messaging}
    if messaging is None and len(entries) == 1:
        messaging = next(iter(entries))
    if messaging not in entries:
        names = ", ".join(entries) or "none"
        typer.echo(f"error: which entry of 'messaging'? --messaging NAME; there is: {names}", err=True)
        raise typer.Exit(ExitCode.USAGE)
    typer.echo(authorization(found, entries[messaging]), nl=False)
