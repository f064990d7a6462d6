"""`make run` says three lines; they do what it says."""

import contextlib
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

from .support.patience import eventually
from .support.process import Process, children

QUICKSTART = Path(__file__).resolve().parents[2] / "examples" / "quickstart"


def test_the_three_lines_work() -> None:
    with Process([sys.executable, str(QUICKSTART / "run.py"), "--free-ports"]) as process:
        process.wait_for("Ctrl-C ends it all", seconds=60)
        lines = [line.strip() for line in process.lines if line.strip().startswith("curl ")]
        assert len(lines) == 3
        refused, passed, answered = (curl(line) for line in lines)
        assert refused[0] == 401
        assert "www-authenticate: bearer" in refused[1].lower()
        assert passed[0] == 200
        seen = {name.lower(): value for name, value in json.loads(passed[2])["headers"].items()}
        assert seen["x-auth-user"] == "alice"
        assert answered[0] == 200
        assert json.loads(answered[2]) == {"hello": "world"}
        # nobody but the plugin says who a client is
        forged = curl(lines[1] + " -H 'X-Auth-User: root'")
        seen = {name.lower(): value for name, value in json.loads(forged[2])["headers"].items()}
        assert seen["x-auth-user"] == "alice"
        assert children(process.pid)
        assert process.terminate() == 0


def test_a_killed_embedded_nats_is_replaced() -> None:
    with Process([sys.executable, str(QUICKSTART / "run.py"), "--free-ports"]) as process:
        process.wait_for("Ctrl-C ends it all", seconds=60)
        answered = [line.strip() for line in process.lines if line.strip().startswith("curl ")][2]
        assert curl(answered)[0] == 200
        (server,) = [pid for pid in children(process.pid) if is_nats_server(pid)]
        os.kill(server, signal.SIGKILL)
        process.wait_for("embedded NATS ended, starting another", seconds=30)
        eventually(lambda: curl(answered)[0] == 200, what="workers at the new server", seconds=40)


def test_a_taken_port_of_the_upstream_ends_with_4_and_says_what_to_do() -> None:
    with contextlib.ExitStack() as held:
        # whoever has it, it is taken
        with contextlib.suppress(OSError):
            held.enter_context(socket.create_server(("127.0.0.1", 9000)))
        with Process([sys.executable, str(QUICKSTART / "run.py")]) as process:
            assert process.wait() == 4
            process.wait_for(r"^error: listening on 127.0.0.1:9000 for the demo upstream: Address .*; .*FREE_PORTS=1$")
            assert len(process.lines) == 1


def is_nats_server(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/exe").resolve().name == "nats-server"
    except OSError:
        return False


def curl(line: str) -> tuple[int, str, str]:
    done = subprocess.run([*shlex.split(line), "-s", "-m", "20"], capture_output=True, text=True, check=True)
    head, _, body = done.stdout.partition("\n\n") if "\r\n" not in done.stdout else done.stdout.partition("\r\n\r\n")
    return int(head.split()[1]), head, body
