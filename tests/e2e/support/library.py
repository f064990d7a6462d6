"""Plugin libraries in C for the tests, and gateways that have one in their process."""

import functools
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .gateway import Gateway, configuration
from .process import ROOT
from .scratch import scratch

SOURCES = ROOT / "crates/nylon-ffi/tests/library"
Start = Callable[..., Gateway]
"""What the fixture `start` gives: macros of the library, then changes of `library_configuration`."""


@functools.cache
def build(*defines: str) -> Path:
    """The library of crates/nylon-ffi/tests, compiled with these macros: MASK, RUNS, GO, ORIGINAL, NO_SHUTDOWN,
    NO_EVENTS."""
    target = Path(tempfile.mkdtemp(prefix="library-", dir=scratch())) / "tested.so"
    subprocess.run(
        [
            *("cc", "-std=gnu11", "-Wall", "-Wextra", "-shared", "-fPIC", "-fno-builtin", "-D_GNU_SOURCE"),
            *(f"-D{define}" for define in defines),
            *("-o", target, SOURCES / "library.c", SOURCES / "entries.c", "-lpthread"),
        ],
        check=True,
    )
    return target


def link(entry: str, **keys: Any) -> dict[str, Any]:
    """A middleware item."""
    return {"plugin": "tested", "entry": entry, **keys}


def library_configuration(
    upstream: str, file: Path, *, service: str = "report", payload: Any = None, **changes: Any
) -> dict[str, Any]:
    """As `configuration`, with the plugin in a library and no messaging entry; its entry `service` is at `/plugin`."""
    config = configuration("nats://none", upstream, **changes)
    del config["messaging"]
    for plugin in config["plugins"]:
        for key in ("messaging", "group"):
            plugin.pop(key, None)
        plugin.update({"type": "ffi", "file": str(file)} | plugin | {"type": "ffi"})
    config["services"][1]["plugin"] = {"name": "tested", "entry": service, "payload": payload}
    return config


def calm(gateway: Gateway) -> bool:
    """Whether no session is open in the library, and no request in flight."""
    return gateway.metric("nylon_ffi_sessions") == 0 and gateway.metric("nylon_requests_in_flight") == 0
