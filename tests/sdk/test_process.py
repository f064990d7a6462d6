"""`plugin.run()` as a process of its own: signals, and handlers that never return."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from nylon import Plugin

from .conftest import Bench, Served

PLUGIN = """
import time
from nylon import PhaseHandler, Plugin, RequestFilterContext

plugin = Plugin(drain_timeout=0.5)


@plugin.handler("entry")
class Entry(PhaseHandler):
    {how}def request_filter(self, ctx: RequestFilterContext) -> None:
        print("handler", flush=True)
        {body}
        ctx.end()

plugin.run()
print("after run", flush=True)
"""


@contextmanager
def running(bench: Bench, directory: Path, body: str, how: str = "") -> "Generator[subprocess.Popen[str]]":
    file = directory / "app.py"
    file.write_text(PLUGIN.format(body=body, how=how))
    environment = {
        **os.environ,
        "NATS_SERVERS": bench.nats.url,
        "NATS_USER": bench.nats.user,
        "NATS_PASSWORD": bench.nats.password,
        "NATS_GROUP": bench.group,
    }
    command = [sys.executable, str(file)]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def gateway(bench: Bench) -> Served:
    plugin = Plugin(group=bench.group)
    plugin.handler("entry")(type("Entry", (), {"request_filter": print}))
    return bench.gateway(plugin)


def ask(served: Served) -> threading.Thread:
    """A request whose answer is of no interest."""
    thread = threading.Thread(target=lambda: served.get("/entry"), daemon=True)
    thread.start()
    return thread


def test_sigterm_drains_and_run_returns(bench: Bench, tmp_path: Path) -> None:
    with running(bench, tmp_path, "time.sleep(0.2)") as process, gateway(bench) as served:
        assert process.stdout is not None
        asking = ask(served)
        assert process.stdout.readline() == "handler\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "after run\n"
        assert process.wait(10) == 0
        asking.join(10)


def test_a_handler_that_never_returns_does_not_keep_the_process(bench: Bench, tmp_path: Path) -> None:
    with running(bench, tmp_path, "time.sleep(60)") as process, gateway(bench) as served:
        assert process.stdout is not None
        ask(served)
        assert process.stdout.readline() == "handler\n"
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=20)
        assert process.returncode == 1
        assert "handlers still run after the drain timeout" in errors


def test_a_second_signal_ends_it_at_once(bench: Bench, tmp_path: Path) -> None:
    with running(bench, tmp_path, "time.sleep(60)") as process, gateway(bench) as served:
        assert process.stdout is not None
        assert process.stderr is not None
        ask(served)
        assert process.stdout.readline() == "handler\n"
        process.send_signal(signal.SIGINT)
        for line in process.stderr:
            if "draining signal=SIGINT" in line:
                break
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 128 + signal.SIGINT


def test_a_loop_that_is_blocked_still_ends(bench: Bench, tmp_path: Path) -> None:
    with running(bench, tmp_path, "time.sleep(60)", how="async ") as process, gateway(bench) as served:
        assert process.stdout is not None
        ask(served)
        assert process.stdout.readline() == "handler\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 1


def test_lines_of_handlers_carry_the_id(bench: Bench, tmp_path: Path) -> None:
    body = "import logging; logging.getLogger('mine').warning('from a handler')"
    for how in ("", "async "):
        with running(bench, tmp_path, body, how) as process, gateway(bench) as served:
            assert served.get("/entry").status == 200
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=20)
            assert re.search(r"WARN mine: from a handler id=[0-9a-f]{32}$", errors, re.MULTILINE), errors


FORGETFUL = """
import asyncio
from nylon import PhaseHandler, Plugin, RequestFilterContext

plugins = [Plugin(group=f"forgotten{number}") for number in range(2)]
for plugin in plugins:
    @plugin.handler("entry")
    class Entry(PhaseHandler):
        async def request_filter(self, ctx: RequestFilterContext) -> None: ...
    plugin.__enter__()


async def main() -> None:
    another = Plugin(group="another")
    another.handler("entry")(Entry)
    await another.start()


asyncio.run(main())
print("end of the program", flush=True)
"""


def test_a_program_that_forgets_to_close_ends_all_the_same(bench: Bench, tmp_path: Path) -> None:
    file = tmp_path / "forgetful.py"
    file.write_text(FORGETFUL)
    environment = {**os.environ, "NATS_SERVERS": "nats://127.0.0.1:1"}
    done = subprocess.run(
        [sys.executable, str(file)], env=environment, capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout) == (0, "end of the program\n"), done.stderr
    assert "Traceback" not in done.stderr
