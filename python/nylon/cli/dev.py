"""`nylon dev`: everything that a plugin in a file needs, in one command."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from nylon.cli.options import LogFormat, LogLevel, start_logging
from nylon.control.dev import DevOptions, DevSource, upstream_address
from nylon.control.exit_codes import ExitCode
from nylon.control.gateway import GatewayProcess


def dev(  # noqa: PLR0913 (one argument per option)
    target: Annotated[str, typer.Argument(help="path/to/app.py, with :plugin if it has several.")],
    upstream: Annotated[
        str | None, typer.Option(help="URL of a server; the plugin's entries become middleware in front of it.")
    ] = None,
    listen: Annotated[str, typer.Option(help="Where to listen, without a nylon.yaml.")] = "127.0.0.1:8080",
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="Use this file. Default: nylon.yaml beside the plugin.")
    ] = None,
    group: Annotated[str | None, typer.Option(help="Which group the plugin serves, if the file has several.")] = None,
    log_level: LogLevel = "info",
    log_format: LogFormat = "text",
) -> None:
    """Run a plugin with a gateway and a NATS server of its own.

    The worker starts again when a source file changes, the gateway reads its configuration again when that does. A
    nylon.yaml beside the plugin is used, with NATS replaced by a server of our own. Without one, each entry answers
    under its own name (a single one answers everything), or stands in front of --upstream.
    """
    file = Path(target.partition(":")[0])
    if not file.is_file():
        typer.echo(f"error: loading {target}: there is no such file", err=True)
        raise typer.Exit(ExitCode.USAGE)
    if config is None and (beside := file.parent / "nylon.yaml").is_file():
        config = beside
    try:
        if upstream is not None:
            upstream_address(upstream)
    except ValueError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(ExitCode.USAGE) from None
    if config is not None and upstream is not None:
        typer.echo(f"error: --upstream does not go with {config}, which has its own services", err=True)
        raise typer.Exit(ExitCode.USAGE)
    start_logging(log_level, log_format)
    with tempfile.TemporaryDirectory(prefix="nylon-dev-") as scratch:
        source = DevSource(DevOptions(target, config, listen, upstream, group, Path(scratch)))

        def started(addresses: dict[str, list[str]]) -> None:
            for address in addresses.get("http", []):
                typer.echo(f"\n  {target} is served at http://{address}")
            for entry in source.entries:
                where = "middleware" if upstream else f"/{entry.name}" if entry.answers else "needs --upstream"
                typer.echo(f"    {entry.name:<20} {where}")
            typer.echo("")

        where = f"the configuration ({config})" if config is not None else "--listen (127.0.0.1:0 takes a free port)"
        code = GatewayProcess(
            source,
            changed=source.changed,
            started=started,
            elsewhere=f"end what listens there, or name another address in {where}",
            dev=True,
        ).run()
    raise typer.Exit(code)
