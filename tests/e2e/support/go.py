"""Go workers for the tests: `go build` once, then processes."""

import functools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from .patience import eventually
from .process import ROOT, Process
from .scratch import scratch


def available() -> bool:
    """Whether this machine has Go. CI insists on it: .ci/stages/36-go."""
    return shutil.which("go") is not None


@functools.cache
def build(package: str, module: str = "sdk/go", *, library: bool = False) -> Path:
    """The static binary of a Go program of this repository, or what it is as a shared library."""
    target = Path(tempfile.mkdtemp(prefix="go-", dir=scratch())) / ("plugin.so" if library else "worker")
    subprocess.run(
        ["go", "build", *(["-buildmode=c-shared"] if library else []), "-trimpath", "-o", target, package],
        cwd=ROOT / module,
        env={**os.environ, "CGO_ENABLED": "1" if library else "0"},
        check=True,
    )
    return target


class GoWorker(Process):
    """A compiled worker; serving when the constructor returns."""

    def __init__(
        self, binary: Path, nats: str, *, group: str = "tested", env: Mapping[str, str] | None = None, wait: bool = True
    ) -> None:
        super().__init__([str(binary)], env={"NATS_SERVERS": nats, "NATS_GROUP": group, **(env or {})})
        if wait:
            try:
                eventually(
                    lambda: all(said in self.log for said in ("worker started", "connected to nats")),
                    what="a Go worker started and connected",
                )
            except AssertionError as error:
                self.kill()
                raise AssertionError(f"{error}\n{self.log}") from None
