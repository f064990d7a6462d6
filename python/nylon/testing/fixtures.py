"""The pytest plugin: the fixture `nylon_plugin`. pytest finds it where Nylon is installed."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Protocol, Unpack

import pytest

from nylon.sdk.plugin import Plugin
from nylon.testing.harness import Options, TestPlugin
from nylon.testing.requests import SyncClient


class Start(Protocol):
    """Serves a plugin until the test ends."""

    def __call__(self, plugin: Plugin, **options: Unpack[Options]) -> SyncClient:
        """Start it; the options are those of TestPlugin."""
        ...


@pytest.fixture
def nylon_plugin() -> Iterator[Start]:
    """Serve plugins for the test: `client = nylon_plugin(plugin, config=...)`, then `client.get("/x")`."""
    with ExitStack() as stack:

        def start(plugin: Plugin, **options: Unpack[Options]) -> SyncClient:
            return stack.enter_context(TestPlugin(plugin, **options))

        yield start
