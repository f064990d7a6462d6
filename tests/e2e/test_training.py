"""The work that optimised builds are trained on does what it says: every way of a request is answered."""

import re
import subprocess
import sys
from pathlib import Path

TRAIN = Path(__file__).resolve().parents[2] / "tools" / "pgo" / "train.py"


def test_every_way_is_trained() -> None:
    command = [sys.executable, str(TRAIN), "--seconds", "0.2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stderr
    counts = dict(re.findall(r"(\w+): (\d+) requests", done.stdout))
    assert counts.keys() == {"hello", "auth", "auth_async", "plain", "filtered", "browser", "upload"}
    assert all(int(count) > 0 for count in counts.values()), counts
