"""examples/hybrid-config does what it says: a library, a module in process and workers on NATS in one chain."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from .support import go
from .support.http import get, request
from .support.patience import eventually
from .support.process import NYLON, ROOT, Process
from .support.upstream import Upstream

EXAMPLE = ROOT / "examples" / "hybrid-config"
TOKEN = {"Authorization": "Bearer secret"}


@pytest.mark.skipif(not go.available() or shutil.which("cc") is None, reason="a Go library needs go and a C compiler")
def test_three_kinds_of_plugins_in_one_chain(tmp_path: Path, upstream: Upstream) -> None:
    folder = tmp_path / "hybrid"
    shutil.copytree(EXAMPLE, folder)
    subprocess.run(
        ["go", "build", "-buildmode=c-shared", "-o", folder / "auth.so", "."],
        cwd=ROOT / "examples" / "ffi-plugin-go",
        env={**os.environ, "CGO_ENABLED": "1"},
        check=True,
    )
    config = folder / "nylon.yaml"
    port = upstream.address.rpartition(":")[2]
    config.write_text(
        config.read_text().replace(":8080", ":0").replace(":6192", ":0").replace("port: 9000", f"port: {port}")
    )
    with Process([*NYLON, "run", "-c", str(config)], cwd=folder) as process:
        address = process.wait_for(r"listening(?=.*\blistener=http\b).*\baddress=['\"]?([^\s'\"]+)", seconds=60)[1]
        eventually(
            lambda: request(address, "GET", "/hello", headers=TOKEN).status == 200, what="the workers", seconds=40
        )

        refused = get(address, "/x")
        assert (refused.status, refused.header("www-authenticate")) == (401, "Bearer")
        assert refused.body == b'{"ERROR":"UNAUTHORIZED"}', "also an answer of the library passes the later filters"
        assert upstream.seen == []

        answer = request(address, "GET", "/some/path", headers={**TOKEN, "X-Auth-User": "mallory"})
        assert (answer.status, answer.header("x-path")) == (200, "/some/path")
        assert answer.body == answer.body.upper() and b"SHA256" in answer.body
        (seen,) = upstream.seen
        headers = {name.lower(): value for name, value in seen.headers}
        assert (headers["x-auth-user"], headers["x-stamped"], headers["x-host"]) == ("alice", "yes", "127.0.0.1")

        hello = request(address, "GET", "/hello", headers=TOKEN)
        assert hello.body == b"HELLO ALICE, STAMPED: YES\n"
        assert hello.header("x-path") == "/hello"
        assert process.terminate() == 0
