"""`workers:` of the configuration: a reload changes them without a request that finds nobody."""

import socket
import threading
from typing import Any

import pytest

from .conftest import Stage
from .support.gateway import PLUGINS, Gateway, configuration
from .support.http import Answer
from .support.patience import eventually
from .support.process import children

PASS = {"authorization": "Bearer secret"}


def managed(stage: Stage, messaging: dict[str, Any] | None = None, **worker: Any) -> dict[str, Any]:
    """A gateway with a worker of its own in front of the upstream."""
    workers = [{"target": f"{PLUGINS / 'tested'}.py:plugin", "group": "tested", **worker}]
    config = configuration(
        stage.nats.url, stage.upstream.address, chain=[{"plugin": "tested", "entry": "auth"}], top={"workers": workers}
    )
    return config | ({"messaging": [messaging]} if messaging else {})


class Steady:
    """Requests one after the other, from the first to the last line of the block."""

    def __init__(self, gateway: Gateway, target: str) -> None:
        self.answers: list[Answer] = []
        self._gateway, self._target = gateway, target
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self._over.is_set():
            self.answers.append(self._gateway.get(self._target, **PASS))

    def some(self) -> None:
        """Wait for answers to requests that are sent from now on."""
        wanted = len(self.answers) + 20
        eventually(lambda: len(self.answers) >= wanted or not self._thread.is_alive(), what="more answers", seconds=30)

    def __enter__(self) -> "Steady":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(30)


@pytest.mark.parametrize("messaging", [None, {"name": "bus", "embedded": True}], ids=["known", "new"])
def test_new_workers_are_there_when_a_reload_sends_requests_to_them(
    stage: Stage, messaging: dict[str, Any] | None
) -> None:
    gateway = stage.gateway()
    with Steady(gateway, "/x") as steady:
        steady.some()
        gateway.reload(managed(stage, messaging, processes=2))
        assert gateway.get("/x").status == 401
        assert gateway.metric("nylon_workers", group="tested") == 2
        steady.some()
    assert {answer.status for answer in steady.answers} == {200}


def test_the_old_workers_leave_once_the_new_ones_are_there(stage: Stage) -> None:
    gateway = stage.gateway()
    gateway.reload(managed(stage))
    before = gateway.get("/plugin", **PASS).json["pid"]
    with Steady(gateway, "/plugin") as steady:
        steady.some()
        gateway.reload(managed(stage, max_threads=4))
        eventually(lambda: before not in children(gateway.process.pid), what="the old worker gone", seconds=30)
        steady.some()
    assert {answer.status for answer in steady.answers} == {200}
    assert steady.answers[-1].json["pid"] != before


def test_a_refused_reload_leaves_the_workers_as_they_were(stage: Stage) -> None:
    gateway = stage.gateway()
    gateway.reload(managed(stage))
    running = gateway.get("/plugin", **PASS).json["pid"]
    processes = children(gateway.process.pid)
    assert running in processes
    before = len(gateway.process.lines)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        gateway.reload(managed(stage, max_threads=4) | {"http": ["127.0.0.1:0", address]})
    gateway.process.wait_for("workers started", after=before)
    gateway.process.wait_for("reload refused", after=before)
    eventually(lambda: set(children(gateway.process.pid)) == set(processes), what="only the old ones", seconds=30)
    assert gateway.get("/plugin", **PASS).json["pid"] == running
