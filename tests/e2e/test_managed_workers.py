"""`workers:` of the configuration: neither a start nor a reload has a request that finds nobody."""

import json
import os
import signal
import socket
import threading
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from .conftest import Stage
from .support.gateway import PLUGINS, Gateway, configuration
from .support.http import Answer, get
from .support.patience import eventually
from .support.process import NYLON, Process, children, listening

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


@pytest.mark.parametrize("started", ["at the start", "by a reload"])
def test_a_reload_that_is_refused_early_leaves_the_workers_as_they_were(
    stage: Stage, tmp_path: Path, started: str
) -> None:
    config = managed(stage)
    gateway = stage.gateway(top={"workers": config["workers"]}) if started == "at the start" else stage.gateway()
    gateway.reload(config)
    running = eventually(lambda: gateway.get("/plugin", **PASS).json["pid"], what="a worker", seconds=30)
    # refused before anything of it runs
    module = tmp_path / "broken.py"
    module.write_text(f"from nylon import PhaseHandler, Plugin\n{BROKEN}")
    plugins = [*config["plugins"], {"name": "broken", "type": "python", "module": f"{module}:plugin"}]
    before = len(gateway.process.lines)
    gateway.reload(config | {"plugins": plugins})
    gateway.process.wait_for("reload refused", after=before)
    gateway.reload(config)
    assert gateway.get("/plugin", **PASS).json["pid"] == running
    assert "workers started" not in "".join(gateway.process.lines[before:])


BROKEN = """
plugin = Plugin(max_threads=0)

@plugin.handler("x")
class X(PhaseHandler):
    def logging(self, ctx):
        pass
"""


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


GATED = """
import pathlib, time
while not pathlib.Path(__file__).with_name("gate").exists():
    time.sleep(0.01)
from nylon import PhaseHandler, Plugin
plugin = Plugin()

@plugin.handler("hello")
class Hello(PhaseHandler):
    def request_filter(self, ctx):
        ctx.response.body_text("hello")
        return ctx.end()
"""


def starting(directory: Path, code: str) -> Process:
    """`nylon run` whose only worker runs `code`."""
    app = directory / "app.py"
    app.write_text(code)
    config = {
        "http": ["127.0.0.1:0"],
        "metrics": ["127.0.0.2:0"],
        "messaging": [{"name": "bus", "embedded": True}],
        "plugins": [{"name": "app", "type": "messaging"}],
        "workers": [{"target": str(app), "group": "app"}],
        "services": [{"name": "s", "service_type": "plugin", "plugin": {"name": "app", "entry": "hello"}}],
        "routes": [
            {"name": "r", "route": {"type": "host", "value": "*"}, "paths": [{"path": "/", "service": {"name": "s"}}]}
        ],
    }
    file = directory / "nylon.yaml"
    file.write_text(json.dumps(config))
    return Process([*NYLON, "run", "-c", str(file)])


def test_a_gateway_serves_when_its_workers_do(tmp_path: Path) -> None:
    with starting(tmp_path, GATED) as process:
        admin, address = (
            eventually(lambda ip=ip: listening(process.pid, ip), what="a listener") or ""
            for ip in ("127.0.0.2", "127.0.0.1")
        )
        eventually(lambda: get(admin, "/readyz"), what="an answer")
        early: list[Answer] = []
        client = threading.Thread(target=lambda: early.append(get(address, "/")), daemon=True)
        client.start()
        process.wait_for("workers started")
        assert (get(admin, "/readyz").status, get(admin, "/readyz").body) == (503, b"starting\n")
        assert get(admin, "/healthz").status == 200
        assert "listening" not in process.log
        (tmp_path / "gate").touch()
        process.wait_for(f"listening listener=http address={address}")
        assert get(address, "/").body == b"hello"
        assert get(admin, "/readyz").status == 200
        client.join(10)
        assert early[0].body == b"hello"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_gateway_that_waits_for_its_workers(tmp_path: Path, number: signal.Signals) -> None:
    with starting(tmp_path, GATED) as process:
        process.wait_for("workers started")
        process.signal(number)
        assert process.wait() == 0
        assert "listening" not in process.log


def test_workers_that_end_at_once_are_not_waited_for(tmp_path: Path) -> None:
    with starting(tmp_path, "import nothing_of_that_name") as process:
        begin = process.wait_for(r"(\S+) .*workers started")[1]
        end, address = process.wait_for(r"(\S+) .*listening listener=http address=(\S+)").groups()
        assert (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds() < 9
        process.wait_for("workers ended code=3")
        assert get(address, "/").status == 503


def test_a_killed_embedded_nats_is_replaced_under_the_configuration_that_serves(tmp_path: Path) -> None:
    with starting(tmp_path, GATED) as process:
        (tmp_path / "gate").touch()
        address = process.wait_for(r"listening listener=http address=(\S+)")[1]
        assert get(address, "/").body == b"hello"
        # nobody has asked for it to be read
        (tmp_path / "nylon.yaml").write_text("routes: nonsense")
        (server,) = (pid for pid in children(process.pid) if Path(f"/proc/{pid}/exe").resolve().name == "nats-server")
        os.kill(server, signal.SIGKILL)
        process.wait_for("embedded NATS ended, starting another", seconds=30)
        eventually(lambda: get(address, "/").status == 200, what="workers at the new server", seconds=40)
        assert "reload refused" not in process.log
