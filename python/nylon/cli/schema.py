"""`nylon schema`: what editors need to complete and check a configuration."""

import json
from typing import Annotated

import typer

from nylon import config as configuration


def schema(
    proxy: Annotated[bool, typer.Option("--proxy", help="Of a file of the proxy directory.")] = False,
) -> None:
    """Print the JSON schema of the runtime file, or of a file of the proxy directory."""
    section = configuration.ProxyFile if proxy else configuration.RuntimeFile
    typer.echo(json.dumps(configuration.schema(section), indent=2))
