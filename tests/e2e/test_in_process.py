"""`type: python`: what is particular to a plugin in the gateway's own process; `test_phases.py` has the rest."""

import json
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from .conftest import InProcessStage
from .support.gateway import PLUGINS, Gateway, configuration
from .support.http import Answer
from .support.patience import eventually
from .support.process import NYLON, Process, children
from .support.upstream import Upstream

FILTER = [{"plugin": "tested", "entry": "filter"}]


@pytest.fixture
def stage(tmp_path: Path, upstream: Upstream) -> Iterator[InProcessStage]:
    with ExitStack() as stack:
        yield InProcessStage(stack, tmp_path, None, upstream)


def hosted(upstream: Upstream, module: str | None = None, **plugin: Any) -> dict[str, Any]:
    """A configuration whose every path is answered by `plugins/hosted.py`."""
    config = configuration("nats://none", upstream.address)
    del config["messaging"]
    module = module or f"{PLUGINS / 'hosted.py'}:plugin"
    config["plugins"] = [{"name": "tested", "type": "python", "module": module, **plugin}]
    paths = config["routes"][0]["paths"]
    paths.append({"path": "/up/{*path}", "service": {"name": "upstream"}})
    paths[1]["service"] = {"name": "answer"}
    return config


def in_background(gateway: Gateway, target: str, answers: list[Answer], **headers: str) -> threading.Thread:
    thread = threading.Thread(target=lambda: answers.append(gateway.get(target, **headers)))
    thread.start()
    return thread


def test_it_needs_neither_nats_nor_a_process(stage: InProcessStage) -> None:
    gateway = stage.gateway(chain=FILTER)
    assert gateway.get("/status/200", X_Id="x").header("x-trail") == "request,response"
    assert children(gateway.process.pid) == []


@pytest.mark.skipif(sys.platform != "linux", reason="the policy of a thread is Linux's")
def test_its_threads_interrupt_none_that_serves_connections(stage: InProcessStage) -> None:
    gateway = stage.gateway(chain=FILTER)
    pid = gateway.process.pid
    names = {int(task.name): (task / "comm").read_text().strip() for task in Path(f"/proc/{pid}/task").iterdir()}
    batch = {thread for thread in names if os.sched_getscheduler(thread) == os.SCHED_BATCH}
    assert batch
    serving = {thread for thread, name in names.items() if name.startswith("nylon-") and name[6:].isdigit()}
    assert serving
    assert not batch & (serving | {pid})


@pytest.mark.parametrize(("how", "status", "code"), [("raise", 500, "PLUGIN_ERROR"), ("exit", 500, "PLUGIN_ERROR")])
def test_a_handler_that_raises_is_an_error_of_its_request(
    stage: InProcessStage, how: str, status: int, code: str
) -> None:
    gateway = stage.gateway(chain=FILTER)
    answer = gateway.get("/x", X_Rf=how)
    assert (answer.status, answer.json["error"]) == (status, code)
    assert "asked to raise" not in answer.body.decode()
    assert stage.upstream.seen == []
    assert gateway.get("/x").status == 200


def test_a_handler_over_its_deadline(stage: InProcessStage) -> None:
    gateway = stage.gateway(chain=[{"plugin": "tested", "entry": "filter", "timeout": "300ms"}])
    answer = gateway.get("/x", X_Rf="hang", X_Id="deadline")
    assert (answer.status, answer.json["error"]) == (504, "PLUGIN_TIMEOUT")
    assert 0.28 < answer.seconds < 0.6
    gateway.process.wait_for(r'"hung": "request_filter", "cancelled": true')
    assert stage.upstream.seen == []
    eventually(gateway.idle, what="no slot left")


