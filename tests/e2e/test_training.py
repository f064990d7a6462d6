"""The work that optimised builds are trained on does what it says: every way of a request is answered."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .support import go

TRAIN = Path(__file__).resolve().parents[2] / "tools" / "pgo" / "train.py"


@pytest.mark.skipif(not go.available() or shutil.which("cc") is None, reason="a Go library needs go and a C compiler")
def test_every_way_is_trained() -> None:
    command = [sys.executable, str(TRAIN), "--seconds", "0.2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stderr
    counts = dict(re.findall(r"(\w+): (\d+) requests", done.stdout))
    through_nats = {"hello", "auth", "auth_async", "filtered", "browser", "upload"}
    in_process = {"within", "within_auth", "library", "plain_library"}
    assert counts.keys() == {"plain"} | through_nats | in_process
    assert all(int(count) > 0 for count in counts.values()), counts
