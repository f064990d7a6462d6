"""`nylon version`: what is installed."""

import platform

import typer

from nylon import __version__


def version() -> None:
    """Print the versions of Nylon and of the Python it runs in."""
    typer.echo(f"nylon {__version__} (Python {platform.python_version()})")
