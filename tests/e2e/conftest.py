"""Fixtures: one nats-server per module, everything else per test."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from .support.gateway import PLUGINS, Gateway, Worker, configuration
from .support.library import Start, build, library_configuration
from .support.nats import NatsServer
from .support.process import Process
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

    def __init__(self, stack: ExitStack, directory: Path, nats: NatsServer | None, upstream: Upstream) -> None:
        self._stack, self._directory = stack, directory
        self.upstream = upstream
        self._nats = nats
        self._count = 0

    @property
    def nats(self) -> NatsServer:
        """The server between gateways and workers."""
        assert self._nats is not None, "there is none in memory"
        return self._nats

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


@pytest.fixture
def start(tmp_path: Path, upstream: Upstream) -> Iterator[Start]:
    """Starts gateways with the C library in them; `defines` are its macros."""
    with ExitStack() as stack:
        count = iter(range(100))

        def start(*defines: str, **changes: Any) -> Gateway:
            config = library_configuration(upstream.address, build(*defines), **changes)
            return stack.enter_context(Gateway(tmp_path / f"gateway{next(count)}", config))

        yield start


class Hosted:
    """The plugin of a gateway that runs in its process: what it writes is in the gateway's output."""

    def __init__(self, stage: "InProcessStage") -> None:
        self._stage = stage

    @property
    def _process(self) -> Process:
        assert self._stage.last is not None, "its gateway has not been started"
        return self._stage.last.process

    @property
    def lines(self) -> list[str]:
        return self._process.lines

    def wait_for(self, pattern: str, **options: Any) -> Any:
        """A line of its output."""
        return self._process.wait_for(pattern, **options)


class InProcessStage(Stage):
    """The same plugin with `type: python`, and no messaging entry."""

    last: Gateway | None = None

    def gateway(self, *, ready: bool = True, **changes: Any) -> Gateway:
        self._count += 1
        name = changes.pop("module", "tested")
        config = configuration("nats://none", self.upstream.address, **changes)
        del config["messaging"]
        for plugin in config["plugins"]:
            for key in ("messaging", "group", "balance"):
                plugin.pop(key, None)
            plugin |= {"type": "python", "module": f"{PLUGINS / name}.py:plugin"}
        self.last = self._stack.enter_context(Gateway(self._directory / f"gateway{self._count}", config, ready=ready))
        return self.last

    def worker(self, plugin: str = "tested", **options: Any) -> Any:
        assert (plugin, options) == ("tested", {}), "what runs in the gateway has no options of its own"
        return Hosted(self)


@pytest.fixture(params=["nats", "in_process"])
def either_stage(request: pytest.FixtureRequest, tmp_path: Path, upstream: Upstream) -> Iterator[Stage]:
    """Both ways to run a plugin, one after the other."""
    with ExitStack() as stack:
        if request.param == "nats":
            yield Stage(stack, tmp_path, request.getfixturevalue("shared_nats"), upstream)
        else:
            yield InProcessStage(stack, tmp_path, None, upstream)
