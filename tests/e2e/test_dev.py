"""`nylon dev app.py`: one command, and a saved file counts."""

import json
import signal
import socket
from pathlib import Path
from typing import Any

import pytest

from .support.http import Answer, get
from .support.patience import eventually
from .support.process import NYLON, Process, children
from .support.upstream import Upstream

APP = """
from nylon import HttpError, PhaseHandler, Plugin

plugin = Plugin()


@plugin.handler("hello")
class Hello(PhaseHandler):
    def request_filter(self, ctx):
        ctx.response.body_text("WORDS")
        return ctx.end()
"""
GUARD = """
@plugin.handler("guard")
class Guard(PhaseHandler):
    def request_filter(self, ctx):
        if ctx.request.header("x-pass") is None:
            raise HttpError(403, "no")
        ctx.request.set_header("x-guarded", "yes")
"""
FREE = ("--listen", "127.0.0.1:0")


def served(process: Process) -> str:
    return process.wait_for(r"is served at http://(\S+)", seconds=30)[1]


def answer(address: str, target: str, **headers: str) -> Answer:
    """The first answer that is not about workers which have not started yet."""

    def look() -> Answer:
        found = get(address, target, **headers)
        assert found.status != 503
        return found

    return eventually(look, what="a worker", seconds=30)


def test_a_single_entry_answers_everything_and_a_saved_file_counts(tmp_path: Path) -> None:
    app = tmp_path / "app.py"
    app.write_text(APP.replace("WORDS", "first"))
    with Process([*NYLON, "dev", str(app), *FREE]) as process:
        address = served(process)
        assert answer(address, "/any/path").body == b"first"
        app.write_text(APP.replace("WORDS", "second"))
        eventually(lambda: get(address, "/").body == b"second", what="the saved file", seconds=30)
        # a second entry: each answers under its own name now
        app.write_text(APP.replace("WORDS", "third") + GUARD)
        eventually(lambda: get(address, "/guard").status == 403, what="the new entry", seconds=30)
        assert answer(address, "/hello").body == b"third"
        assert get(address, "/other").status == 404
        assert process.terminate() == 0


def test_a_broken_file_is_explained_and_a_mended_one_served(tmp_path: Path) -> None:
    app = tmp_path / "app.py"
    app.write_text(APP.replace("WORDS", "first"))
    with Process([*NYLON, "dev", str(app), *FREE]) as process:
        address = served(process)
        assert answer(address, "/").body == b"first"
        app.write_text("import nothing_of_that_name\n")
        process.wait_for("nothing_of_that_name", seconds=30)
        app.write_text(APP.replace("WORDS", "mended"))
        eventually(lambda: get(address, "/").body == b"mended", what="the mended file", seconds=30)


def test_entries_stand_in_front_of_an_upstream(tmp_path: Path) -> None:
    app = tmp_path / "app.py"
    app.write_text(APP.split("@plugin")[0] + GUARD)
    with (
        Upstream() as upstream,
        Process([*NYLON, "dev", f"{app}:plugin", "--upstream", f"http://{upstream.address}", *FREE]) as process,
    ):
        address = served(process)
        assert answer(address, "/x").status == 403
        assert upstream.seen == []
        assert get(address, "/x", x_pass="1").status == 200
        assert upstream.seen[0].header("x-guarded") == "yes"


def beside(listen: str) -> dict[str, Any]:
    """A configuration that was written for another NATS."""
    return {
        "http": [listen],
        "messaging": [{"name": "production", "servers": ["nats://nats.invalid:4222"]}],
        "plugins": [{"name": "greeter", "type": "messaging"}],
        "services": [{"name": "s", "service_type": "plugin", "plugin": {"name": "greeter", "entry": "hello"}}],
        "routes": [
            {
                "name": "r",
                "route": {"type": "host", "value": "*"},
                "paths": [{"path": "/one", "service": {"name": "s"}}],
            }
        ],
    }


