"""A real gateway (`nylon run`) and real workers (`nylon worker`) for the tests."""

import json
import re
import signal
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from .http import Answer, get
from .patience import eventually
from .process import NYLON, Process

PLUGINS = Path(__file__).resolve().parents[1] / "plugins"


def configuration(nats: str, upstream: str, **changes: Any) -> dict[str, Any]:
    """One file: a host route to the upstream behind `chain`, a plugin service at `/plugin`.

    `changes`: `chain` (middleware items of the route), `plugin` (keys of the plugin), `messaging`, `service`,
    `route` and `top` (merged into their sections), `paths` (put before the others).
    """
    plugin = {
        "name": "tested",
        "type": "messaging",
        "messaging": "bus",
        "group": "tested",
        **changes.get("plugin", {}),
    }
    return {
        "http": ["127.0.0.1:0"],
        "metrics": ["127.0.0.1:0"],
        "threads": 2,
        "messaging": [{"name": "bus", "type": "nats", "servers": [nats], **changes.get("messaging", {})}],
        "plugins": [plugin, *changes.get("plugins", [])],
        "services": [
            {
                "name": "upstream",
                "service_type": "http",
                "endpoints": [{"ip": upstream.rsplit(":", 1)[0], "port": int(upstream.rsplit(":", 1)[1])}],
                **changes.get("service", {}),
            },
            *(
                changes.get("services")
                or [{"name": "answer", "service_type": "plugin", "plugin": {"name": "tested", "entry": "service"}}]
            ),
        ],
        "routes": [
            {
                "name": "main",
                "route": {"type": "host", "value": "*"},
                "middleware": changes.get("chain", []),
                "paths": [
                    *changes.get("paths", []),
                    {"path": "/plugin", "service": {"name": "answer"}},
                    {"path": ["/", "/{*path}"], "service": {"name": "upstream"}},
                ],
                **changes.get("route", {}),
            }
        ],
        **changes.get("top", {}),
    }


class Gateway:
    """`nylon run` with a configuration; ready when the constructor returns."""

    def __init__(self, directory: Path, config: Mapping[str, Any], *, ready: bool = True) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.path = directory / "nylon.yaml"
        self.write(config)
        self.process = Process([*NYLON, "run", "-c", str(self.path)])
        try:
            self.admin = self._address("admin")
            self.address = self._address("http")
            if ready:
                eventually(lambda: get(self.admin, "/readyz").status == 200, what="/readyz")
        except BaseException:
            self.process.kill()
            raise

    def _address(self, listener: str) -> str:
        found = self.process.wait_for(rf"listening(?=.*\blistener={listener}\b).*\baddress=['\"]?([^\s'\"]+)")
        return found[1]

    def write(self, config: Mapping[str, Any]) -> None:
        """Write the configuration (JSON is YAML); `reload` makes it count."""
        self.path.write_text(json.dumps(config, indent=1))

    def reload(self, config: Mapping[str, Any] | None = None) -> None:
        """SIGHUP, and wait until it has been applied or refused."""
        if config is not None:
            self.write(config)
        before = len(self.process.lines)
        self.process.signal(signal.SIGHUP)
        self.process.wait_for(r"reload(ed| )", after=before)

    def metrics(self) -> dict[str, float]:
        """Every sample of /metrics by its name with labels."""
        samples: dict[str, float] = {}
        for line in get(self.admin, "/metrics").body.decode().splitlines():
            if line and not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                samples[name] = float(value)
        return samples

    def metric(self, name: str, **labels: str) -> float:
        """Sum of the samples of a metric whose labels include these."""
        total = 0.0
        for sample, value in self.metrics().items():
            match = re.fullmatch(r"([a-zA-Z0-9_:]+)(?:\{(.*)\})?", sample)
            assert match is not None
            if match[1] == name and all(f'{key}="{wanted}"' in (match[2] or "") for key, wanted in labels.items()):
                total += value
        return total

    def idle(self) -> bool:
        """Whether no slot is taken and no request is in flight: nothing leaked."""
        return self.metric("nylon_slots_in_use") == 0 and self.metric("nylon_requests_in_flight") == 0

    def get(self, target: str, **headers: str) -> Answer:
        """One GET on a connection of its own."""
        return get(self.address, target, **headers)

    def await_log(self, request_id: str, text: str = "") -> None:
        """Until a line of the log has this id and this text."""
        eventually(
            lambda: any(request_id in line and text in line for line in list(self.process.lines)),
            what=f"a log line with {request_id} and {text!r}",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()


class Worker(Process):
    """`nylon worker` with a plugin of this folder; serving when the constructor returns."""

    def __init__(
        self,
        nats: str,
        plugin: str = "tested",
        *,
        group: str = "tested",
        processes: int = 1,
        max_threads: int = 32,
        env: Mapping[str, str] | None = None,
        wait: bool = True,
    ) -> None:
        target = f"{PLUGINS / plugin}.py:plugin"
        arguments = [
            *NYLON,
            "worker",
            target,
            "--servers",
            nats,
            "--group",
            group,
            "--processes",
            str(processes),
            "--max-threads",
            str(max_threads),
        ]
        super().__init__(arguments, env=env)
        if wait:
            try:
                eventually(
                    lambda: min(map(self.log.count, ("worker started", "connected to nats"))) >= processes,
                    seconds=20,
                    what=f"{processes} workers started and connected",
                )
            except AssertionError as error:
                self.kill()
                raise AssertionError(f"{error}\n{self.log}") from None
