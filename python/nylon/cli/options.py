"""Options that several commands share, so that they read the same everywhere."""

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from nylon import _core
from nylon.config import DEFAULT_RUNTIME_FILE
from nylon.control import logs

ConfigFile = Annotated[
    Path,
    typer.Option("--config", "-c", help="The runtime file.", show_default=str(DEFAULT_RUNTIME_FILE)),
]
"""`-c`, with the default path of the original."""

LogLevel = Annotated[
    Literal["debug", "info", "warn", "error"],
    typer.Option("--log-level", envvar="NYLON_LOG_LEVEL", help="The lowest level that is written."),
]
"""How much is written to the log."""

LogFormat = Annotated[
    Literal["text", "json"],
    typer.Option("--log-format", envvar="NYLON_LOG_FORMAT", help="text for people, json for machines."),
]
"""How log lines look."""


def start_logging(level: logs.Level, form: logs.Format) -> None:
    """Set up the logs of both halves of the process, and of the processes that it starts."""
    os.environ["NYLON_LOG_LEVEL"], os.environ["NYLON_LOG_FORMAT"] = level, form
    logs.configure(level, form)
    _core.init_logging(level, form)
