"""`make run` says three lines; they do what it says."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

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


def curl(line: str) -> tuple[int, str, str]:
    done = subprocess.run([*shlex.split(line), "-s", "-m", "20"], capture_output=True, text=True, check=True)
    head, _, body = done.stdout.partition("\n\n") if "\r\n" not in done.stdout else done.stdout.partition("\r\n\r\n")
    return int(head.split()[1]), head, body