def test_a_full_plugin_is_busy(upstream: Upstream, tmp_path: Path) -> None:
    with Gateway(tmp_path, hosted(upstream, timeout="1s")) as gateway:
        answers: list[Answer] = []
        threads = [in_background(gateway, "/x", answers, X_Do="wait", X_Id=str(number)) for number in range(2)]
        for number in range(2):
            gateway.process.wait_for(rf'"waiting": "{number}"')
        answer = gateway.get("/x")
        assert (answer.status, answer.json["error"]) == (503, "PLUGIN_BUSY")
        assert answer.header("retry-after") is not None
        for thread in threads:
            thread.join()
        # a place is given back when the exchange is over, which is after its answer
        eventually(lambda: gateway.get("/x").status == 200, what="a free place")


@pytest.mark.parametrize("how", ["spin", "stuck"])
def test_http_lives_while_handlers_block(upstream: Upstream, tmp_path: Path, how: str) -> None:
    """Two handlers are in Python code all the time; what needs no plugin is served meanwhile."""
    with Gateway(tmp_path, hosted(upstream, timeout="4s")) as gateway:
        answers: list[Answer] = []
        asked = {"X_Do": how, "X_Seconds": "9"}
        threads = [in_background(gateway, "/x", answers, **asked, X_Id=str(number)) for number in range(2)]
        eventually(lambda: gateway.metric("nylon_slots_in_use") == 2, what="both handlers")
        for _ in range(20):
            assert gateway.get("/up/status/200").status == 200
        assert not answers
        for thread in threads:
            thread.join()
        assert [answer.json["error"] for answer in answers] == ["PLUGIN_TIMEOUT"] * 2


def test_reload_hands_over_the_configuration_and_keeps_the_worker(upstream: Upstream, tmp_path: Path) -> None:
    with Gateway(tmp_path, hosted(upstream, config={"value": 1})) as gateway:
        assert gateway.get("/x").json["taken"] == [1]
        gateway.reload(hosted(upstream, config={"value": 2}))
        assert gateway.get("/x").json["taken"] == [1, 2]
        gateway.reload(hosted(upstream, config={"refuse": True}))
        assert gateway.get("/x").json["taken"] == [1, 2]
        gateway.process.wait_for("configuration refused")
        assert gateway.process.log.count("worker started") == 1


def test_a_first_configuration_that_is_refused_lets_nothing_pass(upstream: Upstream, tmp_path: Path) -> None:
    with Gateway(tmp_path, hosted(upstream, config={"refuse": True}, timeout="1s")) as gateway:
        assert gateway.get("/x").status in (503, 504)
        assert gateway.get("/up/status/200").status == 200


def test_reload_takes_plugins_in_and_lets_others_go(upstream: Upstream, tmp_path: Path) -> None:
    with Gateway(tmp_path, hosted(upstream, timeout="1s")) as gateway:
        answers: list[Answer] = []
        waiting = in_background(gateway, "/x", answers, X_Do="wait", X_Id="w")
        gateway.process.wait_for('"waiting": "w"')
        other = hosted(upstream, f"{PLUGINS / 'tested.py'}:plugin")
        gateway.reload(other)
        assert gateway.get("/x").json["path"] == "/x"
        assert "shutdown" not in gateway.process.log, "a session was left alone"
        waiting.join()
        assert answers[0].json["error"] == "PLUGIN_TIMEOUT"
        gateway.process.wait_for('"shutdown": true')


