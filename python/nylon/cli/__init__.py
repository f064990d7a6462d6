"""The `nylon` command: one module per command."""

from nylon.cli.app import main

__all__ = ["main"]
