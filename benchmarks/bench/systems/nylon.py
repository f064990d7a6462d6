"""Nylon itself: gateway, nats-server and Python workers as a user starts them."""

from __future__ import annotations

import http.client
import re
from collections.abc import Mapping
from pathlib import Path

from bench import tools
from bench.places import AUTH, CONFIGS
from bench.processes import BenchError, Process, free_port
from bench.systems.base import System, ask, render

SAMPLE = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{[^}]*\})?\s+(\S+)")


class Nylon(System):
    """One gateway with two threads; the subclasses say what is before the upstream."""

    config = "nylon-proxy.yaml"
    app = AUTH / "nylon_app.py"
    entry = ""
    workers = 0
    group = "auth_workers"

    def __init__(self, upstream: int) -> None:
        super().__init__(upstream)
        self.admin = free_port()
        self.nats = free_port()

    @property
    def nats_servers(self) -> str:
        """Their addresses, separated by commas."""
        return f"nats://127.0.0.1:{self.nats}"

    @property
    def uses_nats(self) -> bool:
        return "@NATS@" in (CONFIGS / self.config).read_text()

    def launch(self) -> None:
        if self.uses_nats:
            self.start_nats()
        self.spawn("gateway", tools.nylon(), "run", "-c", self.write_config(), "--log-level", "error")
        if self.workers:
            self.start_worker(options=("--processes", str(self.workers)))

    def start_nats(self) -> None:
        self.start_nats_server(self.nats)
        self.await_port(self.nats, "nats-server")

    def start_nats_server(self, port: int, more: str = "") -> Process:
        config = render("nats.conf", self.folder / f"nats-{port}.conf", PORT=port, MORE=more)
        # As docs/operating.md recommends for a nats-server that shares its cores.
        start = 'echo 1000000 >/proc/self/timerslack_ns && exec chrt --batch 0 "$@"'
        command = ("sh", "-c", start, "sh", tools.nats_server(), "-c", config)
        return self.spawn("nats-server", *command, GOMAXPROCS="1")

    def write_config(self) -> Path:
        values: dict[str, object] = {"PORT": self.port, "ADMIN": self.admin, "UPSTREAM": self.upstream}
        if self.uses_nats:
            values |= {"NATS": self.nats_servers, "ENTRY": self.entry}
        elif self.entry:
            values |= {"MODULE": f"{self.app}:plugin", "ENTRY": self.entry}
        return render(self.config, self.folder / "nylon.yaml", **values)

    def start_worker(self, env: Mapping[str, str] | None = None, options: tuple[str, ...] = ()) -> Process:
        """Workers of the group: one process, unless the options say otherwise."""
        command = (
            tools.nylon(),
            "worker",
            f"{self.app}:plugin",
            "--group",
            self.group,
            "--log-level",
            "error",
            *options,
        )
        servers = {"NATS_SERVERS": self.nats_servers}
        return self.spawn("workers", *command, **servers, **(env or {}))

    def await_workers(self, count: int) -> None:
        """Until the gateway has heard of that many live workers."""
        self.await_answer(lambda: self.metric("nylon_workers") == count, f"{count} workers to be known", 60)

    def await_ready(self, admin: int) -> None:
        """Until the gateway with this admin port says so: each of its threads has a NATS connection of its own."""
        self.await_answer(lambda: ask(admin, path="/readyz")[0] == 200, "the gateway to be ready")

    def verify(self) -> None:
        self.await_ready(self.admin)
        super().verify()
        if self.workers:
            self.await_workers(self.workers)

    def metrics(self) -> dict[str, float]:
        """The gateway's `/metrics`, by name with labels as written."""
        connection = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=10)
        try:
            connection.request("GET", "/metrics")
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        if response.status != 200:
            raise BenchError(f"reading the metrics: status {response.status}")
        found = (SAMPLE.match(line) for line in text.splitlines())
        return {match[1] + (match[2] or ""): float(match[3]) for match in found if match}

    def counters(self) -> dict[str, float]:
        """`metrics` without histogram buckets: what scenarios keep."""
        return {name: value for name, value in self.metrics().items() if "_bucket{" not in name}

    def metric(self, name: str) -> float:
        """Sum over all labels of one metric."""
        return sum(value for key, value in self.metrics().items() if key.split("{")[0] == name)


class NylonProxy(Nylon):
    name = "nylon-proxy"
    title = "Nylon, proxy"


class NylonAuth(Nylon):
    """NATS + Python auth + upstream."""

    auth = True
    config = "nylon-auth.yaml"
    entry = "auth"


class NylonService(Nylon):
    """NATS + Python, which answers by itself."""

    via_upstream = False
    config = "nylon-service.yaml"
    entry = "hello"


class NylonPythonAuth(Nylon):
    """Python auth in the gateway's process + upstream."""

    name = "nylon-python-auth"
    title = "Nylon, auth plugin in process"
    auth = True
    config = "nylon-python-auth.yaml"
    entry = "auth"


class NylonPythonService(Nylon):
    """Python in the gateway's process, which answers by itself."""

    name = "nylon-python-service"
    title = "Nylon, plugin service in process"
    via_upstream = False
    config = "nylon-python-service.yaml"
    entry = "hello"


def _auth(style: str, count: int) -> type[NylonAuth]:
    title = f"Nylon, auth plugin ({style}), {count} worker{'s' if count > 1 else ''}"
    entry = "auth" if style == "sync" else "auth_async"
    values = {"name": f"nylon-auth-{style}-{count}", "title": title, "entry": entry, "workers": count}
    return type(f"NylonAuth{style.title()}{count}", (NylonAuth,), values)


def _service(count: int) -> type[NylonService]:
    title = f"Nylon, plugin service, {count} worker{'s' if count > 1 else ''}"
    values = {"name": f"nylon-service-{count}", "title": title, "workers": count}
    return type(f"NylonService{count}", (NylonService,), values)


OURS: tuple[type[System], ...] = (
    NylonProxy,
    *(_auth(style, count) for count in (1, 2, 10) for style in ("sync", "async")),
    *(_service(count) for count in (1, 10)),
    NylonPythonAuth,
    NylonPythonService,
)
