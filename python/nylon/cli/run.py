"""`nylon run`: start the gateway."""

import typer

from nylon.cli.options import ConfigFile, LogFormat, LogLevel, start_logging
from nylon.config import DEFAULT_RUNTIME_FILE
from nylon.control.gateway import GatewayProcess, from_file


def run(
    config: ConfigFile = DEFAULT_RUNTIME_FILE, log_level: LogLevel = "info", log_format: LogFormat = "text"
) -> None:
    """Serve until told otherwise.

    SIGHUP reads the configuration again: it is checked as a whole first, and if anything is wrong the old one keeps
    serving. SIGTERM lets requests in flight end (drain_timeout), SIGINT stops, a second signal exits at once.
    """
    start_logging(log_level, log_format)
    raise typer.Exit(GatewayProcess(from_file(config)).run())
