"""`plugins`: configured pieces of code that middleware and services refer to."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from nylon.config.policy import OnError, every_phase
from nylon.config.section import Section
from nylon.config.values import Duration, Json, Size, Text, wrong

_NOT_BUILT = {
    "wasm": "WebAssembly plugins are not built yet: run the plugin as a worker and use 'type: messaging'",
}


def beside(document: Path, file: str) -> Path:
    """Return where `file` is that `document` names: relative to the document."""
    return document.parent / file


def _built(value: object) -> object:
    if isinstance(value, str) and value in _NOT_BUILT:
        raise wrong(f"type '{value}': {_NOT_BUILT[value]}")
    return value


class Plugin(Section):
    """A plugin: its entries run in workers on NATS, in threads of the gateway's process, or in a shared library."""

    ignored: ClassVar = {"entry": "entries are what the plugin registers"}

    name: Text
    """What middleware and services call it; unique over all files."""

    type: Annotated[Literal["messaging", "python", "ffi"], BeforeValidator(_built)]
    """`messaging`: workers on NATS. `python`: a Python module in threads of the gateway's own process, without NATS.
    `ffi`: a shared library with the Nylon ABI, loaded into the gateway's own process."""

    module: Text | None = None
    """For `type: python`, what to import: `package.module:plugin`, looked for in the working directory, beside the
    configuration file and where Python looks; or `path/to/file.py:plugin`. Changed code needs a restart."""

    file: Text | None = None
    """For `type: ffi`, the shared library, relative to the file that names it. A rebuilt library needs a restart."""

    executor: Literal["pool", "inline"] = "pool"
    """For `type: ffi`, which threads call the library. `pool`: threads of its own. `inline`: the thread that serves the
    request, without a hop, for libraries that answer in microseconds. One that blocks then keeps every other request of
    that thread waiting; a library whose call takes longer than 100 ms is reported and moved to `pool` until the gateway
    restarts."""

    messaging: Text | None = None
    """Name of the entry of `messaging` to use. With `type: messaging` it may be left out where there is only one. With
    `type: ffi` it is what the rooms of its WebSockets reach other gateways by; without it they are those of this
    process."""

    group: Text | None = None
    """Queue group of the workers. Default: the name of the plugin. Only for `type: messaging`."""

    config: Json = None
    """Handed to the plugin's `initialize`, as JSON; keeps its YAML types. A change reaches running workers."""

    timeout: Duration | None = None
    """How long an entry has for one phase; beyond it the phase has failed with 504. Default: the `timeout` of the
    messaging entry; 5s without one."""

    on_error: Annotated[OnError, BeforeValidator(every_phase)] | None = None
    """What happens when an entry fails, where the middleware does not say. Default: see `on_error` of middleware."""

    balance: Literal["auto", "queue", "least_loaded"] = "auto"
    """How a worker is chosen. `auto`: the better of two by announced load and latency, or, for handlers of
    microseconds, as few workers as can keep up; the queue group while no worker is known. `queue`: always the queue
    group. `least_loaded`: always the better of two."""

    max_in_flight: Annotated[int, Field(ge=1, le=1_000_000)] = 4_096
    """Sessions of this plugin at one time, in the whole gateway; beyond it the phase has failed with 503."""

    max_body_bytes: Size = 10 << 20
    """Largest request or response body that the plugin is given as a whole; beyond it the phase has failed with 413, or
    502 for a response. What is read or written piece by piece has no limit, except a response that another plugin of
    the chain needs whole."""

    prefetch_body_bytes: Annotated[Size, Field(le=1 << 20)] = 32 << 10
    """Up to this length a request body travels with the session, once entries have been seen to read it. 0: never."""

    @model_validator(mode="after")
    def _code(self) -> Self:
        if self.type == "python" and self.module is None:
            raise wrong(
                "missing key 'module': a plugin of type python needs it, such as module: 'package.module:plugin'"
            )
        if self.type == "ffi" and self.file is None:
            raise wrong("missing key 'file': a plugin of type ffi needs it, such as file: ./plugin.so")
        return self
