"""`nylon worker`: run a plugin in Python as worker processes on NATS."""

from typing import Annotated

import typer

from nylon.cli.options import LogFormat, LogLevel, start_logging


def worker(  # noqa: PLR0913 (one argument per option)
    target: Annotated[str, typer.Argument(help="module:plugin, or path/to/file.py with an optional :plugin.")],
    servers: Annotated[
        str | None,
        typer.Option(
            envvar="NATS_SERVERS",
            help="Addresses of NATS, separated by commas. Default: the plugin's own, nats://127.0.0.1:4222.",
            show_envvar=True,
        ),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(envvar="NATS_GROUP", help="Queue group to join. Default: the plugin's own.", show_envvar=True),
    ] = None,
    processes: Annotated[int, typer.Option(min=1, max=256, help="Number of processes.")] = 1,
    max_threads: Annotated[
        int | None,
        typer.Option(min=1, max=1024, help="Threads for `def` handlers, per process. Default: the plugin's own, 32."),
    ] = None,
    reload: Annotated[bool, typer.Option("--reload", help="Start again when a source file changes.")] = False,
    log_level: LogLevel = "info",
    log_format: LogFormat = "text",
) -> None:
    """Serve the handlers of a plugin. Processes that end are started again, after 0.25 to 15 seconds.

    SIGTERM and SIGINT drain, a second one ends everything at once; SIGHUP replaces every process.
    """
    from nylon.worker import supervisor  # the other commands do without it

    start_logging(log_level, log_format)
    raise typer.Exit(
        supervisor.run(
            target,
            servers=servers,
            group=group,
            processes=processes,
            max_threads=max_threads,
            reload=reload,
            log_level=log_level,
            log_format=log_format,
        )
    )