def test_a_configuration_beside_it_is_used_and_read_again(tmp_path: Path) -> None:
    app = tmp_path / "app.py"
    app.write_text(APP.replace("WORDS", "here"))
    config = beside("127.0.0.1:0")
    file = tmp_path / "nylon.yaml"
    file.write_text(json.dumps(config))
    with Process([*NYLON, "dev", str(app)]) as process:
        address = served(process)
        assert answer(address, "/one").body == b"here"
        assert get(address, "/two").status == 404
        file.write_text(json.dumps(config).replace("/one", "/two"))
        eventually(lambda: get(address, "/two").status == 200, what="the new configuration", seconds=30)


def test_a_configuration_with_a_plugin_in_process_is_used(tmp_path: Path) -> None:
    app = tmp_path / "app.py"
    app.write_text(APP.replace("WORDS", "in process"))
    config = beside("127.0.0.1:0")
    del config["messaging"]
    config["plugins"] = [{"name": "greeter", "type": "python", "module": "app:plugin"}]
    (tmp_path / "nylon.yaml").write_text(json.dumps(config))
    with Process([*NYLON, "dev", str(app)]) as process:
        assert get(served(process), "/one").body == b"in process"


def test_a_taken_port_ends_with_4_and_says_what_to_do(tmp_path: Path) -> None:
    app = tmp_path / "app.py"
    app.write_text(APP)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with Process([*NYLON, "dev", str(app), "--listen", address]) as process:
            assert process.wait() == 4
            process.wait_for(rf"cannot listen .*{address}.*in use.*advice=.*--listen \(127.0.0.1:0")
        file = tmp_path / "nylon.yaml"
        file.write_text(json.dumps(beside(address)))
        with Process([*NYLON, "dev", str(app)]) as process:
            assert process.wait() == 4
            process.wait_for(rf"cannot listen .*{address}.*in use.*advice=.*{file}")


def test_a_plugin_that_can_answer_nothing_is_told_why(tmp_path: Path) -> None:
    app = tmp_path / "app.py"
    for source, problem in (
        (APP.split("@plugin")[0], "has no entry; register one"),
        (APP.replace("request_filter", "logging"), "no entry has a request filter.*--upstream"),
    ):
        app.write_text(source)
        with Process([*NYLON, "dev", str(app), *FREE]) as process:
            assert process.wait() == 3
            process.wait_for(rf"app.py.*{problem}")


@pytest.mark.parametrize("command", ["dev", "worker"])
def test_an_import_that_never_returns_is_named_and_ended(tmp_path: Path, command: str) -> None:
    app = tmp_path / "app.py"
    app.write_text("import threading\nthreading.Event().wait()")
    with Process([*NYLON, command, str(app), *(FREE if command == "dev" else ())]) as process:
        process.wait_for(f"WARN .*the import is still running target={app} seconds=3")
        started = children(process.pid)
        assert started
        process.signal(signal.SIGINT)
        assert process.wait(5) == 0
        assert "Traceback" not in process.log
        eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in started), what="nothing of it running")


def test_a_saved_file_whose_import_never_returns_keeps_no_signal_waiting(tmp_path: Path) -> None:
    app = tmp_path / "app.py"
    app.write_text(APP)
    with Process([*NYLON, "dev", str(app), *FREE]) as process:
        address = served(process)
        app.write_text("import threading\nthreading.Event().wait()")
        said = "the import is still running"
        eventually(lambda: process.log.count(said) > 1, what="the worker and who looks for its entries", seconds=30)
        assert get(address, "/").status in (200, 503)
        process.signal(signal.SIGINT)
        assert process.wait(5) == 0
        assert "Traceback" not in process.log


def test_an_import_in_this_process_that_never_returns_is_named_and_ended(tmp_path: Path) -> None:
    app = tmp_path / "app.py"
    app.write_text("import threading\nthreading.Event().wait()")
    file = tmp_path / "nylon.yaml"
    file.write_text(
        json.dumps({"http": ["127.0.0.1:0"], "plugins": [{"name": "p", "type": "python", "module": str(app)}]})
    )
    with Process([*NYLON, "run", "-c", str(file)]) as process:
        process.wait_for("WARN .*the import is still running")
        process.signal(signal.SIGTERM)
        assert process.wait(5) == 0
        assert "Traceback" not in process.log
