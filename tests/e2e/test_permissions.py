"""Everything works under the authorization block that `nylon nats permissions` prints, and a stranger gets nothing."""

import json
import signal
import subprocess
from pathlib import Path

import pytest

from .support import go
from .support.gateway import PLUGINS, Gateway, Worker, configuration
from .support.http import get
from .support.nats import NatsServer
from .support.patience import eventually
from .support.process import NYLON, Process
from .support.upstream import Upstream

CHAIN = [{"plugin": "tested", "entry": "auth"}, {"plugin": "tested", "entry": "filter"}]
PLUGIN = {"name": "stranger", "type": "messaging", "messaging": "bus", "group": "strangers"}


def authorization(directory: Path) -> str:
    """What the command prints for a gateway with two groups, with passwords filled in."""
    directory.mkdir()
    file = directory / "nylon.yaml"
    file.write_text(json.dumps(configuration("nats://127.0.0.1:1", "127.0.0.1:1", plugins=[PLUGIN])))
    command = [*NYLON, "nats", "permissions", "-c", str(file)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for variable, password in (("GATEWAY", "g"), ("WORKER_TESTED", "t"), ("WORKER_STRANGERS", "s")):
        printed = printed.replace(f"$NYLON_{variable}_PASSWORD", f'"{password}"')
    assert "$NYLON" not in printed
    return printed


def login(user: str, password: str) -> dict[str, str]:
    return {"NATS_USER": user, "NATS_PASSWORD": password}


def test_all_phases_under_permissions(tmp_path: Path) -> None:
    with Upstream() as upstream, NatsServer(tmp_path / "nats", config=authorization(tmp_path / "print")) as nats:
        auth = {"auth": {"user": "gateway", "password": "g"}}
        config = configuration(nats.url, upstream.address, chain=CHAIN, plugins=[PLUGIN], messaging=auth)
        with (
            Gateway(tmp_path / "gateway", config) as gateway,
            Worker(nats.url, env=login("worker-tested", "t")),
        ):
            eventually(lambda: gateway.get("/x").status == 401, what="the worker")
            passed = gateway.get("/x", authorization="Bearer secret")
            assert passed.status == 200
            assert passed.header("x-trail") == "request,response"
            assert upstream.seen[-1].header("x-auth-user") == "alice"
            assert gateway.get("/plugin").status == 401
            log = (tmp_path / "nats" / "nats.log").read_text()
            assert "Violation" not in log, log


@pytest.mark.skipif(not go.available(), reason="this machine has no Go")
def test_a_go_worker_under_permissions(tmp_path: Path) -> None:
    with Upstream() as upstream, NatsServer(tmp_path / "nats", config=authorization(tmp_path / "print")) as nats:
        auth = {"auth": {"user": "gateway", "password": "g"}}
        config = configuration(nats.url, upstream.address, chain=CHAIN, plugins=[PLUGIN], messaging=auth)
        binary = go.build("./internal/tested")
        with (
            Gateway(tmp_path / "gateway", config) as gateway,
            go.GoWorker(binary, nats.url, env=login("worker-tested", "t")) as worker,
        ):
            eventually(lambda: gateway.get("/x").status == 401, what="the worker")
            passed = gateway.get("/x", authorization="Bearer secret")
            assert (passed.status, passed.header("x-trail")) == (200, "request,response")
            worker.signal(signal.SIGTERM)
            eventually(lambda: worker.returncode is not None, what="the end of the worker")
            log = (tmp_path / "nats" / "nats.log").read_text()
            assert "Violation" not in log, log


def test_a_worker_of_another_group_gets_no_session(tmp_path: Path) -> None:
    """It may connect, and is not let in: the group's name on its command line changes nothing."""
    with Upstream() as upstream, NatsServer(tmp_path / "nats", config=authorization(tmp_path / "print")) as nats:
        auth = {"auth": {"user": "gateway", "password": "g"}}
        config = configuration(nats.url, upstream.address, chain=CHAIN, plugins=[PLUGIN], messaging=auth)
        worker = [*NYLON, "worker", f"{PLUGINS / 'tested.py'}:plugin", "--servers", nats.url, "--group", "tested"]
        log = tmp_path / "nats" / "nats.log"
        with (
            Gateway(tmp_path / "gateway", config) as gateway,
            Process(worker, env=login("worker-strangers", "s")),
        ):
            eventually(lambda: "Subscription Violation" in log.read_text(), what="the server refusing it", seconds=20)
            assert get(gateway.address, "/x", authorization="Bearer secret").status == 503
            assert upstream.seen == []


def test_nobody_comes_in_without_a_password(tmp_path: Path) -> None:
    with Upstream() as upstream, NatsServer(tmp_path / "nats", config=authorization(tmp_path / "print")) as nats:
        config = configuration(nats.url, upstream.address, chain=CHAIN, plugins=[PLUGIN])
        with Gateway(tmp_path / "gateway", config, ready=False) as gateway:
            assert get(gateway.admin, "/readyz").status == 503
            assert gateway.get("/x", authorization="Bearer secret").status == 503
            assert upstream.seen == []