@pytest.mark.parametrize(
    ("source", "module", "wanted"),
    [
        ("", "nowhere.to_be:plugin", "there is no module nowhere"),
        ("", "hello:plugin", "hello has no 'plugin'"),
        ("plugin = 3", "hello:plugin", "plugin is a int, not a Plugin"),
        ("from nylon import Plugin\nplugin = Plugin()", "hello:plugin", "the plugin has no entry"),
        ("import nothing_of_that_name", "hello:plugin", "ModuleNotFoundError: No module named 'nothing_of_that_name'"),
        ("x = 1\n1 / 0", "hello:plugin", r"ZeroDivisionError: division by zero \(.*hello.py:2\)"),
        ("raise SystemExit(0)", "hello:plugin", "SystemExit: 0"),
        ("def broken(:", "hello:plugin", "SyntaxError"),
    ],
)
def test_a_module_that_is_no_plugin_is_an_error_with_its_place(
    upstream: Upstream, tmp_path: Path, source: str, module: str, wanted: str
) -> None:
    (tmp_path / "hello.py").write_text(source + "\n")
    (tmp_path / "nylon.yaml").write_text(
        f"http: [127.0.0.1:0]\nplugins:\n  - name: hello\n    type: python\n    module: {module}\nroutes: []\n"
    )
    with Process([*NYLON, "run", "-c", str(tmp_path / "nylon.yaml")]) as process:
        assert process.wait() == 3
        process.wait_for(rf"nylon.yaml:5:13 problem=.*{wanted}")


@pytest.mark.parametrize(
    "options", ["max_threads=0", "max_sessions=0", "max_sessions=-1", "config={'since': object()}"]
)
def test_a_plugin_that_cannot_be_started_is_an_error_with_its_place(
    upstream: Upstream, tmp_path: Path, options: str
) -> None:
    source = (PLUGINS / "hosted.py").read_text()
    assert source.count("plugin = Plugin(") == 1
    source = re.sub(r"plugin = Plugin\(.*\)", f"plugin = Plugin({options})", source)
    (tmp_path / "broken.py").write_text(source)
    broken = hosted(upstream, "broken:plugin")
    with Gateway(tmp_path, hosted(upstream)) as gateway:
        gateway.reload(broken)
        gateway.process.wait_for(r"nylon.yaml:\d+:\d+ problem=.*broken:plugin cannot be started")
        assert gateway.get("/x").status == 200
    with Process([*NYLON, "run", "-c", str(tmp_path / "nylon.yaml")]) as process:
        assert process.wait() == 3
        process.wait_for("broken:plugin cannot be started")


def test_an_entry_that_is_not_there_is_an_error(upstream: Upstream, tmp_path: Path) -> None:
    config = hosted(upstream)
    config["routes"][0]["middleware"] = [{"plugin": "tested", "entry": "guard"}]
    with Gateway(tmp_path, hosted(upstream)) as gateway:
        gateway.reload(config)
        gateway.process.wait_for("has no entry 'guard'; it has: service")
        assert gateway.get("/x").status == 200


def test_one_plugin_object_has_one_configuration(upstream: Upstream, tmp_path: Path) -> None:
    config = hosted(upstream)
    config["plugins"].append({**config["plugins"][0], "name": "again"})
    (tmp_path / "nylon.yaml").write_text(json.dumps(config))
    with Process([*NYLON, "run", "-c", str(tmp_path / "nylon.yaml")]) as process:
        assert process.wait() == 3
        process.wait_for("is plugin 'tested' already")


def test_sigterm_lets_handlers_finish(upstream: Upstream, tmp_path: Path) -> None:
    with Gateway(tmp_path, hosted(upstream)) as gateway:
        answers: list[Answer] = []
        thread = in_background(gateway, "/x", answers, X_Do="spin")
        eventually(lambda: gateway.metric("nylon_slots_in_use") == 1, what="the handler")
        gateway.process.signal(signal.SIGTERM)
        thread.join()
        assert answers[0].status == 200
        gateway.process.wait_for('"shutdown": true')
        assert gateway.process.wait() == 0


def test_a_handler_that_never_returns_keeps_nothing_alive(upstream: Upstream, tmp_path: Path) -> None:
    with Gateway(tmp_path, hosted(upstream, timeout="300ms")) as gateway:
        assert gateway.get("/x", X_Do="stuck").status == 504
        gateway.process.signal(signal.SIGINT)
        assert gateway.process.wait() == 0
        gateway.process.wait_for("handlers of plugins in this process still run")
