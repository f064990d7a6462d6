"""Fixtures: one nats-server per module, everything else per test."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from .support.gateway import Gateway, Worker, configuration
from .support.nats import NatsServer
from .support.raw import RawWorker
from .support.upstream import Upstream


@pytest.fixture(scope="module")
def shared_nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """For tests that leave the server alone."""
    with NatsServer(tmp_path_factory.mktemp("nats")) as server:
        yield server


@pytest.fixture
def own_nats(tmp_path: Path) -> Iterator[NatsServer]:
    """For tests that kill it."""
    with NatsServer(tmp_path / "nats") as server:
        yield server


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as server:
        yield server


class Stage:
    """Starts gateways and workers that end with the test."""

    def __init__(self, stack: ExitStack, directory: Path, nats: NatsServer, upstream: Upstream) -> None:
        self._stack, self._directory = stack, directory
        self.nats, self.upstream = nats, upstream
        self._count = 0

    def gateway(self, *, ready: bool = True, **changes: Any) -> Gateway:
        """A gateway with `configuration(**changes)`."""
        self._count += 1
        config = configuration(self.nats.url, self.upstream.address, **changes)
        return self._stack.enter_context(Gateway(self._directory / f"gateway{self._count}", config, ready=ready))

    def worker(self, plugin: str = "tested", **options: Any) -> Worker:
        """`nylon worker` with a plugin of tests/e2e/plugins."""
        return self._stack.enter_context(Worker(self.nats.url, plugin, **options))

    def raw(self, answer: Callable[[RawWorker, list[Any], str], None], **options: Any) -> RawWorker:
        """A worker that does what `answer` says."""
        return self._stack.enter_context(RawWorker(self.nats.url, answer, **options))


@pytest.fixture
def stage(tmp_path: Path, shared_nats: NatsServer, upstream: Upstream) -> Iterator[Stage]:
    with ExitStack() as stack:
        yield Stage(stack, tmp_path, shared_nats, upstream)


@pytest.fixture
def own_stage(tmp_path: Path, own_nats: NatsServer, upstream: Upstream) -> Iterator[Stage]:
    """With a nats-server of its own."""
    with ExitStack() as stack:
        yield Stage(stack, tmp_path, own_nats, upstream)
