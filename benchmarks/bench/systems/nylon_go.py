"""Nylon with workers in Go: what the Python ones do, compiled."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bench import tools
from bench.processes import Process
from bench.systems.base import System, render
from bench.systems.nylon import Nylon, NylonAuth, NylonService


class GoWorkers(Nylon):
    """Go workers in place of the Python ones: each is a process with as many threads as it likes."""

    def launch(self) -> None:
        self.start_nats()
        self.spawn("gateway", tools.nylon(), "run", "-c", self.write_config(), "--log-level", "error")
        for _ in range(self.workers):
            self.start_worker()

    def start_worker(self, env: Mapping[str, str] | None = None, options: tuple[str, ...] = ()) -> Process:
        serving = {"NATS_SERVERS": self.nats_servers, "NATS_GROUP": self.group}
        return self.spawn("workers", tools.go_worker(), *options, **serving, **(env or {}))


class GoAuth(GoWorkers, NylonAuth):
    """NATS + Go auth + upstream."""


class GoService(GoWorkers, NylonService):
    """NATS + Go, which answers by itself."""


def _auth(count: int) -> type[GoAuth]:
    title = f"Nylon, auth plugin (Go), {count} worker{'s' if count > 1 else ''}"
    values = {"name": f"nylon-auth-go-{count}", "title": title, "workers": count, "entry": "auth"}
    return type(f"GoAuth{count}", (GoAuth,), values)


def _service(count: int) -> type[GoService]:
    title = f"Nylon, plugin service (Go), {count} worker{'s' if count > 1 else ''}"
    values = {"name": f"nylon-service-go-{count}", "title": title, "workers": count}
    return type(f"GoService{count}", (GoService,), values)


class FfiAuth(Nylon):
    """The same Go handlers in the gateway's process, before the upstream."""

    name = "nylon-auth-ffi"
    title = "Nylon, auth plugin (Go, FFI)"
    auth = True
    config = "nylon-ffi-auth.yaml"
    executor = "pool"

    def library(self) -> Path:
        return tools.go_library()

    def write_config(self) -> Path:
        values: dict[str, object] = {"PORT": self.port, "ADMIN": self.admin, "UPSTREAM": self.upstream}
        values |= {"FILE": self.library(), "EXECUTOR": self.executor}
        return render(self.config, self.folder / "nylon.yaml", **values)


class FfiAuthInline(FfiAuth):
    """On the threads that serve requests."""

    name = "nylon-auth-ffi-inline"
    title = "Nylon, auth plugin (Go, FFI, inline)"
    executor = "inline"


class FfiAuthWithoutMask(FfiAuth):
    """As a library that was built with the original SDK: all phases, and none within the call."""

    name = "nylon-auth-ffi-without-mask"
    title = "Nylon, auth plugin (Go, FFI, no mask)"

    def library(self) -> Path:
        return tools.go_library_without_mask()


class FfiService(FfiAuth):
    """The same, answering by themselves."""

    name = "nylon-service-ffi"
    title = "Nylon, plugin service (Go, FFI)"
    auth = False
    via_upstream = False
    config = "nylon-ffi-service.yaml"


GO: tuple[type[System], ...] = (
    *(_auth(count) for count in (1, 2, 10)),
    *(_service(count) for count in (1, 10)),
    FfiAuth,
    FfiAuthInline,
    FfiAuthWithoutMask,
    FfiService,
)
