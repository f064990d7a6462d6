"""A gateway testee as a process, with the configuration that a run needs."""

import asyncio
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .cases import FailedError
from .programs import Program, Testee
from .web import fetch


class Gateway:
    """One that is ready; `address` is its HTTP listener."""

    def __init__(self, program: Program, folder: Path, address: str, admin: str) -> None:
        self.program, self.address, self.admin = program, address, admin
        self._folder = folder

    @staticmethod
    async def start(testee: Testee, config: dict[str, Any], env: Mapping[str, str] | None = None) -> "Gateway":
        """Start it and wait until it is ready; FailedError after 20 s."""
        folder = Path(tempfile.mkdtemp(prefix="conformance-"))
        path = folder / "nylon.yaml"
        path.write_text(json.dumps(config, indent=1), encoding="utf-8")
        program = await Program.start([*testee.command, str(path)], {**testee.env, **(env or {})})
        try:
            address = (await program.line(r"listening(?=.*\blistener=http\b).*\baddress=['\"]?([^\s'\"]+)"))[1]
            admin = (await program.line(r"listening(?=.*\blistener=admin\b).*\baddress=['\"]?([^\s'\"]+)"))[1]
            for _ in range(400):
                if (await fetch(admin, "/readyz")).status == 200:
                    return Gateway(program, folder, address, admin)
                await asyncio.sleep(0.05)
            raise FailedError("the gateway is not ready after 20 s:\n" + "\n".join(program.lines[-20:]))
        except BaseException:
            await program.kill()
            shutil.rmtree(folder)
            raise

    async def stop(self) -> None:
        """End it."""
        await self.program.kill()
        shutil.rmtree(self._folder)


def base(nats: str, upstream: str) -> dict[str, Any]:
    """What every configuration has: listeners, NATS, an upstream and one where nobody listens."""
    host, port = upstream.rsplit(":", 1)
    return {
        "http": ["127.0.0.1:0"],
        "metrics": ["127.0.0.1:0"],
        "threads": 2,
        "messaging": [{"name": "bus", "type": "nats", "servers": [nats]}],
        "plugins": [],
        "services": [
            {"name": "upstream", "service_type": "http", "endpoints": [{"ip": host, "port": int(port)}]},
            {"name": "nowhere", "service_type": "http", "endpoints": [{"ip": "127.0.0.1", "port": 1}]},
        ],
        "routes": [],
    }


def route(name: str, chain: list[dict[str, Any]], service: str) -> dict[str, Any]:
    """The host `<name>.test` with the paths that cases use; `/plugin` is the plugin service."""
    answers = ["/x", "/status/{n}", "/bytes/{n}", "/slow/{n}", "/late/{n}", "/cut/{n}", "/events/{n}"]
    return {
        "name": name,
        "route": {"type": "host", "value": f"{name}.test"},
        "middleware": chain,
        "paths": [
            {"path": "/plugin", "service": {"name": service}},
            {"path": "/nowhere", "service": {"name": "nowhere"}},
            {"path": "/items/{id}", "service": {"name": "upstream"}},
            {"path": "/only-post", "service": {"name": "upstream"}, "methods": ["POST"]},
            {"path": answers, "service": {"name": "upstream"}},
        ],
    }
