"""`nylon worker`: processes that are started again, reloaded, drained, and that never outlive their supervisor."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

PLUGIN = """
from nylon import PhaseHandler, Plugin, RequestFilterContext

plugin = Plugin("nats://127.0.0.1:1", "group")  # nobody there: it connects in the background, for ever


@plugin.handler("hello")
class Hello(PhaseHandler):
    def request_filter(self, ctx: RequestFilterContext) -> None: ...
"""


class Supervised:
    """A supervisor and what it has written."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.lines: list[str] = []
        self._more = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._more:
                self.lines.append(line.rstrip())
                self._more.notify_all()

    def wait_for(self, pattern: str, count: int = 1) -> list[re.Match[str]]:
        """Waits until so many lines match."""

        def found() -> list[re.Match[str]]:
            return [match for line in self.lines if (match := re.search(pattern, line))]

        with self._more:
            ok = self._more.wait_for(lambda: len(found()) >= count, 30)
            assert ok, f"{count} x {pattern!r} not in:\n" + "\n".join(self.lines)
            return found()

    def end(self, number: int = signal.SIGTERM) -> int:
        """Sends a signal and waits for the exit code."""
        self.process.send_signal(number)
        return self.process.wait(30)


@contextmanager
def supervised(file: Path, *options: str) -> Generator[Supervised]:
    command = [sys.executable, "-m", "nylon", "worker", str(file), *options]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("NATS_", "NYLON_"))}
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            yield Supervised(process)
        finally:
            process.kill()


def gone(pid: int) -> bool:
    """Whether a process has ended, within seconds."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":  # waits for whoever adopted it
            return True
        time.sleep(0.01)
    return False


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    file = tmp_path / "plugin_file.py"
    file.write_text(PLUGIN)
    return file


def test_processes_serve_and_drain(plugin: Path) -> None:
    with supervised(plugin, "--processes=2", "--group=other") as it:
        it.wait_for(r"nylon\.worker: worker started worker=\w{24} group=other entries=hello servers=nats://", 2)
        pids = [int(match[1]) for match in it.wait_for(r"worker process started process=\d pid=(\d+)", 2)]
        assert it.end() == 0
        it.wait_for("worker ended", 2)
        assert all(map(gone, pids))


def test_a_process_that_crashes_is_started_again_with_back_off(plugin: Path) -> None:
    counter = plugin.with_name("count")
    plugin.write_text(
        PLUGIN + f"\nimport os\nfrom pathlib import Path\n_count = Path({str(counter)!r})\n"
        "_n = int(_count.read_text()) if _count.exists() else 0\n_count.write_text(str(_n + 1))\n"
        "if _n < 3: os._exit(9)\n"
    )
    with supervised(plugin) as it:
        it.wait_for("worker started")
        delays = [float(match[1]) for match in it.wait_for(r"starting it again .*code=9 delay=([\d.]+)s", 3)]
        assert 0.15 < delays[0] < 0.35
        assert 0.6 < delays[2] < 1.4
        assert it.end() == 0


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("import no_such_dependency", "ModuleNotFoundError: No module named 'no_such_dependency'"),
        ("x = 1", "has no plugin"),
        ("from nylon import Plugin\nplugin = Plugin(group='g')", "the plugin has no entry"),
        (PLUGIN.replace('"nats://127.0.0.1:1", "group"', ""), "no group is given"),
        (PLUGIN.replace('"group"', '"group", tls_cert_file="/nowhere.pem"'), "cert_file and key_file"),
    ],
)
def test_what_cannot_be_served_ends_with_3(plugin: Path, text: str, problem: str) -> None:
    plugin.write_text(text)
    with supervised(plugin) as it:
        assert it.process.wait(30) == 3
        it.wait_for(re.escape(problem))
        it.wait_for("draining")
        # Only what the author's own code raises needs its stack.
        assert any("Traceback" in line for line in it.lines) == text.startswith("import")


def test_processes_end_with_a_supervisor_that_is_killed(plugin: Path) -> None:
    with supervised(plugin) as it:
        it.wait_for("worker started")
        pid = int(it.wait_for(r"worker process started .*pid=(\d+)")[0][1])
        it.process.kill()
        assert gone(pid)


def test_reload_follows_the_source_and_survives_a_broken_one(plugin: Path) -> None:
    with supervised(plugin, "--reload") as it:
        it.wait_for("entries=hello ")
        plugin.write_text(PLUGIN.replace('"hello"', '"changed"'))
        it.wait_for("source changed")
        it.wait_for("entries=changed ")
        plugin.write_text("this is no Python")
        it.wait_for("SyntaxError")
        it.wait_for("waiting for a change")
        plugin.write_text(PLUGIN.replace('"hello"', '"again"'))
        it.wait_for("entries=again ")
        assert it.end(signal.SIGINT) == 0


def test_sighup_replaces_every_process(plugin: Path) -> None:
    with supervised(plugin, "--processes=2") as it:
        it.wait_for("worker started", 2)
        old = [int(match[1]) for match in it.wait_for(r"worker process started .*pid=(\d+)", 2)]
        it.process.send_signal(signal.SIGHUP)
        it.wait_for("worker started", 4)
        assert all(map(gone, old))
        assert it.process.poll() is None
        assert it.end() == 0


def test_a_second_signal_ends_everything_at_once(plugin: Path) -> None:
    # A shutdown hook that never returns: draining takes until its limit.
    plugin.write_text(PLUGIN + "\nimport time\n@plugin.on_shutdown\ndef _() -> None: time.sleep(60)\n")
    with supervised(plugin) as it:
        it.wait_for("worker started")
        pid = int(it.wait_for(r"worker process started .*pid=(\d+)")[0][1])
        it.process.send_signal(signal.SIGTERM)
        it.wait_for(r"draining signal=SIGTERM")
        assert it.end() == 128 + signal.SIGTERM
        assert gone(pid)


def test_logs_as_json(plugin: Path) -> None:
    import json

    with supervised(plugin, "--log-format=json") as it:
        it.wait_for("worker started")
        for line in it.lines:
            assert {"timestamp", "level"} <= set(json.loads(line))
        assert it.end() == 0
